package assistant

import (
	"context"
	"errors"
	"slices"

	"parlor/actors/recovery"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// returning is a client that was here before, until all its rooms have
// answered. What it has missed is collected, and follows the confirmation;
// should too much have been missed, or a room not be able to tell, it begins a
// new session and has been sent nothing of this one.
//
// The reference server sends what was missed ahead of the confirmation. But an
// official client keeps that for later without moving its offset, and if the
// connection ends in between it asks for all of it again, and has it twice.
type returning struct {
	replay
	rooms map[uint64]recovery.Room // by the Ref of the Join
	gone  []recovery.Room          // their chats are there no more
}

// A replay is frames for a client that has missed them, up to a limit. The
// first piece always fits: else nobody could come back behind a long answer.
type replay struct {
	frames []engineio.Frame
	room   int // in bytes
}

// add reports false if there is no room for the frames, which are one piece.
func (r *replay) add(frames ...engineio.Frame) bool {
	first := len(r.frames) == 0
	for _, f := range frames {
		r.room -= len(f.Data)
	}
	r.frames = append(r.frames, frames...)
	return first || r.room >= 0
}

// comeBack joins the rooms of the session s, from where the client was told.
func (c *client) comeBack(pid string, s recovery.Session, told offset) {
	c.user.ID = s.User // it may have been a guest's
	c.socket.Identify(s.SID, pid)
	c.socket.Defer()
	c.standing = standing{pid: pid, told: told, onDisk: s.Rooms, returning: &returning{
		replay: replay{room: c.maxReplayBytes()}, rooms: make(map[uint64]recovery.Room),
	}}
	if len(s.Rooms) == 1 {
		c.last = s.Rooms[0].ID
	}
	for _, r := range s.Rooms {
		call := c.caller()
		c.returning.rooms[call.Ref] = r
		c.enter(r.ID, &membership{dialect: r.Dialect})
		c.Rooms.Tell(r.ID, &room.Join{Caller: call, Encoder: r.Dialect.String()})
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
	if !admitted { // as it may have been the first time
		delete(c.rooms, r.ID)
		if d.Err.Code == chat.CodeNotFound {
			c.returning.gone = append(c.returning.gone, r)
		}
	}
	switch {
	case admitted && c.catchUp(r, joined) != nil:
		c.beginInstead()
	case len(c.returning.rooms) == 0:
		c.confirm()
	}
	return true
}

// errCannotTell says that a client has to be told otherwise what it missed.
var errCannotTell = errors.New("assistant: too much was missed, or it is of another log")

// catchUp collects what the client has missed in a room.
func (c *client) catchUp(r recovery.Room, j room.Joined) error {
	told := c.told.find(tagOf(r.ID, j.Epoch))
	if told == nil { // left, or not told that it had joined
		c.leave(r.ID)
		delete(c.rooms, r.ID)
		return nil
	}
	c.rooms[r.ID].told = told
	return c.missed(&c.returning.replay, r, told, j)
}

// missed adds what there is to tell of the records that follow told, which
// moves to the last one, and the text so far of a running turn.
func (c *client) missed(to *replay, r recovery.Room, told *mark, j room.Joined) error {
	if !told.within(j.Seq) {
		return errCannotTell
	}
	first, seen := told.seq+1, told.frames
	for record, err := range c.Rooms.Records(context.Background(), c.user, r.ID, told.seq) {
		if err != nil {
			return err
		}
		if record.Seq > j.Seq { // it comes as a publication
			break
		}
		frames := c.frames(told, r, record, record.Seq == first && seen > 0)
		if record.Seq == first {
			frames = frames[min(seen, len(frames)):]
		}
		if !to.add(frames...) {
			return errCannotTell
		}
	}
	to.frames = atSeam(to.frames)
	told.seq, told.frames = j.Seq, 0
	if j.Turn == nil || j.Turn.Content == "" {
		return nil
	}
	if !to.add(wire.NewEncoder(r.Dialect).Frames(r.ID, chat.TextSoFar{Turn: j.Turn.Turn, Text: j.Turn.Content})...) {
		return errCannotTell
	}
	return nil
}

// frames encodes a record that was missed. Who has seen some of it has seen all
// that was told before, and is told the rest as everybody was.
func (c *client) frames(told *mark, r recovery.Room, record chat.Record, partly bool) []engineio.Frame {
	var n chat.Notice = chat.Missed{Record: record}
	if partly {
		n = record
	}
	return c.mark(told, record.Seq, wire.NewEncoder(r.Dialect).Frames(r.ID, n))
}

// confirm ends the return: from here on the client is like any other. It has to
// be back in every room that it knows of, but those whose chats were deleted,
// which it is told.
func (c *client) confirm() {
	r := c.returning
	c.returning = nil
	lost := slices.DeleteFunc(slices.Clone(c.told), c.joined)
	if len(lost) > len(r.gone) {
		c.beginInstead()
		return
	}
	if len(lost) > 0 {
		c.told = slices.DeleteFunc(c.told, func(m *mark) bool { return slices.Contains(lost, m) })
		for _, room := range r.gone {
			r.frames = append(r.frames, c.markLeft(wire.NewEncoder(room.Dialect).Frames(room.ID, chat.Removal{}))...)
		}
	}
	c.socket.Confirm()
	c.socket.Send(r.frames...)
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
