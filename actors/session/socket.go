package session

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// ErrCallTimeout and ErrDisconnected say why a [Socket.Call] has no answer.
var (
	ErrCallTimeout  = errors.New("session: the client did not acknowledge in time")
	ErrDisconnected = errors.New("session: the client disconnected before it acknowledged")
)

// A Socket is a client in one namespace. Its methods may only be called on the
// session's goroutine, that is from a [Namespace] or [Handler], unless a method
// says otherwise.
type Socket struct {
	session   *session
	namespace string
	id        string
	pid       string
	handler   Handler
	deferred  bool
	groups    []*Groups // that the socket is in
	underWay  int       // events that are not done
	events    uint64    // that there were

	life context.Context // of the work that Go has started; nil before the first
	end  context.CancelFunc

	mu       sync.Mutex       // guards the fields below, which [Groups] use on any goroutine
	state    state            // changes on the session's goroutine only, which may read it without the lock
	after    []engineio.Frame // to be sent behind the confirmation
	calls    map[uint64]call
	lastCall uint64
}

// state is how far a socket's life has come.
type state uint8

const (
	connectingState state = iota // not confirmed yet
	openState
	closedState
)

// call waits for an acknowledgement by the client.
type call struct {
	timer *time.Timer
	done  func(a Answer, err error)
}

// An Answer is what a client acknowledged a [Socket.Call] with.
type Answer struct {
	Args        []json.RawMessage
	Attachments [][]byte // what placeholders in Args number
}

func newSocket(s *session, namespace string) *Socket {
	return &Socket{session: s, namespace: namespace, id: rand.Text()}
}

// ID returns the socket's id, which clients may see. It is not the secret id
// of the connection.
func (s *Socket) ID() string { return s.id }

// Header returns the header of the request that opened the connection.
func (s *Socket) Header() http.Header { return s.session.conn.Header() }

// RemoteAddr returns the address that the connection was opened from.
func (s *Socket) RemoteAddr() string { return s.session.conn.RemoteAddr() }

// Identify sets the id and the private id that the confirmation tells the client.
// With the private id the client can ask for its connection state to be recovered.
// Identify must not be called once the client is confirmed.
func (s *Socket) Identify(id, pid string) { s.id, s.pid = id, pid }

// Defer puts the confirmation off until Confirm is called. It may be called while
// [Namespace.Connect] runs.
func (s *Socket) Defer() { s.deferred = true }

// Confirm tells the client that it is connected. It does nothing if the client
// knows that already, or if the socket is closed.
func (s *Socket) Confirm() {
	if s.state != connectingState {
		return
	}
	s.session.letIn()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = openState
	s.session.send(append([]engineio.Frame{socketio.ConnectFrame(s.namespace, s.id, s.pid)}, s.after...)...)
	s.after = nil
}

// Tell puts v into the session's mailbox for [Handler.Deliver], unless the
// socket is closed by then. It may be called from any goroutine.
func (s *Socket) Tell(v any) { s.session.port.ref.Tell(&delivery{s, v}) }

// Do calls f on the session's goroutine, after what is in its mailbox already,
// unless the socket is closed by then. It may be called from any goroutine.
func (s *Socket) Do(f func()) { s.session.port.ref.Tell(&posted{s, f}) }

// Go calls work on a goroutine of its own. When work has returned, Go calls the
// function then by [Socket.Do]. The context ends with the socket, and work should
// then return soon. A panic in work ends the session, as a panic in a handler does.
func (s *Socket) Go(work func(ctx context.Context) (then func())) {
	if s.life == nil {
		s.life, s.end = context.WithCancel(context.Background())
	}
	ctx := s.life
	go func() {
		defer s.fail()
		s.Do(work(ctx))
	}()
}

// fail passes a panic of the goroutine on to the session.
func (s *Socket) fail() {
	if cause := recover(); cause != nil {
		s.session.port.ref.Tell(&failure{fmt.Errorf("session: a goroutine of a socket panicked: %v\n%s", cause, debug.Stack())})
	}
}

// Drain waits until the client has taken most of what was sent to it. It may be
// called from any goroutine but the session's, which must not wait.
func (s *Socket) Drain(ctx context.Context) error { return s.session.conn.Drain(ctx) }

// Send sends encoded packets to the client. It may be called from any
// goroutine.
func (s *Socket) Send(frames ...engineio.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendLocked(frames...)
}

func (s *Socket) sendLocked(frames ...engineio.Frame) {
	switch s.state {
	case connectingState:
		s.after = append(s.after, frames...)
	case openState:
		s.session.send(frames...)
	}
}

// SendVolatile sends encoded packets, or none of them if they would have to wait
// for the client. It may be called from any goroutine.
func (s *Socket) SendVolatile(frames ...engineio.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == openState {
		s.session.conn.TrySend(frames...)
	}
}

// Emit sends an event whose arguments are JSON.
func (s *Socket) Emit(event string, args ...json.RawMessage) {
	s.Send(socketio.EventFrame(s.namespace, event, args...))
}

