package assistant

import (
	"parlor/actors/resume"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// owed returns what the client is told in place of a record which it has itself brought
// about, on a connection that ended before it was acknowledged: the acknowledgement, since
// the page shows its message already, and waits. It reports false for any other record.
//
// In the documented dialect a client is told the record, by which it knows its message.
func (c *client) owed(p *resume.Place, d wire.Dialect, r chat.Record) (frames []engineio.Frame, ok bool) {
	envelope, own := c.standing.Sent(r.Origin())
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
		sent := wire.MessageSent{MessageID: m.MessageID, ClientID: m.ClientID, Seq: r.Seq}
		frames = acknowledgement(d, p.Room, envelope, sent)
	}
	return c.allWithOffset(frames), true
}

// missedFrames returns what the client is told of a record that it has missed.
func (c *client) missedFrames(p *resume.Place, d wire.Dialect, missed replayed) (frames []engineio.Frame) {
	if r := missed.Sent; r != nil {
		if frames, ok := c.owed(p, d, *r); ok {
			return frames
		}
		// The page has asked for an answer to what it has said before.
		envelope, own := c.standing.Sent(r.Origin())
		if _, asked := r.Event.(chat.TurnQueued); asked && own && envelope != "" && d != wire.Documented {
			frames = append(frames, wire.Event("message_sent", envelope, wire.Success{Success: true}))
		}
	}
	return append(frames, c.record(p, missed.Seq, missed.Frames)...)
}
