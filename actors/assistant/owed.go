package assistant

import (
	"strings"

	"parlor/actors/resume"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// A standing is where the client is in its rooms, and marks what it is told with that.
type standing struct{ resume.Standing }

// owed returns what the client is told in place of a record which it has itself brought
// about, on a connection that ended before it was acknowledged: the acknowledgement, since
// the page shows its message already, and waits. It reports false for any other record.
//
// In the documented dialect a client is told the record, by which it knows its message.
func (s *standing) owed(p *resume.Place, d wire.Dialect, r chat.Record) (frames []engineio.Frame, ok bool) {
	id, own := s.Sent(r.Origin())
	envelope, waits := strings.CutPrefix(id, waitsFor)
	m, said := r.Event.(chat.MessageAdded)
	if !own || !said || d == wire.Documented {
		return nil, false
	}
	p.MoveTo(r.Seq)
	if r.Spoken() {
		if envelope != "" {
			frames = append(frames, wire.Event("message_sent", envelope, wire.Success{Success: true}))
		}
		frames = append(frames, wire.NewEncoder(d).Frames(p.Room, chat.Transcribed{Record: r})...)
	} else {
		sent := wire.MessageSent{MessageID: m.MessageID, ClientID: m.ClientID, Seq: r.Seq, Replaces: m.Replaces, ReplacesSeq: m.ReplacesSeq}
		frames = acknowledgement(d, p.Room, envelope, sent)
	}
	frames = s.allWithOffset(frames)
	if waits && m.Unasked {
		frames = append(frames, wire.Unasked(wire.SendMessage{Room: p.Room, Envelope: envelope, LocalID: envelope}, r.At)...)
	}
	return frames, true
}

// waitsFor goes before the id of an envelope in an origin, if the page turns its spinner on
// until it hears of an answer, or that nobody was asked for one.
const waitsFor = "~"

// originOf returns what the record of a message says of where it came from.
func (s *standing) originOf(r wire.SendMessage) string {
	if r.LocalID != "" && !r.Quiet {
		return s.Origin(waitsFor + r.Envelope)
	}
	return s.Origin(r.Envelope)
}

// missedFrames returns what the client is told of a record that it has missed.
func (s *standing) missedFrames(p *resume.Place, d wire.Dialect, missed replayed) (frames []engineio.Frame) {
	if r := missed.Record; r != nil {
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			if frames, ok := s.owed(p, d, *r); ok {
				return frames
			}
		case chat.TurnQueued: // the page has asked for an answer to what it had said before
			if envelope, own := s.Sent(e.Origin); own && envelope != "" && d != wire.Documented {
				frames = append(frames, wire.Event("message_sent", envelope, wire.Success{Success: true}))
			}
		case chat.TurnEnded:
			if has := p.Text(); has > 0 && e.Content != "" {
				missed.Frames = wire.NewEncoder(d).Frames(p.Room, chat.Missed{Record: *r, Has: has})
			}
		}
		endText(p, *r)
	}
	return append(frames, s.record(p, missed.Seq, missed.Frames)...)
}

// endText notes that with the record an answer ends, or begins anew. A turn that never
// started has no text. A first attempt ends no other text, and the page, which is not told
// of it, may have text behind it.
func endText(p *resume.Place, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.TurnStarted:
		if e.Attempt > 1 {
			p.EndText()
		}
	case chat.TurnEnded:
		if e.MessageID != "" {
			p.EndText()
		}
	}
}

// text returns the frames of a piece of a running answer. If it is live, the page adds the
// piece to a bubble that it cannot take back. So the last frame says how much the page then
// has, and a page that comes back is told only the rest.
func (s *standing) text(p *resume.Place, d wire.Dialect, n chat.Text, frames []engineio.Frame) []engineio.Frame {
	if d == wire.Documented || !wire.Live(n.Turn) {
		return frames
	}
	p.SetText(len(n.Before) + len(n.Piece))
	return s.lastWithOffset(frames)
}

// soFar returns the frames of the text so far of a running answer, of which the client has
// the beginning, if it is known how much.
func (s *standing) soFar(p *resume.Place, d wire.Dialect, j room.Joined) []engineio.Frame {
	n := j.Turn.SoFar()
	if d == wire.Documented || !wire.Live(n.Turn) {
		return wire.NewEncoder(d).Frames(j.Chat.Room, n)
	}
	n.Has = p.Text()
	p.SetText(len(n.Text))
	return s.lastWithOffset(wire.NewEncoder(d).Frames(j.Chat.Room, n))
}

// lastWithOffset appends the client's present offset to the last frame.
func (s *standing) lastWithOffset(frames []engineio.Frame) []engineio.Frame {
	if len(frames) == 0 {
		return nil
	}
	last := len(frames) - 1
	return append(frames[:last:last], withOffset(frames[last], s.Offset()))
}
