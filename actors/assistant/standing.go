package assistant

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"parlor/actors/recovery"
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// standing is what lets a client come back: what it is known by, and how far it
// is. The zero standing is that of a client that cannot.
type standing struct {
	pid       string
	told      offset
	onDisk    []recovery.Room // the rooms as they are on disk, or on their way there; some may have been left
	unsaved   bool            // it is not on disk what the client has joined
	tried     time.Time       // to save it
	returning *returning
}

// saveAgain is how often that is tried again, at most.
const saveAgain = time.Second

// owner tells a socket that another one has its session.
type owner struct{ socket *session.Socket }

// Supersede implements recovery.Owner.
func (o owner) Supersede() { o.socket.Tell(superseded{}) }

// superseded is what the socket is told then.
type superseded struct{}

// saved is the end of a save.
type saved struct {
	err  error
	then func()
}

// identify gives the client back the session that it asks for, or begins one.
func (c *client) identify(auth json.RawMessage) {
	if c.Recovery == nil {
		return
	}
	var asked struct{ PID, Offset any }
	_ = json.Unmarshal(auth, &asked) // what is no object was refused before
	pid, _ := asked.PID.(string)
	text, _ := asked.Offset.(string)
	if told, ok := parseOffset(text, c.maxRooms()); ok {
		if s, ok := c.Recovery.Claim(pid, c.user, owner{c.socket}); ok {
			c.comeBack(pid, s, told)
			return
		}
	}
	c.begin()
}

// begin begins a new session.
func (c *client) begin() {
	c.standing = standing{pid: recovery.NewID()}
	c.socket.Identify(recovery.NewID(), c.pid)
}

// remembered reports whether a client that comes back would be joined to the
// room, or cannot come back at all.
func (c *client) remembered(id chat.RoomID, d wire.Dialect) bool {
	return c.pid == "" || !id.Valid() || slices.Contains(c.onDisk, recovery.Room{ID: id, Dialect: d})
}

// save remembers what the client has joined and asked to join, and calls then,
// if it is not nil, when that is on disk or cannot be.
func (c *client) save(then func()) {
	c.tried = time.Now()
	s := recovery.Session{SID: c.socket.ID(), User: c.user.ID, Guest: c.user.Guest}
	for id, m := range c.rooms {
		if id.Valid() {
			s.Rooms = append(s.Rooms, recovery.Room{ID: id, Dialect: m.dialect})
		}
	}
	slices.SortFunc(s.Rooms, func(a, b recovery.Room) int { return strings.Compare(string(a.ID), string(b.ID)) })
	c.onDisk = s.Rooms
	socket := c.socket
	c.Recovery.Save(c.pid, owner{socket}, s, func(err error) { socket.Tell(saved{err, then}) })
}

func (c *client) saved(s saved) {
	c.unsaved = s.err != nil
	if s.then != nil {
		s.then()
	}
}

// lose lets the client come back for a while, unless it has left for good.
func (c *client) lose(reason string) {
	switch {
	case c.pid == "":
	case reason == session.ReasonClientDisconnect, reason == session.ReasonServerDisconnect:
		c.Recovery.Forget(c.pid, owner{c.socket})
	default:
		c.Recovery.Lost(c.pid, owner{c.socket})
	}
}

// admitted makes the client a member who knows the room up to now.
func (c *client) admitted(id chat.RoomID, d wire.Dialect, j room.Joined) *mark {
	m := c.rooms[id]
	if m == nil {
		m = &membership{dialect: d}
		c.enter(id, m)
	}
	c.told = c.told.without(m.told)
	m.told = &mark{tag: tagOf(id, j.Epoch), seq: j.Seq}
	c.told = append(c.told, m.told)
	if !c.remembered(id, m.dialect) { // joined again while it was being left
		c.unsaved = true
		c.save(nil)
	}
	return m.told
}

// mark appends to each frame of a record how far the client is once it has
// that frame, and returns them as they are if it is no record, or the client
// cannot come back.
func (c *client) mark(told *mark, seq uint64, frames []engineio.Frame) []engineio.Frame {
	if c.pid == "" || seq == 0 {
		return frames
	}
	if c.unsaved && time.Since(c.tried) >= saveAgain {
		c.save(nil)
	}
	marked := make([]engineio.Frame, len(frames))
	for i, f := range frames {
		told.seq, told.frames = seq-1, i+1
		if i == len(frames)-1 {
			told.seq, told.frames = seq, 0
		}
		marked[i] = socketio.WithArg(f, c.offset())
	}
	return marked
}

// markLeft is mark for what ends a membership.
func (c *client) markLeft(frames []engineio.Frame) []engineio.Frame {
	marked := make([]engineio.Frame, len(frames))
	for i, f := range frames {
		marked[i] = c.from(c.offset(), f)
	}
	return marked
}

// from appends the offset to an event, unless the client cannot come back.
func (c *client) from(offset json.RawMessage, f engineio.Frame) engineio.Frame {
	if c.pid == "" {
		return f
	}
	return socketio.WithArg(f, offset)
}

func (c *client) offset() json.RawMessage {
	if c.unsaved {
		return json.RawMessage(`"` + brokenOffset + `"`)
	}
	return c.told.json()
}

// emitFrom emits an answer that changes what the client has joined, or what it
// knows of a room, with the offset from which it would have to be told more.
func (c *client) emitFrom(offset json.RawMessage, word, id string, payload any) {
	c.socket.Send(c.from(offset, wire.Event(word, id, payload)))
}

// send sends what a room tells, in its place among what the client has missed.
func (c *client) send(frames ...engineio.Frame) {
	switch {
	case c.returning == nil:
		c.socket.Send(frames...)
	case !c.returning.add(wire.Shed(frames)...): // what was to be heard meanwhile is past
		c.beginInstead()
	}
}

func (c *client) maxReplayBytes() int { return cmp.Or(c.MaxReplayBytes, 512<<10) }
