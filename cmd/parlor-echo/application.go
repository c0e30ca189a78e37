package main

import (
	"encoding/json"
	"time"

	"parlor/actors/recovery"
	"parlor/actors/resume"
	"parlor/actors/session"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// The limits of one client. Events that would exceed them are ignored.
const (
	maxRooms     = 1000
	maxRoomID    = 256 // bytes of a room's id
	maxQuestions = 100 // that it has not answered
)

// namespaces returns an application for each namespace. The suites expect the first two
// to send back what a client sent as authentication. If seats is nil, clients that lost
// their connection begin anew.
func namespaces(seats *recovery.Table) map[string]session.Namespace {
	all := make(map[string]session.Namespace)
	for name, greets := range map[string]bool{"/": true, "/custom": true, "/assistant/realtime": false} {
		a := &application{namespace: name, greets: greets}
		if seats != nil {
			a.history = &history{seats: seats}
		}
		all[name] = a
	}
	return all
}

// An application serves one namespace.
type application struct {
	namespace string
	greets    bool
	groups    session.Groups
	history   *history // nil: clients that lost their connection begin anew
}

// Connect implements session.Namespace.
func (a *application) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	c := &client{app: a, socket: s}
	if a.history == nil {
		a.groups.Join(s)
		c.greet(auth)
		return c, nil
	}
	if _, back := c.standing.Open(a.history.seats, s, chat.User{}, auth); !back || !c.comeBack() {
		c.begin(auth)
	}
	return c, nil
}

// An event is what a client is sent.
type event struct {
	namespace   string
	name        string
	args        []json.RawMessage
	attachments [][]byte
}

func (e event) frames() []engineio.Frame {
	return socketio.Packet{
		Type: socketio.Event, Namespace: e.namespace, Data: socketio.EventData(e.name, e.args...), Attachments: e.attachments,
	}.Frames()
}

// A client is one client in one namespace. It implements session.Handler.
type client struct {
	app       *application
	socket    *session.Socket
	standing  resume.Standing
	place     *resume.Place // in the history, nil without one
	questions int
}

// begin gives a client with a new seat a place in the history, and then confirms it.
func (c *client) begin(auth json.RawMessage) {
	c.socket.Defer()
	c.standing.Join(inHistory, "", "", c.app.history.number(), func(p *resume.Place) {
		c.place = p
		c.app.groups.Join(c.socket)
		c.socket.Confirm()
		c.greet(auth)
	})
}

// comeBack puts the client into its groups again, and tells it what it has missed. If
// that is not possible it gives the client a new seat, and reports false.
func (c *client) comeBack() bool {
	var groups []string
	for _, p := range c.standing.Places() {
		if p.Room == inHistory {
			c.place = p
			continue
		}
		groups = append(groups, string(p.Room))
	}
	if c.place != nil {
		if missed, ok := c.app.history.enter(&c.app.groups, c.socket, groups, c.place.Seq()); ok {
			for _, p := range missed {
				c.Deliver(p)
			}
			return true
		}
	}
	c.standing.Begin()
	return false
}

// greet tells the client what it sent as authentication.
func (c *client) greet(auth json.RawMessage) {
	if !c.app.greets {
		return
	}
	if auth == nil {
		auth = json.RawMessage(`{}`)
	}
	c.emit("auth", nil, auth)
}

// Event implements session.Handler. Other events than these are ignored.
func (c *client) Event(e *session.Event) {
	defer e.Done()
	switch e.Name {
	// Of the conformance suite.
	case "message":
		c.emit("message-back", e.Attachments, e.Args...)
	case "message-with-ack":
		e.AckBinary(e.Attachments, e.Args...)

	// Of the application that servers are compared with.
	case "join_room":
		c.join(e)
	case "send_message":
		c.send(e)
	case "echo":
		e.AckBinary(e.Attachments, e.Args...)

	// Of neither: other things that a server can do.
	case "message-volatile":
		c.socket.SendVolatile(c.event("message-back", e.Attachments, e.Args...).frames()...)
	case "ask":
		c.ask(e)
	}
}

// join takes {room_id}.
func (c *client) join(e *session.Event) {
	var request struct {
		RoomID string `json:"room_id"`
	}
	joined := max(len(c.app.groups.Of(c.socket)), len(c.standing.Places()))
	if !decode(e, &request) || len(request.RoomID) > maxRoomID || joined > maxRooms {
		return
	}
	name := group(request.RoomID)
	c.standing.Join(chat.RoomID(name), "", "", 0, func(*resume.Place) {
		c.app.groups.Join(c.socket, name)
		body := socketio.AppendString([]byte(`{"room_id":`), request.RoomID)
		c.emit("room_joined "+request.RoomID, nil, append(body, '}'))
	})
}

// send takes {room_id, message: {id, …}}.
func (c *client) send(e *session.Event) {
	var request struct {
		RoomID  string `json:"room_id"`
		Message json.RawMessage
	}
	var message struct{ ID json.RawMessage }
	if !decode(e, &request) || json.Unmarshal(request.Message, &message) != nil {
		return
	}
	c.emit("message_sent "+text(message.ID), nil, json.RawMessage(`{"success":true}`))
	received := c.event("receive_message "+request.RoomID, e.Attachments, request.Message)
	c.app.broadcast(group(request.RoomID), c.socket.ID(), received)
}

// ask takes a number of milliseconds, and arguments with which it asks the client in
// return. It acknowledges with null and the client's answer, or with an error.
func (c *client) ask(e *session.Event) {
	var milliseconds int64
	if !decode(e, &milliseconds) || c.questions == maxQuestions {
		return
	}
	c.questions++
	c.socket.Call(time.Duration(milliseconds)*time.Millisecond, func(a session.Answer, err error) {
		c.questions--
		if err != nil {
			e.Ack(socketio.AppendString(nil, err.Error()))
			return
		}
		e.AckBinary(a.Attachments, append([]json.RawMessage{nil}, a.Args...)...)
	}, "question", e.Args[1:]...)
}

// group returns the name of a room's group. No socket's id looks like it.
func group(roomID string) string { return "room " + roomID }

// decode reads an event's first argument.
func decode(e *session.Event, into any) bool {
	return len(e.Args) > 0 && json.Unmarshal(e.Args[0], into) == nil
}

// text returns the text of a JSON string, and any other JSON as it is.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return string(value)
	}
	return s
}

// emit sends an event to the client. With a history the event takes its turn in the
// mailbox, so that an acknowledgement may overtake it.
func (c *client) emit(name string, attachments [][]byte, args ...json.RawMessage) {
	c.app.broadcast(c.socket.ID(), "", c.event(name, attachments, args...))
}

// broadcast sends an event to the clients in one group, but not to those in another.
func (a *application) broadcast(to, except string, e event) {
	if a.history != nil {
		a.history.broadcast(&a.groups, to, except, e)
		return
	}
	a.groups.Broadcast([]string{to}, []string{except}, e.frames()...)
}

func (c *client) event(name string, attachments [][]byte, args ...json.RawMessage) event {
	return event{c.app.namespace, name, args, attachments}
}

// Deliver implements session.Handler. It sends an event of the history, with the offset
// of a client that has got it.
func (c *client) Deliver(v any) {
	p := v.(packet)
	c.socket.Send(p.with(c.standing.Advance(c.place, p.number, 1).Last())...)
}

// Disconnected implements session.Handler.
func (c *client) Disconnected(reason string) {
	c.standing.End(reason == session.ReasonClientDisconnect || reason == session.ReasonServerDisconnect)
}
