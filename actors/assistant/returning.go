package assistant

import (
	"parlor/actors/recovery"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// returning is a client that was here before, until all its rooms have
// admitted it again. What it has missed is collected, and reaches it ahead of
// the confirmation; should a room be gone, or too much have been missed, it
// begins a new session and has been sent nothing of this one.
type returning struct {
	rooms  map[uint64]recovery.Room // by the Ref of the Join
	frames []engineio.Frame
	bytes  int
}

func (r *returning) add(frames ...engineio.Frame) {
	for _, f := range frames {
		r.bytes += len(f.Data)
	}
	r.frames = append(r.frames, frames...)
}

// comeBack joins the rooms of the session s, from where the client was told.
func (c *client) comeBack(pid string, s recovery.Session, told offset) {
	c.user.ID = s.User // it may have been a guest's
	c.socket.Identify(s.SID, pid)
	c.socket.Defer()
	c.address = address{c.socket, s.SID}
	c.standing = standing{pid: pid, told: told, returning: &returning{rooms: make(map[uint64]recovery.Room)}}
	for _, r := range s.Rooms {
		call := c.caller()
		c.returning.rooms[call.Ref] = r
		c.rooms[r.ID] = &membership{dialect: r.Dialect}
		c.Rooms.Tell(r.ID, &room.Join{Caller: call, Dialect: r.Dialect})
	}
	if len(s.Rooms) == 0 {
		c.beginInstead()
	}
}

// rejoined takes a room's answer to a join of comeBack; it reports whether it
// was one.
func (c *client) rejoined(d room.Reply) bool {
	r, ok := c.returning.rooms[d.Ref]
	if !ok {
		return false
	}
	delete(c.returning.rooms, d.Ref)
	joined, admitted := d.Body.(room.Joined)
	if !admitted { // it may have been refused the first time
		delete(c.rooms, r.ID)
	}
	switch {
	case admitted && !c.catchUp(r, joined):
		c.beginInstead()
	case len(c.returning.rooms) == 0:
		c.confirm()
	}
	return true
}

// catchUp collects what the client has missed in a room, and the text so far of
// a running turn. It reports false if the room cannot tell.
func (c *client) catchUp(r recovery.Room, j room.Joined) bool {
	told := c.told.find(tagOf(r.ID, j.Epoch))
	if told == nil { // left, or not told that it had joined
		c.Rooms.Tell(r.ID, &room.Leave{Caller: room.Caller{User: c.user, Address: c.address}})
		delete(c.rooms, r.ID)
		return true
	}
	m := c.rooms[r.ID]
	m.told = told
	if !c.replay(r, told, j.Seq) {
		return false
	}
	if j.Turn != nil && j.Turn.Content != "" {
		c.returning.add(wire.Delta(m.dialect, r.ID, j.Turn.MessageID, 0, j.Turn.Content)...)
	}
	return true
}

// replay collects the records up to last that the client has not been told.
func (c *client) replay(r recovery.Room, told *mark, last uint64) bool {
	if told.seq > last || told.seq == last && told.frames > 0 {
		return false // of a log that is not there any more
	}
	if told.seq == last {
		return true
	}
	first, seen := told.seq+1, told.frames
	for record, err := range c.Rooms.Records(r.ID, told.seq) {
		switch {
		case err != nil, c.returning.bytes > c.maxReplayBytes():
			return false
		case record.Seq > last: // it comes as a publication
			return true
		case c.said(record):
			continue
		}
		frames := c.mark(told, record.Seq, wire.Record(r.Dialect, r.ID, record))
		if record.Seq == first {
			frames = frames[min(seen, len(frames)):]
		}
		c.returning.add(frames...)
	}
	return true
}

// said reports whether the client itself sent the message that r records.
func (c *client) said(r chat.Record) bool {
	e, ok := r.Event.(chat.MessageAdded)
	return ok && e.Origin == c.address.origin
}

// confirm ends the return: from here on the client is like any other. It has to
// be back in every room that it knows of.
func (c *client) confirm() {
	for _, m := range c.told {
		if !c.joined(m) {
			c.beginInstead()
			return
		}
	}
	r := c.returning
	c.returning = nil
	c.socket.Replay(r.frames...)
	c.socket.Confirm()
}

// joined reports whether the mark is that of a room that the client is in.
func (c *client) joined(told *mark) bool {
	for _, m := range c.rooms {
		if m.told == told {
			return true
		}
	}
	return false
}

// beginInstead begins a new session for a client that cannot have its old one.
func (c *client) beginInstead() {
	c.leaveAll()
	clear(c.rooms)
	c.Recovery.Forget(c.pid, owner{c.socket})
	c.begin()
	c.socket.Confirm()
}
