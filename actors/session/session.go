// Package session serves Socket.IO clients: one actor for each connection.
//
//	Conn → Port.Receive → decode → session actor → Handler.Event → room …
//	room → Socket.Tell → session actor → Handler.Deliver → Socket.Send → Conn
//	Groups.Broadcast → Socket.Send of each → Conn
//	Handler → Socket.Go → work on another goroutine → session actor → what follows it
//
// # Ordering
//
// The packets of a connection are handled one at a time, in the order in which
// the client sent them. What the handler sends reaches the client in the order
// of the calls.
//
// # Limits
//
// A mailbox is unbounded, so a connection may only have [Options.Window]
// events that are not done, and all connections of one user [Options.UserWindow]:
// past it, nothing more is read from the client. In
// the other direction a session never waits: the Conn bounds its queue and
// closes itself when the client does not read.
//
// Anything that breaks the protocol closes the connection, as the reference
// server does. By itself the session never sends a DISCONNECT: official clients
// do not come back after one. [Socket.Disconnect] is for applications that want
// just that.
package session

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"parlor/actors/system"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// A Conn is the part of an Engine.IO connection that a session needs.
type Conn interface {
	// Header returns the header of the request that opened the connection.
	Header() http.Header

	// RemoteAddr returns the address that the connection was opened from.
	RemoteAddr() string

	// Send queues frames and never blocks. After an error the connection
	// closes by itself.
	Send(frames ...engineio.Frame) error

	// TrySend queues the frames if they can be written at once, and otherwise
	// drops all of them.
	TrySend(frames ...engineio.Frame)

	// Drain waits until the client has taken most of what is queued, the
	// connection has ended, or ctx has, whose error it then returns.
	Drain(ctx context.Context) error

	// LetIn is called when the client has entered its first namespace. Until then
	// the connection may hold it to smaller limits.
	LetIn()

	// Close closes the connection when the queued frames have been sent. It
	// does not wait for that.
	Close(reason string)
}

// A Namespace is the application behind one Socket.IO namespace.
type Namespace interface {
	// Connect admits a client or refuses it. It runs on the session's
	// goroutine. What it sends reaches the client after the confirmation, which
	// it may put off: see [Socket.Defer]. A refused client stays connected to
	// other namespaces, and may try again a few times until the connect timeout.
	Connect(s *Socket, auth json.RawMessage) (Handler, *Refusal)
}

// A Refusal tells a client why it may not enter a namespace.
type Refusal struct {
	Message string
	Data    json.RawMessage // optional
}

// A Handler serves one client in one namespace. Its methods are called on the
// session's goroutine, one at a time, and must not block: all namespaces of the
// connection wait for them. Work that waits for something runs in [Socket.Go].
type Handler interface {
	// Event handles an event of the client. Its Done must be called once, now
	// or later, unless the socket closes before.
	Event(e *Event)

	// Deliver handles a value that [Socket.Tell] was called with.
	Deliver(v any)

	// Disconnected is the last call. The socket is closed already.
	Disconnected(reason string)
}

// Options configure the sessions of a server. Namespaces has no default.
type Options struct {
	Namespaces     map[string]Namespace
	ConnectTimeout time.Duration // until the first namespace is connected. Zero means 45 seconds
	Window         int           // events of one connection that are not done. Zero means 128
	UserWindow     int           // those of all connections of one user, of which one connection may have half. Zero means no limit
	Logger         *slog.Logger  // nil discards

	Turns Turns // of users. Nil has nothing wait

	// Done is called for each event that is done, on the session's goroutine. It must not
	// block. Nil is not called.
	Done func(Note)

	// MaxPacketBytes limits a packet with its attachments. Zero means
	// [socketio.DefaultMaxBytes].
	MaxPacketBytes int

	// MaxAuthBytes limits the payload of a CONNECT. A longer one is refused
	// without being parsed. Zero means 16 KiB.
	MaxAuthBytes int

	// MaxRefusals is how many CONNECTs of a connection may be refused before one is
	// confirmed. The last of them closes it. Zero means 5.
	MaxRefusals int
}

// Turns says whose turn it is. It may be used from any goroutine.
type Turns interface {
	// Begin begins an event of a user, of so many bytes, and returns how long it has to
	// wait.
	Begin(user string, bytes int) (wait time.Duration)

	// Charge makes the user's next event wait as it would behind one of so many bytes.
	Charge(user string, bytes int)

	// End ends an event that has begun.
	End(user string)
}

// Sessions makes a session for each connection. It may be used from any
// goroutine and needs no closing: sessions end with their connections.
type Sessions struct {
	sys     *system.System
	options Options
	shares  shares
}

// New returns a maker of sessions.
func New(sys *system.System, o Options) *Sessions {
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 45*time.Second)
	o.Window = cmp.Or(o.Window, 128)
	if o.UserWindow > 0 {
		o.Window = min(o.Window, max(1, o.UserWindow/2))
	}
	o.MaxAuthBytes = cmp.Or(o.MaxAuthBytes, 16<<10)
	o.MaxRefusals = cmp.Or(o.MaxRefusals, 5)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &Sessions{sys: sys, options: o, shares: shares{size: o.UserWindow, users: make(map[string]*share)}}
}