// EmitBinary sends an event with attachments, which the arguments number with
// a [socketio.Placeholder] each.
func (s *Socket) EmitBinary(event string, attachments [][]byte, args ...json.RawMessage) {
	s.Send(socketio.Packet{
		Type: socketio.Event, Namespace: s.namespace, Data: socketio.EventData(event, args...), Attachments: attachments,
	}.Frames()...)
}

// Call sends an event. It calls done once, on the session's goroutine, with the
// client's acknowledgement, or with [ErrCallTimeout] or [ErrDisconnected]. If the socket
// is closed already, it calls done before it returns. It may be called from any goroutine.
func (s *Socket) Call(timeout time.Duration, done func(a Answer, err error), event string, args ...json.RawMessage) {
	if !s.call(timeout, done, socketio.EventData(event, args...)) {
		done(Answer{}, ErrDisconnected)
	}
}

// call sends an event for which done will be called. It reports false if the
// socket is closed, and done will not be called.
func (s *Socket) call(timeout time.Duration, done func(a Answer, err error), data json.RawMessage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closedState {
		return false
	}
	if s.calls == nil {
		s.calls = make(map[uint64]call)
	}
	s.lastCall++
	id := s.lastCall
	s.calls[id] = call{s.session.self.After(timeout, &callTimeout{s, id}), done}
	s.sendLocked(socketio.Packet{Type: socketio.Event, Namespace: s.namespace, ID: id, HasID: true, Data: data}.Frames()...)
	return true
}

// returned ends a call. It ignores an acknowledgement that comes too late, or for
// which no call waits.
func (s *Socket) returned(id uint64, a Answer, err error) {
	s.mu.Lock()
	c, ok := s.calls[id]
	delete(s.calls, id)
	s.mu.Unlock()
	if ok {
		c.timer.Stop()
		c.done(a, err)
	}
}

// Disconnect puts the client out of the namespace: an official client does not
// come back by itself. The connection and its other namespaces go on.
func (s *Socket) Disconnect() {
	if s.state != openState {
		return
	}
	s.session.send(socketio.DisconnectFrame(s.namespace))
	s.session.remove(s)
	s.close(ReasonServerDisconnect)
}

// CloseConnection closes the connection with all its namespaces when the queued
// frames have been sent. An official client reconnects.
func (s *Socket) CloseConnection() { s.session.conn.Close(reasonForced) }

// close ends a socket that was admitted. The socket stays in its groups until its
// handler, which may ask for them, knows that it is closed.
func (s *Socket) close(reason string) {
	defer s.leave()
	s.shut()
	s.handler.Disconnected(reason)
}

// refuse ends a socket that was not admitted.
func (s *Socket) refuse() {
	defer s.leave()
	s.shut()
}

// shut makes the socket send nothing more. It ends the socket's calls and its work
// on other goroutines, and frees the places of its events.
func (s *Socket) shut() {
	s.mu.Lock()
	calls := s.calls
	s.state, s.after, s.calls = closedState, nil, nil
	s.mu.Unlock()
	if s.end != nil {
		s.end()
	}
	for s.underWay > 0 {
		s.done()
	}
	for _, c := range calls {
		c.timer.Stop()
		c.done(Answer{}, ErrDisconnected)
	}
}

// leave takes the socket out of its groups.
func (s *Socket) leave() {
	for _, g := range s.groups {
		g.LeaveAll(s)
	}
	s.groups = nil
}

// An Event is an event that the client sent. Like its socket it may only be used on
// the session's goroutine.
type Event struct {
	Name        string
	Args        []json.RawMessage
	Attachments [][]byte // what placeholders in Args number

	Note Note // for the log of requests

	socket *Socket
	number uint64 // of the socket's events
	began  time.Time
	id     uint64
	wanted bool // the client asked for an acknowledgement
	acked  bool
	done   bool
}

// Wanted reports whether the client asked for an acknowledgement.
func (e *Event) Wanted() bool { return e.wanted }

// Ack acknowledges the event if the client asked for that. Only the first call does
// anything.
func (e *Event) Ack(args ...json.RawMessage) {
	if !e.wanted || e.acked {
		return
	}
	e.acked = true
	e.socket.Send(socketio.AckFrame(e.socket.namespace, e.id, args...))
}

// AckBinary is Ack with attachments, which the arguments number with a
// [socketio.Placeholder] each.
func (e *Event) AckBinary(attachments [][]byte, args ...json.RawMessage) {
	if !e.wanted || e.acked {
		return
	}
	e.acked = true
	e.socket.Send(socketio.Packet{
		Type: socketio.Ack, Namespace: e.socket.namespace, ID: e.id, HasID: true,
		Data: socketio.AckData(args...), Attachments: attachments,
	}.Frames()...)
}

// Done frees the event's place in the connection's window. A second call does
// nothing. The end of the socket frees all places that are left.
func (e *Event) Done() {
	if !e.done {
		e.done = true
		e.socket.done()
		e.noted()
	}
}

func (s *Socket) done() {
	if s.underWay > 0 {
		s.underWay--
		s.session.port.done()
	}
}
