package main

import (
	"encoding/json"
	"time"

	"parlor/actors/session"
	"parlor/protocol/socketio"
)

// What one client may have. What goes beyond is ignored.
const (
	maxRooms     = 1000
	maxRoomID    = 256 // bytes of a room's id
	maxQuestions = 100 // that it has not answered
)

// namespaces returns an application for each namespace. In the first two the
// suites want to be told what they sent as authentication.
func namespaces(recover bool) map[string]session.Namespace {
	all := make(map[string]session.Namespace)
	for name, greets := range map[string]bool{"/": true, "/custom": true, "/assistant/realtime": false} {
		a := &application{namespace: name, greets: greets}
		if recover {
			a.recovery = &recovery{groups: &a.groups}
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
	recovery  *recovery // nil: there is none
}

// Connect implements session.Namespace.
func (a *application) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	c := &client{app: a, socket: s}
	if a.recovery != nil {
		c.pid = a.recovery.connect(s, auth)
	} else {
		a.groups.Join(s)
	}
	if a.greets {
		if auth == nil {
			auth = json.RawMessage(`{}`)
		}
		c.emit("auth", nil, auth)
	}
	return c, nil
}

// broadcast sends an event to groups, and has it remembered for those of their
// clients that are just reconnecting.
func (a *application) broadcast(to, except []string, e event) {
	if a.recovery != nil {
		a.recovery.broadcast(to, except, e)
		return
	}
	a.groups.Broadcast(to, except, e.frames()...)
}

// A client is one client in one namespace. It implements session.Handler.
type client struct {
	app       *application
	socket    *session.Socket
	pid       string // with recovery
	questions int
}

// Event implements session.Handler. Other events than these are ignored.
func (c *client) Event(e *session.Event) {
	defer e.Done()
	switch e.Name {
	// The conformance suite's.
	case "message":
		c.emit("message-back", e.Attachments, e.Args...)
	case "message-with-ack":
		e.AckBinary(e.Attachments, e.Args...)

	// Those of the application that servers are compared with.
	case "join_room":
		c.join(e)
	case "send_message":
		c.send(e)
	case "echo":
		e.AckBinary(e.Attachments, e.Args...)

	// What else a server can do.
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
	if !decode(e, &request) || len(request.RoomID) > maxRoomID || len(c.app.groups.Of(c.socket)) > maxRooms {
		return
	}
	c.app.groups.Join(c.socket, group(request.RoomID))
	body := socketio.AppendString([]byte(`{"room_id":`), request.RoomID)
	c.emit("room_joined "+request.RoomID, nil, append(body, '}'))
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
	c.app.broadcast([]string{group(request.RoomID)}, []string{c.socket.ID()}, received)
}

// ask takes a number of milliseconds and what to ask the client in return. It
// acknowledges with null and the client's answer, or with why there was none.
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

// group returns the name of a room's group, which is no socket's id.
func group(roomID string) string { return "room " + roomID }

// decode reads an event's first argument.
func decode(e *session.Event, into any) bool {
	return len(e.Args) > 0 && json.Unmarshal(e.Args[0], into) == nil
}

// text returns what the JSON of a string says, and other JSON as it is.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return string(value)
	}
	return s
}

// emit sends an event to the client.
func (c *client) emit(name string, attachments [][]byte, args ...json.RawMessage) {
	c.app.broadcast([]string{c.socket.ID()}, nil, c.event(name, attachments, args...))
}

func (c *client) event(name string, attachments [][]byte, args ...json.RawMessage) event {
	return event{c.app.namespace, name, args, attachments}
}

// Deliver implements session.Handler: nothing is told to these sockets.
func (c *client) Deliver(any) {}

// Disconnected implements session.Handler.
func (c *client) Disconnected(reason string) {
	if c.app.recovery != nil {
		c.app.recovery.disconnected(c.socket, c.pid, reason)
	}
}
