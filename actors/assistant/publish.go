package assistant

import (
	"encoding/json"
	"slices"

	"parlor/actors/resume"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// publish passes on what a room tells. The room may have told something before it
// knew that the client has left; if the client has asked to join again since, that is
// not for it.
func (c *client) publish(p *room.Publication) {
	m, ok := c.rooms[p.Room]
	if !ok || m.place == nil {
		return
	}
	frames, _ := p.Encoded.([]engineio.Frame)
	record, _ := p.Notice.(chat.Record)
	if m.knows(p.Seq) {
		return
	}
	if p.Author != c.address { // but perhaps the one that the client had on another connection
		if frames, ok := c.standing.owed(m.place, m.dialect, record); ok {
			c.send(frames...)
			return
		}
	}
	endText(m.place, record)
	switch n := p.Notice.(type) {
	case chat.Text:
		frames = c.standing.text(m.place, m.dialect, n, frames)
	case chat.Failure:
		m.place.SetText(0)
	}
	switch {
	case p.Author == c.address && record.Spoken(): // the SPA fills the bubble that waits for it
		frames = wire.NewEncoder(m.dialect).Frames(p.Room, chat.Transcribed{Record: record})
	case isRemoval(p.Notice):
		c.forget(p.Room)
		c.send(c.standing.allWithOffset(frames)...)
		return
	}
	c.send(c.standing.record(m.place, p.Seq, frames)...)
}

// knows reports whether the record is a message of the client itself, which it knows
// by the acknowledgement.
func (m *membership) knows(seq uint64) bool {
	known := slices.Contains(m.acknowledged, seq)
	if seq > 0 && len(m.acknowledged) > 0 {
		m.acknowledged = slices.DeleteFunc(m.acknowledged, func(own uint64) bool { return own <= seq })
	}
	return known
}

func isRemoval(n chat.Notice) bool {
	_, removal := n.(chat.Removal)
	return removal
}

// send sends what a room tells. While the client comes back, that is collected behind
// the frames that it has missed.
func (c *client) send(frames ...engineio.Frame) {
	switch {
	case c.comeback == nil:
		c.socket.Send(frames...)
	case !c.comeback.add(wire.Shed(frames)...): // without speech, which is for now only
		c.beginInstead()
	}
}

// record appends to each frame of a record the offset of a client that has got this
// frame. Frames of what is not recorded, with number 0, stay as they are.
func (s *standing) record(p *resume.Place, seq uint64, frames []engineio.Frame) []engineio.Frame {
	if seq == 0 || len(frames) == 0 || !s.CanReturn() {
		return frames
	}
	offsets := s.Advance(p, seq, len(frames))
	marked := make([]engineio.Frame, len(frames))
	last := len(frames) - 1
	for i, f := range frames[:last] {
		marked[i] = withOffset(f, offsets.Of(f.Data))
	}
	marked[last] = withOffset(frames[last], offsets.Last())
	return marked
}

// allWithOffset appends the client's present offset to each frame.
func (s *standing) allWithOffset(frames []engineio.Frame) []engineio.Frame {
	offset := s.Offset()
	marked := make([]engineio.Frame, len(frames))
	for i, f := range frames {
		marked[i] = withOffset(f, offset)
	}
	return marked
}

// withOffset appends the offset to an event, unless there is none.
func withOffset(f engineio.Frame, offset json.RawMessage) engineio.Frame {
	if offset == nil {
		return f
	}
	return socketio.WithArg(f, offset)
}
