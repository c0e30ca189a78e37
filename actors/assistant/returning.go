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
		c.enter(r.ID, &membership{dialect: r.Dialect})
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
	c.rooms[r.ID].told = told
	if !told.within(j.Seq) {
		return false
	}
	left := c.maxReplayBytes() - c.returning.bytes
	frames, ok := c.missed(r.ID, r.Dialect, told, j.Seq, left, c.said)
	if !ok {
		return false
	}
	c.returning.add(frames...)
	c.returning.add(textSoFar(r.ID, r.Dialect, j)...)
	return true
}

// textSoFar encodes what the running turn has answered, as one piece.
func textSoFar(id chat.RoomID, d wire.Dialect, j room.Joined) []engineio.Frame {
	if j.Turn == nil || j.Turn.Content == "" {
		return nil
	}
	return wire.Delta(d, id, j.Turn.MessageID, 0, j.Turn.Content)
}

// missed returns what there is to tell of the records that follow told, up to
// last, which is where it moves told. It reports false if that cannot be read,
// or is more than limit bytes.
func (c *client) missed(id chat.RoomID, d wire.Dialect, told *mark, last uint64, limit int, omit func(chat.Record) bool) (missed []engineio.Frame, ok bool) {
	first, seen := told.seq+1, told.frames
	for record, err := range c.Rooms.Records(id, told.seq) {
		if err != nil || limit < 0 {
			return nil, false
		}
		if record.Seq > last { // it comes as a publication
			break
		}
		if omit != nil && omit(record) {
			continue
		}
		frames := c.mark(told, record.Seq, wire.Record(d, id, record))
		if record.Seq == first {
			frames = frames[min(seen, len(frames)):]
		}
		for _, f := range frames {
			limit -= len(f.Data)
		}
		missed = append(missed, frames...)
	}
	told.seq, told.frames = last, 0
	return missed, limit >= 0
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
