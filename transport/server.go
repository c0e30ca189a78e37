package transport

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// The defaults of [Options]. Those that clients are told are the reference
// implementation's.
const (
	DefaultPingInterval = 25 * time.Second
	DefaultPingTimeout  = 20 * time.Second
	DefaultMaxPayload   = 1_000_000
	DefaultQueueBytes   = 1 << 20
	DefaultWriteTimeout = 10 * time.Second
	DefaultCloseTimeout = 5 * time.Second
)

// Options configure a [Server]. The zero value is ready to use: it accepts
// same-origin browsers and all other programs, and drops what they send.
type Options struct {
	// Accept is called once for each connection that has been opened, before
	// anything is read from it, and returns who receives what it sends. It
	// may call the Conn's methods. Nil drops everything.
	Accept func(*Conn) Receiver

	// PingInterval is the time between a pong and the next ping. Zero means
	// DefaultPingInterval.
	PingInterval time.Duration

	// PingTimeout is how long a client may take to answer a ping. Zero means
	// DefaultPingTimeout.
	PingTimeout time.Duration

	// MaxPayload is the number of bytes in one message of a client. Zero
	// means DefaultMaxPayload.
	MaxPayload int

	// QueueBytes is how much may wait to be sent to one client, see
	// [Conn.Send]. Zero means DefaultQueueBytes.
	QueueBytes int

	// WriteTimeout is how long a client may take to read anything of what is
	// being written to it. Zero means DefaultWriteTimeout.
	WriteTimeout time.Duration

	// CloseTimeout is how long a connection that is being closed may take to
	// send what is queued and to say goodbye. Zero means DefaultCloseTimeout.
	CloseTimeout time.Duration

	// AllowedOrigins are the origins, such as "https://example.com", whose
	// pages may connect besides those of the server's own host; "*" allows
	// all. Requests without an Origin do not come from pages and are allowed.
	AllowedOrigins []string

	// Logger receives the server's records. Nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Accept == nil {
		o.Accept = func(*Conn) Receiver { return discard{} }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.PingInterval = cmp.Or(o.PingInterval, DefaultPingInterval)
	o.PingTimeout = cmp.Or(o.PingTimeout, DefaultPingTimeout)
	o.MaxPayload = cmp.Or(o.MaxPayload, DefaultMaxPayload)
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, DefaultWriteTimeout)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, DefaultCloseTimeout)
	return o
}

// A Receiver takes what one client sends.
type Receiver interface {
	// Receive takes the next message, which it owns. It is called by one
	// goroutine at a time. While it blocks nothing more is read from the
	// client. If it panics the connection ends.
	Receive(m engineio.Message)

	// Closed is called once, after the last Receive has returned, with the
	// reason why the connection ended: one of the Reason constants, or what
	// was passed to [Conn.Close].
	Closed(reason string)
}

type discard struct{}

func (discard) Receive(engineio.Message) {}
func (discard) Closed(string)            {}

// A Server accepts Engine.IO connections. It is an [http.Handler] for the
// paths on which clients look for Engine.IO, all of which share its
// connections. Its methods may be called by several goroutines at once.
//
// Whoever created the Server closes it: an [http.Server] forgets connections
// that were upgraded.
type Server struct {
	opts     Options
	upgrader websocket.Upgrader

	mu     sync.Mutex
	conns  map[string]*Conn
	live   int           // connections, also those whose handshake goes on
	closed chan struct{} // not nil once the server closes; closed when live is 0
}

// NewServer returns a server that is ready to serve.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), conns: make(map[string]*Conn)}
	s.upgrader = newUpgrader(s.opts)
	return s
}

// ServeHTTP opens a connection, or refuses to. It does not wait for the
// connection's end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refusal := s.verify(r); refusal != nil {
		s.opts.Logger.Debug("handshake refused", "remote", r.RemoteAddr, "error", refusal)
		refuse(w, r, refusal)
		return
	}
	if !s.admit() {
		w.Header().Set("Connection", "close")
		http.Error(w, "server shutting down", http.StatusServiceUnavailable)
		return
	}
	c, err := s.upgrade(w, r)
	if err != nil {
		s.opts.Logger.Debug("upgrade failed", "remote", r.RemoteAddr, "error", err)
		s.release()
		return
	}
	s.register(c)
	c.start(s.opts.Accept)
}

// Shutdown refuses new connections, closes all others once what they have
// queued is sent, and waits until every Receiver has returned from Closed. If
// ctx ends first it cuts the connections off and returns ctx's error.
//
// Clients see their transport close, and reconnect.
func (s *Server) Shutdown(ctx context.Context) error {
	done := s.close(func(c *Conn) {
		c.shut(ending{reason: ReasonServerShutdown, code: websocket.CloseGoingAway, flush: true})
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.close(func(c *Conn) { c.abort(ReasonServerShutdown) })
		return ctx.Err()
	}
}

// Close refuses new connections, cuts all others off, and waits until every
// Receiver has returned from Closed. It returns nil.
func (s *Server) Close() error {
	<-s.close(func(c *Conn) { c.abort(ReasonServerShutdown) })
	return nil
}

// close refuses new connections, ends those that there are, and returns a
// channel that is closed when all of them are gone.
func (s *Server) close(end func(*Conn)) <-chan struct{} {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = make(chan struct{})
		if s.live == 0 {
			close(s.closed)
		}
	}
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()

	for _, c := range conns {
		end(c)
	}
	return s.closed
}

// admit counts a connection that is about to be opened, unless the server
// closes.
func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return false
	}
	s.live++
	return true
}

// release uncounts a connection.
func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	if s.live == 0 && s.closed != nil {
		close(s.closed)
	}
}

// register makes c known by its id. A server that began to close during the
// handshake ends it at once.
func (s *Server) register(c *Conn) {
	s.mu.Lock()
	s.conns[c.id] = c
	closing := s.closed != nil
	s.mu.Unlock()
	if closing {
		c.abort(ReasonServerShutdown)
	}
}

// remove forgets c, which has ended.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	s.release()
}

func (s *Server) known(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id] != nil
}
