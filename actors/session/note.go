package session

import (
	"strconv"
	"time"
)

// A Note is what the log of requests says of an event that is done. It has ids, and nobody's
// words. The handler fills in what it knows.
type Note struct {
	Event   string // the name, if the wire knows it
	User    string
	Room    string
	Message string
	Turn    string
	Outcome string // the code of a refusal; "" if there was none

	// These are the session's.
	Namespace string
	Socket    string // see [Socket.ID]
	Request   string // see [Event.RequestID]
	Took      time.Duration
}

// RequestID returns an id of the event that no other one has. Clients may see it.
func (e *Event) RequestID() string { return e.socket.id + "-" + strconv.FormatUint(e.number, 10) }

// noted tells the log of requests that the event is done.
func (e *Event) noted() {
	done := e.socket.session.options.Done
	if done == nil {
		return
	}
	n := e.Note
	n.Namespace, n.Socket, n.Request, n.Took = e.socket.namespace, e.socket.id, e.RequestID(), time.Since(e.began)
	done(n)
}
