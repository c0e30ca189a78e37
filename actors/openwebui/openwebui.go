// Package openwebui serves the namespace / for the clients of Open WebUI's real-time layer.
// The events are those of protocol/openwebui.
//
//	session.Event → wire.Decode → rooms (by room.Caller), or the pool
//	POST /api/chat/completions → Namespace.Follow → each socket of the user joins the room
//	room.Publication → frames, as the room encoded them → client
//	connect, usage, disconnect → pool → user-list and usage, to those who may see the user
//
// A socket listens to two kinds of rooms: those that it has asked for (channel:{chat_id}),
// and those in which an answer runs that its user has asked for, on whichever way.
package openwebui

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"

	"parlor/actors/door"
	"parlor/actors/emit"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
	"parlor/protocol/socketio"
)

// Rooms is the part of the rooms that a client needs.
type Rooms interface {
	Open(to room.Recipient) room.Address
	Forget(a room.Address)
	Tell(id chat.RoomID, m room.Message)
	Running(ctx context.Context, u chat.User) ([]chat.Activity, error)
	Circle(ctx context.Context, u chat.User) (chat.Circle, error)
	Channels(ctx context.Context, u chat.User) ([]chat.Info, error)
	Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error]
	MarkRead(ctx context.Context, u chat.User, id chat.RoomID, seq uint64) (chat.Unread, error)
}

// A Namespace admits users to the rooms. It is shared by all sessions and must not be
// changed once it serves. Auth, Rooms and Devices have no default.
type Namespace struct {
	Auth    door.Authenticator
	Rooms   Rooms
	Devices *door.Devices
	Limits  door.Limiter    // nil limits nothing
	Sockets *emit.Namespace // where other backends reach clients; nil: nowhere

	MaxDevices int // connections of one user. Zero means any number
	MaxRooms   int // that one socket may have joined. Zero means 100
	MaxListed  int // users of whom a client is told that they are there. Zero means 100

	groups session.Groups // by groupOf
	pool   pool
}

func (n *Namespace) maxRooms() int  { return cmp.Or(n.MaxRooms, 100) }
func (n *Namespace) maxListed() int { return cmp.Or(n.MaxListed, 100) }

// Connect implements session.Namespace. The Authenticator alone decides who the client is.
func (n *Namespace) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	form, refusal := wire.FormOf(auth)
	var visit *door.Visit
	if refusal == nil {
		visit, refusal = door.Door{Auth: n.Auth, Limits: n.Limits, Devices: n.Devices, MaxDevices: n.MaxDevices}.Enter(s, auth)
	}
	if refusal != nil {
		return nil, &session.Refusal{Message: refusal.Message, Data: socketio.Argument(connectError{refusal.Code, refusal.RetryAfter})}
	}
	c := &client{
		Namespace: n, socket: s, visit: visit, user: visit.SignedIn, form: form,
		rooms: make(map[chat.RoomID]*membership), waiting: make(map[uint64]func(room.Reply)),
	}
	s.BelongTo(string(c.user.ID))
	n.pool.enter(c)
	n.Sockets.Enter(s, c.user.ID)
	c.arrive()
	return c, nil
}

type connectError struct {
	Code       chat.Code `json:"code"`
	RetryAfter int       `json:"retry_after,omitempty"`
}

// client is one socket in the namespace.
type client struct {
	*Namespace
	socket  *session.Socket
	visit   *door.Visit
	user    chat.User
	form    wire.Form
	address room.Address // zero until the client needs one
	ref     uint64
	waiting map[uint64]func(room.Reply) // what follows the reply of a room, by its Ref
	rooms   map[chat.RoomID]*membership
	used    uint64 // counts up with each use of a membership
}

// recipient passes on to a client what rooms send to its address.
type recipient struct{ socket *session.Socket }

// Deliver implements room.Recipient.
func (r recipient) Deliver(d room.Delivery) { r.socket.Tell(d) }

// arrive finds out whom the client may see, and which of its user's answers are running.
func (c *client) arrive() {
	c.socket.Go(func(ctx context.Context) func() {
		c.pool.lookAround(ctx, c)
		running, _ := c.Rooms.Running(ctx, c.user) // without them the page reads the chat
		return func() {
			c.comeBack()
			c.followRunning(running)
		}
	})
}

