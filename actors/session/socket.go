package session

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// ErrCallTimeout and ErrDisconnected are why a [Socket.Call] has no answer.
var (
	ErrCallTimeout  = errors.New("session: the client did not acknowledge in time")
	ErrDisconnected = errors.New("session: the client disconnected before it acknowledged")
)

// A Socket is a client in one namespace. All methods but Tell may only be
// called on the session's goroutine, that is from a [Namespace] or [Handler].
type Socket struct {
	session   *session
	namespace string
	id        string
	handler   Handler
	open      bool
	early     []engineio.Frame // sent before the client was admitted
	calls     map[uint64]call
	lastCall  uint64
}

// call waits for an acknowledgement by the client.
type call struct {
	timer *time.Timer
	done  func(args []json.RawMessage, err error)
}

func newSocket(s *session, namespace string) *Socket {
	return &Socket{session: s, namespace: namespace, id: rand.Text()}
}

// ID returns the socket's id, which clients may see. It is not the secret id
// of the connection.
func (s *Socket) ID() string { return s.id }

// Header returns the header of the request that opened the connection.
func (s *Socket) Header() http.Header { return s.session.conn.Header() }

// Tell puts v into the session's mailbox for [Handler.Deliver], unless the
// socket is closed by then. It may be called from any goroutine.
func (s *Socket) Tell(v any) { s.session.port.ref.Tell(&told{s, v}) }

// Send sends encoded packets to the client.
func (s *Socket) Send(frames ...engineio.Frame) {
	if !s.open {
		s.early = append(s.early, frames...)
		return
	}
	s.session.send(frames...)
}

// Emit sends an event whose arguments are JSON.
func (s *Socket) Emit(event string, args ...json.RawMessage) {
	s.Send(socketio.EventFrame(s.namespace, event, args...))
}

// Call sends an event and calls done, on the session's goroutine, once: with
// what the client acknowledges, or with [ErrCallTimeout] or [ErrDisconnected].
func (s *Socket) Call(timeout time.Duration, done func(args []json.RawMessage, err error), event string, args ...json.RawMessage) {
	if s.calls == nil {
		s.calls = make(map[uint64]call)
	}
	s.lastCall++
	id := s.lastCall
	s.calls[id] = call{s.session.self.After(timeout, &callTimeout{s, id}), done}
	s.Send(socketio.Packet{
		Type: socketio.Event, Namespace: s.namespace, ID: id, HasID: true, Data: socketio.EventData(event, args...),
	}.Frames()...)
}

// returned ends a call. What comes too late or was never asked for is ignored.
func (s *Socket) returned(id uint64, args []json.RawMessage, err error) {
	c, ok := s.calls[id]
	if !ok {
		return
	}
	delete(s.calls, id)
	c.timer.Stop()
	c.done(args, err)
}

func (s *Socket) close(reason string) {
	s.open = false
	for id := range s.calls {
		s.returned(id, nil, ErrDisconnected)
	}
	s.handler.Disconnected(reason)
}

// An Event is an event that the client sent. Like its socket it belongs to the
// session's goroutine.
type Event struct {
	Name        string
	Args        []json.RawMessage
	Attachments [][]byte // what placeholders in Args number

	socket *Socket
	id     uint64
	wanted bool // the client asked for an acknowledgement
	acked  bool
	done   bool
}

// Wanted reports whether the client asked for an acknowledgement.
func (e *Event) Wanted() bool { return e.wanted }

// Ack acknowledges the event, if the client asked for it and the first time only.
func (e *Event) Ack(args ...json.RawMessage) {
	if !e.wanted || e.acked {
		return
	}
	e.acked = true
	e.socket.Send(socketio.AckFrame(e.socket.namespace, e.id, args...))
}

// Done frees the event's place in the connection's window. The second call
// does nothing.
func (e *Event) Done() {
	if !e.done {
		e.done = true
		e.socket.session.port.done()
	}
}
