package assistant

import (
	"cmp"

	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A membership is the client's part in a room that it has joined, or asked to join.
type membership struct {
	dialect      wire.Dialect
	place        *resume.Place // nil until the client is told that the room has admitted it
	listens      bool          // the room has admitted the client, which need not know yet
	acknowledged []uint64      // the client's own records that it knows already, and the room has yet to publish
}

func (c *client) join(e *session.Event, r wire.JoinRoom) {
	c.queues.inOrder(behindFind, func() {
		switch id := cmp.Or(r.Room, c.lastRoom); {
		case c.gone:
		case id == "":
			c.refuse(e, r, chat.Refuse(chat.CodeInvalid, "room_id is missing, and no room was found or created before"))
		default:
			c.joinRoom(e, r, id)
		}
	})
}

// joinRoom asks the room to admit the client.
func (c *client) joinRoom(e *session.Event, r wire.JoinRoom, id chat.RoomID) {
	if _, known := c.rooms[id]; !known {
		if len(c.rooms) >= c.maxRooms() {
			c.refuse(e, r, chat.Refuse(chat.CodeBusy, "you have joined as many rooms as one connection may"))
			return
		}
		c.enter(id, &membership{dialect: r.Dialect})
	}
	call := c.caller()
	c.await(call.Ref, waiting{e, r, id})
	c.Rooms.Tell(id, &room.Join{Caller: call, Encoder: r.Dialect.String(), Tools: r.Tools})
}

func (c *client) enter(id chat.RoomID, m *membership) {
	if c.rooms == nil {
		c.rooms = make(map[chat.RoomID]*membership)
	}
	c.rooms[id] = m
}

// forget ends a membership, also of a room that has not admitted the client yet. If
// the client has asked to join once more, another membership begins, so that a client
// that disconnects leaves every room that it has asked for.
func (c *client) forget(id chat.RoomID) {
	if m, ok := c.rooms[id]; ok {
		c.standing.Leave(m.place)
		delete(c.rooms, id)
	}
	for _, w := range c.waiting {
		if r, join := w.request.(wire.JoinRoom); join && w.room == id {
			c.enter(id, &membership{dialect: r.Dialect})
			return
		}
	}
}

// notAdmitted forgets a room that has refused a join, unless the client is a
// member already.
func (c *client) notAdmitted(id chat.RoomID) {
	m := c.rooms[id]
	if m == nil || m.place != nil {
		return
	}
	listens := m.listens
	c.forget(id)
	switch m := c.rooms[id]; {
	case !listens:
	case m != nil:
		m.listens = true
	default:
		c.leave(id)
	}
}

// leaveAll leaves all rooms that the client has joined or asked to join. A room that
// has not answered a join yet may be about to admit the client.
func (c *client) leaveAll() {
	for id := range c.rooms {
		c.leave(id)
	}
}

// leave leaves a room. Nobody waits for the answer.
func (c *client) leave(id chat.RoomID) {
	c.Rooms.Tell(id, &room.Leave{Caller: room.Caller{User: c.user, Address: c.address}})
}
