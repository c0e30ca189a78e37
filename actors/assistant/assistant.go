// Package assistant serves the namespace /assistant/realtime: it turns what a
// client says there into commands to rooms, and answers into events.
//
//	Event → assistant.Decode → room command → … → room.Reply → answer event, acknowledgement
//	Event → a query of Rooms, on another goroutine → answer event, acknowledgement
//	room.Publication → frames, as the room encoded them, each with the offset → client
//	CONNECT with an offset → rooms joined again → what was missed → confirmation
//
// Every client event is answered by an event, and by an acknowledgement if the client
// asked for one. The name of the answer carries the id that the client sent. Without
// an id it reads "undefined", as the SPA's own names do then.
//
// # Order
//
// Commands reach a room in the order in which the client sent them. What a room
// says reaches the client in the order in which the room said it. While an answer of
// a room waits for the disk, or for records to be read, the room's later answers and
// publications wait behind it: see [queues].
package assistant

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"

	"parlor/actors/door"
	"parlor/actors/emit"
	"parlor/actors/recovery"
	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// Rooms is the part of the rooms that a client needs.
type Rooms interface {
	Open(to room.Recipient) room.Address
	Forget(a room.Address)
	Tell(id chat.RoomID, m room.Message)
	Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)
	History(ctx context.Context, u chat.User, id chat.RoomID, before uint64, limit int) ([]chat.Message, bool, error)
	HistoryOf(ctx context.Context, u chat.User, id chat.RoomID, branch chat.MessageID, before uint64, limit int) ([]chat.Message, bool, error)
	Members(ctx context.Context, u chat.User, id chat.RoomID) ([]chat.Member, error)
	Usage(ctx context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error)
	MarkRead(ctx context.Context, u chat.User, id chat.RoomID, seq uint64) (chat.Unread, error)
	Running(ctx context.Context, u chat.User) ([]chat.Activity, error)
	Watch(u chat.User, w room.Watcher)
	Unwatch(u chat.UserID, w room.Watcher)
	Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error]
}

// A Namespace admits users to the rooms. It is shared by all sessions and must
// not be changed once it serves. Auth and Rooms have no default.
type Namespace struct {
	Auth     door.Authenticator
	Rooms    Rooms
	Recovery *recovery.Table // nil: no connection state is recovered

	Limits  door.Limiter  // nil limits nothing
	Devices *door.Devices // counts connections; nil counts those of this namespace alone

	Sockets *emit.Namespace // where other backends reach clients; nil: nowhere

	// Returned is called for each client that comes back, from any goroutine: whether it was
	// told all that it had missed. It must not block. Nil is not called.
	Returned func(complete bool)

	MaxDevices     int // connections of one user. Zero means any number
	MaxRooms       int // that one socket may have joined. Zero means 100
	MaxReplayBytes int // that a client may have missed and still be recovered. Zero means 512 KiB

	// Replays is what clients that come back have missed. It is ready to use.
	Replays resume.Replays[engineio.Frame]

	devices door.Devices // without Devices
}

func (n *Namespace) maxRooms() int       { return cmp.Or(n.MaxRooms, 100) }
func (n *Namespace) maxReplayBytes() int { return cmp.Or(n.MaxReplayBytes, 512<<10) }

func (n *Namespace) returned(complete bool) {
	if n.Returned != nil {
		n.Returned(complete)
	}
}

// Connect implements session.Namespace. The Authenticator alone decides who the
// client is.
func (n *Namespace) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	visit, e := door.Door{Auth: n.Auth, Limits: n.Limits, Devices: cmp.Or(n.Devices, &n.devices), MaxDevices: n.MaxDevices}.Enter(s, auth)
	if e != nil {
		return nil, &session.Refusal{Message: e.Message, Data: wire.Encode(wire.ConnectError{Code: e.Code, RetryAfter: e.RetryAfter})}
	}
	c := &client{Namespace: n, socket: s, visit: visit}
	var back bool
	if c.user, back = c.standing.Open(n.Recovery, s, visit.SignedIn, auth); back {
		c.comeBack()
	} else if c.standing.AsksToReturn() {
		n.returned(false)
	}
	n.Sockets.Enter(s, c.user.ID)
	s.BelongTo(string(c.user.ID))
	return c, nil
}

