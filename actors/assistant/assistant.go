// Package assistant serves the namespace /assistant/realtime: it turns what a
// client says there into commands to rooms, and answers into events.
//
//	Event → assistant.Decode → room command → … → room.Reply → answer event, acknowledgement
//	room.Publication → frames, as the room encoded them
//
// Every client event is answered: by an event whose name carries the id that
// the client sent ("undefined" if there was none, as the SPA's own names read
// then), and by the acknowledgement if one was asked for.
package assistant

import (
	"context"
	"encoding/json"
	"net/http"

	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// An Authenticator says who opened a connection. Its errors are *chat.Errors.
type Authenticator interface {
	Socket(header http.Header, auth json.RawMessage) (chat.User, error)
}

// Rooms is the part of the rooms that a client needs.
type Rooms interface {
	Tell(id chat.RoomID, m room.Message)
	Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)
	History(u chat.User, id chat.RoomID, before uint64, limit int) ([]chat.Message, bool, error)
}

// A Namespace admits users to the rooms. It is shared by all sessions and must
// not be changed once it serves.
type Namespace struct {
	Auth  Authenticator
	Rooms Rooms
}

// Connect implements session.Namespace. What the client claims to be in auth
// counts for nothing: see the Authenticator.
func (n *Namespace) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	user, err := n.Auth.Socket(s.Header(), auth)
	if err != nil {
		e := chat.AsError(err)
		return nil, &session.Refusal{Message: e.Message, Data: wire.Encode(map[string]chat.Code{"code": e.Code})}
	}
	return &client{
		rooms: n.Rooms, socket: s, user: user,
		joined: make(map[chat.RoomID]wire.Dialect), waiting: make(map[uint64]waiting),
	}, nil
}

// client is one socket in the namespace.
type client struct {
	rooms   Rooms
	socket  *session.Socket
	user    chat.User
	last    chat.RoomID // found or created last: what a join without a room means
	joined  map[chat.RoomID]wire.Dialect
	waiting map[uint64]waiting // for a room's reply, by its Ref
	ref     uint64
}

// waiting is an event that a room has not answered.
type waiting struct {
	event   *session.Event
	request wire.Request
	room    chat.RoomID
}

// address is where rooms reach a client.
type address struct{ socket *session.Socket }

// Deliver implements room.Address.
func (a address) Deliver(d room.Delivery) { a.socket.Tell(d) }

// Origin implements room.Address.
func (a address) Origin() string { return a.socket.ID() }

// Event implements session.Handler.
func (c *client) Event(e *session.Event) {
	request, err := wire.Decode(e.Name, e.Args)
	if err != nil {
		c.refuse(e, request, chat.AsError(err))
		return
	}
	switch r := request.(type) {
	case wire.FindChat:
		c.find(e, r)
	case wire.CreateRoom:
		c.tell(e, r, r.Chat.Room(), func(call room.Caller) room.Message {
			return &room.Create{Caller: call, Chat: r.Chat, ModelID: r.ModelID}
		})
	case wire.JoinRoom:
		c.join(e, r)
	case wire.LeaveRoom:
		c.tell(e, r, r.Room, func(call room.Caller) room.Message { return &room.Leave{Caller: call} })
	case wire.SendMessage:
		c.tell(e, r, r.Room, func(call room.Caller) room.Message { return send(call, r) })
	case wire.Stop:
		c.tell(e, r, r.Room, func(call room.Caller) room.Message {
			return &room.StopTurn{Caller: call, TurnID: r.TurnID, Reason: r.Reason}
		})
	case wire.Control:
		c.emit("event_received", r.ID, wire.Success{Success: true})
		c.ok(e, struct{}{})
	case wire.History:
		c.history(e, r)
	}
}

func send(call room.Caller, r wire.SendMessage) room.Message {
	if r.Respond {
		return &room.Respond{Caller: call}
	}
	return &room.Send{
		Caller: call, Content: r.Content, ModelID: r.ModelID, ClientID: r.ClientID, LocalID: r.LocalID, Quiet: r.Quiet,
	}
}

// tell sends a command to a room and remembers what it is the answer to.
func (c *client) tell(e *session.Event, r wire.Request, id chat.RoomID, command func(room.Caller) room.Message) {
	c.ref++
	c.waiting[c.ref] = waiting{e, r, id}
	c.rooms.Tell(id, command(room.Caller{User: c.user, Address: address{c.socket}, Ref: c.ref}))
}

func (c *client) find(e *session.Event, r wire.FindChat) {
	info, err := c.rooms.Get(context.Background(), c.user, r.Chat)
	if err != nil {
		c.refuse(e, r, hidden(chat.AsError(err)))
		return
	}
	c.last = info.Room
	found := wire.RoomFound{Room: info.Room, Chat: r.Chat}
	c.emit("room_found", string(r.Chat), found)
	c.ok(e, found)
}

// hidden makes somebody else's chat one that is not there: to look for chats is
// no way to learn which there are.
func hidden(err *chat.Error) *chat.Error {
	if err.Code == chat.CodeForbidden {
		return chat.Refuse(chat.CodeNotFound, "there is no such chat")
	}
	return err
}

func (c *client) join(e *session.Event, r wire.JoinRoom) {
	id := r.Room
	if id == "" {
		id = c.last
	}
	if id == "" {
		c.refuse(e, r, chat.Refuse(chat.CodeInvalid, "room_id is missing, and no room was found or created before"))
		return
	}
	c.tell(e, r, id, func(call room.Caller) room.Message { return &room.Join{Caller: call, Dialect: r.Dialect} })
}

func (c *client) history(e *session.Event, r wire.History) {
	messages, more, err := c.rooms.History(c.user, r.Room, r.Before, r.Limit)
	if err != nil {
		c.refuse(e, r, chat.AsError(err))
		return
	}
	page := wire.Messages{Messages: make([]wire.Message, 0, len(messages)), HasMore: more}
	for _, m := range messages {
		page.Messages = append(page.Messages, wire.Show(m))
	}
	c.ok(e, page)
}

// Deliver implements session.Handler.
func (c *client) Deliver(v any) {
	switch d := v.(type) {
	case *room.Publication:
		c.socket.Send(d.Frames...)
		if d.Gone {
			delete(c.joined, d.Room)
		}
	case room.Reply:
		w, ok := c.waiting[d.Ref]
		if !ok {
			return
		}
		delete(c.waiting, d.Ref)
		if d.Err != nil {
			c.refuse(w.event, w.request, d.Err)
			return
		}
		c.answer(w.event, w.request, d.Body)
	}
}

// Disconnected implements session.Handler.
func (c *client) Disconnected(string) {
	for _, w := range c.waiting {
		if _, ok := w.request.(wire.JoinRoom); ok { // the answer would come too late to be known
			c.joined[w.room] = wire.Both
		}
		w.event.Done()
	}
	for id := range c.joined {
		c.rooms.Tell(id, &room.Leave{Caller: room.Caller{User: c.user, Address: address{c.socket}}})
	}
}