// Event implements session.Handler.
func (c *client) Event(e *session.Event) {
	request, refusal := wire.Decode(e.Name, e.Args)
	c.note(e, request)
	if c.visit.ReadOnly && refusal == nil && !reads(request) {
		refusal = errReadOnly
	}
	if late := c.visit.Take(c.user.ID, wire.Word(e.Name), e); late != nil {
		c.visit.Later(func() { refuse(e, late) })
		return
	}
	if refusal != nil {
		refuse(e, refusal)
		return
	}
	switch r := request.(type) {
	case wire.UserJoin:
		c.userJoin(e, r)
	case wire.JoinChannels:
		c.joinChannels(e, r)
	case wire.Usage:
		c.pool.use(c, r.Model)
		ok(e, nil)
	case wire.ListUsers:
		c.pool.ask(c)
		ok(e, nil)
	case wire.Typing:
		c.typing(e, r)
	case wire.MarkRead:
		c.markRead(e, r)
	default: // nothing comes of it
		ok(e, nil)
	}
}

// note says in the event's line of the log what the event is about.
func (c *client) note(e *session.Event, request wire.Request) {
	e.Note.Event, e.Note.User = wire.Word(e.Name), string(c.user.ID)
	switch r := request.(type) {
	case wire.Typing:
		e.Note.Room = string(r.Chat.Room())
	case wire.MarkRead:
		e.Note.Room = string(r.Chat.Room())
	}
}

var errReadOnly = chat.Refuse(chat.CodeForbidden, "this API key may only read")

// reads reports whether a request changes nothing for others.
func reads(r wire.Request) bool {
	switch r.(type) {
	case wire.Typing, wire.MarkRead, wire.Usage:
		return false
	}
	return true
}

// ok acknowledges an event with {ok:true} and the field, if there is one.
func ok(e *session.Event, fields map[string]any) {
	answer := map[string]any{"ok": true}
	for name, value := range fields {
		answer[name] = value
	}
	e.Ack(socketio.Argument(answer))
	e.Done()
}

// refuse acknowledges an event with the refusal.
func refuse(e *session.Event, refusal *chat.Error) {
	e.Note.Outcome = string(refusal.Code)
	if refusal.Code.Fault() {
		refusal = refusal.Of(e.RequestID())
	}
	e.Ack(socketio.Argument(map[string]any{"ok": false, "error": refusal}))
	e.Done()
}

func (c *client) userJoin(e *session.Event, r wire.UserJoin) {
	c.renew(e, r.Token, func() {
		user := wire.UserOf(c.user)
		c.joinMyChannels(func([]joinedChannel, *chat.Error) { // what cannot be joined now can be later
			e.Ack(socketio.Argument(map[string]any{"id": user.ID, "name": user.Name}))
			e.Done()
		})
		c.arrive()
	})
}

// renew takes a new token, if the client has sent one, and goes on.
func (c *client) renew(e *session.Event, token string, then func()) {
	if token == "" {
		then()
		return
	}
	c.visit.Renew(c.user.ID, token, func(_ chat.SignIn, refusal *chat.Error) {
		if refusal != nil {
			refuse(e, refusal)
			return
		}
		then()
	})
}

func (c *client) markRead(e *session.Event, r wire.MarkRead) {
	c.socket.Go(func(ctx context.Context) func() {
		left, err := c.Rooms.MarkRead(ctx, c.user, r.Chat.Room(), ^uint64(0))
		return func() {
			if err != nil {
				refuse(e, chat.AsError(err))
				return
			}
			ok(e, map[string]any{"last_seq": left.LastSeq, "unread": left.Unread})
		}
	})
}

// Deliver implements session.Handler.
func (c *client) Deliver(v any) {
	switch d := v.(type) {
	case *room.Publication:
		c.publish(d)
	case room.Reply:
		if then, ok := c.waiting[d.Ref]; ok {
			delete(c.waiting, d.Ref)
			then(d)
		}
	}
}

// tell sends a command to a room, and calls then with the reply.
func (c *client) tell(id chat.RoomID, command func(room.Caller) room.Message, then func(room.Reply)) {
	if c.address.IsZero() {
		c.address = c.Rooms.Open(recipient{c.socket})
	}
	c.ref++
	c.waiting[c.ref] = then
	c.Rooms.Tell(id, command(room.Caller{User: c.user, Address: c.address, Ref: c.ref}))
}

// Disconnected implements session.Handler.
func (c *client) Disconnected(reason string) {
	c.visit.Leave()
	c.pool.leave(c)
	c.remember(reason)
	c.Sockets.Leave(c.socket, c.user.ID)
	for id := range c.rooms {
		c.Rooms.Tell(id, &room.Leave{Caller: room.Caller{User: c.user, Address: c.address}})
	}
	for _, then := range c.waiting {
		then(room.Reply{Err: errGone})
	}
	c.Rooms.Forget(c.address)
}

var errGone = chat.Refuse(chat.CodeBusy, "the connection has ended")