// client is one socket in the namespace. Its maps are nil until they are needed:
// many clients do nothing for long.
type client struct {
	*Namespace
	socket   *session.Socket
	address  room.Address // zero until the client needs one
	user     chat.User
	visit    *door.Visit // of the user, but for a guest who has come back
	watcher  *watcher    // nil until the client watches chats
	standing standing
	rooms    map[chat.RoomID]*membership
	waiting  map[uint64]waiting // events that wait for a room's reply, by its Ref
	ref      uint64
	comeback *comeback // nil unless the client has just come back
	queues   queues
	again    *again      // nil until the client asks for another answer without an id
	lastRoom chat.RoomID // that was found or created last, for a join that names none
	gone     bool        // the client has disconnected
}

// waiting is an event that a room has not answered.
type waiting struct {
	event   *session.Event
	request wire.Request
	room    chat.RoomID
}

// recipient passes on to a client what rooms send to its address.
type recipient struct{ socket *session.Socket }

// Deliver implements room.Recipient.
func (r recipient) Deliver(d room.Delivery) { r.socket.Tell(d) }

// Event implements session.Handler.
func (c *client) Event(e *session.Event) {
	request, err := wire.Decode(e.Name, e.Args)
	c.note(e, request)
	if c.visit.ReadOnly && err == nil && !reads(request) {
		err = errReadOnly
	}
	if refusal := c.visit.Take(c.user.ID, wire.Word(e.Name), e); refusal != nil {
		c.visit.Later(func() { c.refuse(e, request, refusal) })
		return
	}
	if err != nil {
		c.refuse(e, request, chat.AsError(err))
		return
	}
	if id, command := c.commandOf(request); command != nil {
		c.tell(e, request, id, command)
		return
	}
	switch r := request.(type) {
	case wire.FindChat:
		c.find(e, r)
	case wire.JoinRoom:
		c.join(e, r)
	case wire.Control:
		c.emit("event_received", r.ID, wire.Success{Success: true})
		c.ok(e, struct{}{})
	case wire.SetTyping, wire.AskPresence, wire.MarkRead, wire.Watch:
		c.signal(e, r)
	case wire.Usage:
		c.usage(e, r)
	case wire.ListMembers:
		c.members(e, r)
	case wire.Renew:
		c.renew(e, r)
	case wire.History:
		c.history(e, r)
	}
}

