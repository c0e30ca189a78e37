package assistant

import (
	"context"
	"iter"

	"parlor/actors/resume"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// replayed is a record that clients have missed.
type replayed = resume.Missed[engineio.Frame]

// source says how to read the records of a room, and how to encode them in a dialect.
// Reads count as reads of the user.
func (n *Namespace) source(u chat.User, id chat.RoomID, d wire.Dialect, epoch string) resume.Source[engineio.Frame] {
	return resume.Source[engineio.Frame]{
		Room: id, Epoch: epoch, Encoder: d.String(),
		Records: func(ctx context.Context, after uint64) iter.Seq2[chat.Record, error] {
			return n.Rooms.Records(ctx, u, id, after)
		},
		Encode: func(notice chat.Notice) []engineio.Frame { return wire.NewEncoder(d).Frames(id, notice) },
		Size:   func(f engineio.Frame) int { return len(f.Data) },
	}
}

// missed reads the records that the client has missed in a room, up to the one at
// which the room admitted it again. It runs on a goroutine of its own.
func (n *Namespace) missed(ctx context.Context, u chat.User, p *resume.Place, d wire.Dialect, j room.Joined, limit int) (missed []replayed, err error) {
	s, after := n.source(u, p.Room, d, j.Epoch), p.Seq()
	if p.Partly() {
		rest, err := restOf(ctx, s, p)
		if err != nil {
			return nil, err
		}
		missed = append(missed, rest)
		after++
	}
	if after == j.Seq {
		return missed, nil
	}
	whole, err := n.Replays.Read(ctx, s, after, j.Seq, limit)
	return append(missed, whole...), err
}

// restOf returns the frames that the client lacks of a record of which it has some. It may
// have got these live, or when it came back before, which the wire may encode in several
// ways. The first frames may be the same in all of them, so the one that fits the text
// that the client has comes first.
func restOf(ctx context.Context, s resume.Source[engineio.Frame], p *resume.Place) (rest replayed, err error) {
	for record, err := range s.Records(ctx, p.Seq()) {
		if err != nil {
			return rest, err
		}
		rest.Seq = record.Seq
		switch e := record.Event.(type) {
		case chat.TurnStarted:
			rest.Record = &record
		case chat.TurnEnded:
			e.Content = "" // the frames have it
			rest.Record = &chat.Record{Seq: record.Seq, Event: e}
		}
		for _, notice := range []chat.Notice{chat.Missed{Record: record, Has: p.Text()}, record, chat.Missed{Record: record}} {
			rest.Frames = s.Encode(notice)
			if got, ok := p.Got(len(rest.Frames), func(i int) []byte { return rest.Frames[i].Data }); ok {
				rest.Frames = rest.Frames[got:]
				return rest, nil
			}
		}
		return rest, nil
	}
	return rest, nil
}

// A backlog collects frames that a client has missed, up to a limit. The first piece
// always fits. Otherwise no client could come back after a very long answer.
type backlog struct {
	frames    []engineio.Frame
	limit     int  // bytes that may still be added
	returning bool // the client is owed acknowledgements too: see owed
	resumed   []wire.ResumedRoom
}

// count notes that the frames from number before on are of the room, for a client that
// has chosen the documented dialect. It is told the numbers behind the frames.
func (b *backlog) count(id chat.RoomID, d wire.Dialect, before int) {
	if d == wire.Documented {
		b.resumed = append(b.resumed, wire.ResumedRoom{Room: id, Events: len(b.frames) - before})
	}
}

// all returns the frames and, if the client wants to know, how many they were.
func (b *backlog) all() []engineio.Frame {
	if len(b.resumed) == 0 {
		return b.frames
	}
	return append(b.frames, wire.Event("resumed", "", wire.Resumed{Rooms: b.resumed}))
}

// add adds frames that belong together, and reports false if they are too much.
func (b *backlog) add(frames ...engineio.Frame) bool {
	first := len(b.frames) == 0
	for _, f := range frames {
		b.limit -= len(f.Data)
	}
	b.frames = append(b.frames, frames...)
	return first || b.limit >= 0
}

// catchUp adds the records that the client has missed in a room, and the text so far
// of a running turn. It reports false if they are too much.
func (s *standing) catchUp(to *backlog, p *resume.Place, d wire.Dialect, missed []replayed, j room.Joined) bool {
	before := len(to.frames)
	for _, m := range missed {
		var frames []engineio.Frame
		if to.returning {
			frames = s.missedFrames(p, d, m)
		} else {
			frames = s.record(p, m.Seq, m.Frames)
		}
		if !to.add(frames...) {
			return false
		}
	}
	to.frames = append(to.frames[:before], atSeam(to.frames[before:])...)
	p.MoveTo(j.Seq)
	if j.Turn == nil || j.Turn.Content+j.Turn.Thought == "" {
		return true
	}
	return to.add(s.soFar(p, d, j)...)
}