// Open starts the session of a connection, and returns the port to which the
// connection delivers what it reads. The session ends when the connection is closed.
func (s *Sessions) Open(c Conn) *Port {
	p := &Port{
		conn: c, decoder: socketio.Decoder{MaxBytes: s.options.MaxPacketBytes, MaxConnectBytes: s.options.MaxAuthBytes},
		window: make(chan struct{}, s.options.Window), ended: make(chan struct{}), membership: membership{shares: &s.shares, turns: s.options.Turns},
	}
	ref, err := system.Spawn(s.sys, system.Spec[message]{
		Kind: Kind, About: p,
		New:    func() system.Actor[message] { return &session{options: &s.options, port: p, conn: c} },
		Policy: system.Stop,
	})
	if err != nil {
		panic("session: spawn: " + err.Error()) // ids are unique
	}
	p.ref = ref
	return p
}

// With these reasons a Handler learns that its client has left for good. With any
// other reason the connection has ended, and the client may come back.
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
)

// Reasons for which a session closes its connection.
const (
	reasonParse  = "parse error"
	reasonForced = "forced close"
)

// message is what a session's mailbox accepts.
type message interface{ sessionMessage() }

type (
	received struct {
		packet  socketio.Packet
		tooLong bool // a CONNECT, whose payload was dropped
	}
	closed   struct{ reason string }
	delivery struct {
		socket *Socket
		value  any
	}
	posted struct {
		socket *Socket
		do     func()
	}
	failure     struct{ cause error } // of a goroutine that a socket has started
	callTimeout struct {
		socket *Socket
		id     uint64
	}
	connectTimeout struct{}
)

func (*received) sessionMessage()       {}
func (*closed) sessionMessage()         {}
func (*delivery) sessionMessage()       {}
func (*posted) sessionMessage()         {}
func (*failure) sessionMessage()        {}
func (*callTimeout) sessionMessage()    {}
func (*connectTimeout) sessionMessage() {}

// session is the actor.
type session struct {
	options *Options
	port    *Port
	conn    Conn
	self    *system.Self[message]
	refused int         // CONNECTs
	sockets []*Socket   // few: a slice is smaller than a map
	timer   *time.Timer // until the first namespace is connected, then nil
}

// Started implements system.Actor.
func (s *session) Started(self *system.Self[message]) {
	s.self = self
	s.timer = self.After(s.options.ConnectTimeout, &connectTimeout{})
}

// Receive implements system.Actor.
func (s *session) Receive(m message) {
	switch m := m.(type) {
	case *received:
		s.packet(m.packet, m.tooLong)
	case *delivery:
		if m.socket.state != closedState {
			m.socket.handler.Deliver(m.value)
		}
	case *posted:
		if m.socket.state != closedState {
			m.do()
		}
	case *failure:
		panic(m.cause)
	case *callTimeout:
		m.socket.returned(m.id, Answer{}, ErrCallTimeout)
	case *connectTimeout:
		s.conn.Close(reasonForced)
	case *closed:
		s.end(m.reason)
		s.self.Ref().Stop()
	}
}

// Stopping implements system.Actor. After a panic the sockets are still open, and
// the connection must not outlive its session.
func (s *session) Stopping() {
	defer close(s.port.ended)
	defer s.conn.Close(reasonForced)
	defer s.port.membership.end()
	s.stay()
	s.end(reasonForced)
}

// stay ends the connect timeout. The timer is dropped, since a connection may live
// for days.
func (s *session) stay() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// end closes all sockets. If a handler panics the other sockets are closed too.
func (s *session) end(reason string) {
	if len(s.sockets) == 0 {
		return
	}
	socket := s.sockets[0]
	s.sockets = s.sockets[1:]
	defer s.end(reason)
	socket.close(reason)
}

// packet handles a packet and frees its place in the window. The place of an event
// is freed by its handler, or by the end of its socket.
func (s *session) packet(p socketio.Packet, tooLong bool) {
	socket := s.socket(p.Namespace)
	switch {
	case tooLong && socket == nil:
		s.refuse(p.Namespace, &Refusal{Message: fmt.Sprintf("auth must not be longer than %d bytes", s.options.MaxAuthBytes)})
	case p.Type == socketio.Connect && socket == nil:
		s.connect(p)
	case socket == nil, socket.state != openState, p.Type == socketio.Connect, p.Type == socketio.ConnectError:
		s.conn.Close(reasonParse)
	case p.Type == socketio.Event, p.Type == socketio.BinaryEvent:
		s.event(socket, p)
		return
	case p.Type == socketio.Ack, p.Type == socketio.BinaryAck:
		socket.returned(p.ID, Answer{p.Args(), p.Attachments}, nil)
	case p.Type == socketio.Disconnect:
		s.remove(socket)
		socket.close(ReasonClientDisconnect)
	}
	s.port.done()
}

func (s *session) socket(namespace string) *Socket {
	for _, socket := range s.sockets {
		if socket.namespace == namespace {
			return socket
		}
	}
	return nil
}

func (s *session) remove(socket *Socket) {
	for i, other := range s.sockets {
		if other == socket {
			s.sockets = append(s.sockets[:i], s.sockets[i+1:]...)
			return
		}
	}
}

func (s *session) event(socket *Socket, p socketio.Packet) {
	name, args := p.Event()
	socket.underWay++
	socket.events++
	e := &Event{Name: name, Args: args, Attachments: p.Attachments, socket: socket, number: socket.events, id: p.ID, wanted: p.HasID}
	if s.options.Done != nil {
		e.began = time.Now()
	}
	socket.handler.Event(e)
}

// send queues frames. After an error the connection is closing, and the session
// will be told so.
func (s *session) send(frames ...engineio.Frame) { _ = s.conn.Send(frames...) }