// commandOf returns the command that a request is to a room, or nil if it is something
// else.
func (c *client) commandOf(request wire.Request) (chat.RoomID, func(room.Caller) room.Message) {
	switch r := request.(type) {
	case wire.CreateRoom:
		return r.Chat.Room(), func(call room.Caller) room.Message {
			return &room.Create{Caller: call, Chat: r.Chat, ModelID: r.ModelID}
		}
	case wire.LeaveRoom:
		return r.Room, func(call room.Caller) room.Message { return &room.Leave{Caller: call} }
	case wire.SendMessage:
		return r.Room, func(call room.Caller) room.Message { return send(call, r, c.standing.originOf(r)) }
	case wire.Stop:
		return r.Room, func(call room.Caller) room.Message {
			return &room.StopTurn{Caller: call, TurnID: r.TurnID, Reason: r.Reason, ClientID: r.ClientID}
		}
	case wire.Regenerate:
		id := c.idOf(r)
		return r.Room, func(call room.Caller) room.Message {
			return &room.Regenerate{Caller: call, Answer: r.MessageID, ModelID: r.ModelID, ClientID: id}
		}
	case wire.Edit:
		return r.Room, func(call room.Caller) room.Message { return edit(call, r, c.standing.Origin("")) }
	case wire.Withdraw:
		return r.Room, func(call room.Caller) room.Message {
			return &room.Withdraw{Caller: call, MessageID: r.MessageID, ClientID: r.ClientID}
		}
	case wire.Move:
		return r.Room, func(call room.Caller) room.Message {
			return &room.MoveTurn{Caller: call, TurnID: r.TurnID, Before: r.Before, ClientID: r.ClientID}
		}
	case wire.Select:
		return r.Room, func(call room.Caller) room.Message {
			return &room.Select{Caller: call, MessageID: r.MessageID, ClientID: r.ClientID}
		}
	case wire.Decide:
		return r.Room, func(call room.Caller) room.Message {
			return room.DecideAs(call, r.Decide)
		}
	case wire.AnswerCall:
		return r.Room, func(call room.Caller) room.Message {
			return room.AnswerCallAs(call, r.AnswerCall)
		}
	case wire.Configure:
		return r.Room, func(call room.Caller) room.Message {
			return &room.Configure{Caller: call, Changes: r.Changes, ClientID: r.ClientID}
		}
	}
	return "", nil
}

// tell sends a command to a room, and remembers the event that its reply answers.
func (c *client) tell(e *session.Event, r wire.Request, id chat.RoomID, command func(room.Caller) room.Message) {
	call := c.caller()
	c.await(call.Ref, waiting{e, r, id})
	if c.queues.holds(behindFind) {
		c.queues.inOrder(behindFind, func() { c.Rooms.Tell(id, command(call)) })
		return
	}
	c.Rooms.Tell(id, command(call))
}

// await remembers the event that a room's reply will answer.
func (c *client) await(ref uint64, w waiting) {
	if c.waiting == nil {
		c.waiting = make(map[uint64]waiting)
	}
	c.waiting[ref] = w
}

// caller signs a command with a number of its own.
func (c *client) caller() room.Caller {
	c.ref++
	return room.Caller{User: c.user, Address: c.reachable(), Ref: c.ref}
}

// reachable returns the client's address. A client gets one when it first needs it,
// since many clients do nothing for long.
func (c *client) reachable() room.Address {
	if c.address.IsZero() {
		c.address = c.Rooms.Open(recipient{c.socket})
	}
	return c.address
}

// Deliver implements session.Handler.
func (c *client) Deliver(v any) {
	switch d := v.(type) {
	case *room.Publication:
		if c.queues.holds(d.Room) {
			c.wait(d)
			return
		}
		c.publish(d)
	case room.Reply:
		if w, ok := c.waiting[d.Ref]; ok && c.queues.holds(w.room) {
			c.queues.inOrder(w.room, func() { c.reply(d) })
			return
		}
		c.reply(d)
	}
}

func (c *client) reply(d room.Reply) {
	if c.comeback != nil && c.comeback.rejoined(d) {
		return
	}
	w, ok := c.waiting[d.Ref]
	if !ok {
		return
	}
	delete(c.waiting, d.Ref)
	if d.Err == nil {
		noteAnswer(w.event, d.Body)
		c.answer(w.event, w.request, d.Body)
		return
	}
	if _, join := w.request.(wire.JoinRoom); join {
		c.notAdmitted(w.room)
	}
	c.refuse(w.event, w.request, d.Err)
}

// Disconnected implements session.Handler. Commands that wait behind a find are
// carried out: the client has sent them.
func (c *client) Disconnected(reason string) {
	c.gone = true
	c.visit.Leave()
	c.Sockets.Leave(c.socket, c.user.ID)
	c.unwatchChats()
	c.queues.proceed(behindFind)
	c.leaveAll()
	c.Rooms.Forget(c.address)
	c.standing.End(reason == session.ReasonClientDisconnect || reason == session.ReasonServerDisconnect)
}
