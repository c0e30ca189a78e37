package transport

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// A Server accepts Engine.IO connections. It is an [http.Handler] for the
// paths on which clients look for Engine.IO, all of which share its
// connections. Its methods may be called by several goroutines at once.
//
// Whoever created the Server closes it: an [http.Server] forgets connections
// that were upgraded, and its Shutdown waits for polls, which end when this
// Server's begins (see [http.Server.RegisterOnShutdown]).
type Server struct {
	opts     Options
	upgrader websocket.Upgrader
	handler  http.Handler // serve, behind CORS

	mu     sync.Mutex
	conns  map[string]*Conn
	open   int           // connections, with those that are just being opened
	moving int           // WebSockets that are to take over one
	closed chan struct{} // not nil once the server closes; closed when nothing is open or moving
}

// Why a server does not open what it could.
var (
	errClosing = errors.New("server shutting down")
	errFull    = errors.New("too many connections")
)

// NewServer returns a server that is ready to serve.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), conns: make(map[string]*Conn)}
	s.upgrader = newUpgrader(s.opts)
	s.handler = withCORS(s.opts, http.HandlerFunc(s.serve))
	return s
}

// ServeHTTP opens a connection, takes a request that belongs to one, or
// refuses it. Only a poll is waited for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	known, refusal := s.verify(r)
	upgrade := websocket.IsWebSocketUpgrade(r)
	switch {
	case refusal != nil:
		s.opts.Logger.Debug("request refused", "remote", r.RemoteAddr, "err", refusal)
		s.opts.Refused(r, refusal)
		refuse(w, r, refusal)
	case known != nil && upgrade:
		known.serveProbe(w, r)
	case known != nil:
		known.serve(w, r)
	default:
		s.serveNew(w, r, upgrade)
	}
}

// serveNew opens a connection unless the server is full or closes.
func (s *Server) serveNew(w http.ResponseWriter, r *http.Request, upgrade bool) {
	err := s.admit()
	switch {
	case err != nil:
		s.opts.Logger.Debug("request refused", "remote", r.RemoteAddr, "err", err)
		unavailable(w, err)
	case upgrade:
		s.openWebSocket(w, r)
	default:
		s.openPolling(w, r)
	}
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
		s.goneLocked()
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

// admit counts a connection that is about to be opened. It returns why it must
// not be, if it must not.
func (s *Server) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed != nil:
		return errClosing
	case s.open >= s.opts.MaxConns:
		return errFull
	}
	s.open++
	return nil
}

// admitMove counts a WebSocket that is to take over a connection. A full server
// has room for these: each connection has one at most.
func (s *Server) admitMove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return errClosing
	}
	s.moving++
	return nil
}

// release uncounts one of s.open or s.moving.
func (s *Server) release(count *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count--
	if s.closed != nil {
		s.goneLocked()
	}
}

// goneLocked lets those who closed the server go on once all is gone.
func (s *Server) goneLocked() {
	if s.open == 0 && s.moving == 0 {
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
	s.release(&s.open)
}

// find returns the connection with this id, or nil.
func (s *Server) find(id string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}
