package transport

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/transport/origin"
)

// A Server accepts Engine.IO connections. It is an [http.Handler]. It may be
// mounted at several paths, which share its connections. Its methods may be
// called by several goroutines at once.
//
// The creator of the Server closes it, since an [http.Server] forgets connections
// that were upgraded. Shutdown of the http.Server waits for polls, which end when
// Shutdown of this Server begins (see [http.Server.RegisterOnShutdown]).
type Server struct {
	opts     Options
	upgrader websocket.Upgrader
	handler  http.Handler // serve, behind CORS

	strangers strangers

	mu        sync.Mutex
	conns     map[string]*Conn
	held      map[*held]struct{}   // answers, see Hold
	openCount int                  // connections, including those that are being opened
	homes     map[netip.Prefix]int // how many of them there are, by address; nil if that is not limited
	warned    time.Time            // when the operator was told that an address has too many
	moveCount int                  // WebSockets that are to take over a connection
	drained   chan struct{}        // nil until the server closes; closed when both counts are zero
}

// The reasons why a server opens no connection.
var (
	errClosing = errors.New("server shutting down")
	errFull    = errors.New("too many connections")
	errCrowded = errors.New("too many connections from this address")
)

// crowdedWarnings is the pause between two warnings that an address has too many
// connections.
const crowdedWarnings = time.Minute

// NewServer returns a server that is ready to serve.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), conns: make(map[string]*Conn)}
	s.strangers.limit = opts.StrangerBytes
	if opts.MaxConnsPerAddress > 0 {
		s.homes = make(map[netip.Prefix]int)
	}
	s.upgrader = newUpgrader(s.opts)
	s.handler = withCORS(s.opts, http.HandlerFunc(s.serve))
	return s
}

// ServeHTTP opens a connection, serves a request that belongs to one, or refuses
// the request. It returns without waiting, except for a poll or a POST.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	known, refusal := s.verify(r)
	switch {
	case refusal != nil:
		s.opts.Logger.Debug("request refused", "remote", r.RemoteAddr, "err", refusal)
		s.opts.Refused(r, refusal)
		refuse(w, r, refusal)
	case known != nil:
		known(w, r)
	default:
		s.serveNew(w, r)
	}
}

// serveNew opens a connection unless the server is full or closes.
func (s *Server) serveNew(w http.ResponseWriter, r *http.Request) {
	err := s.admit(r)
	switch {
	case err != nil:
		s.opts.Logger.Debug("request refused", "remote", r.RemoteAddr, "err", err)
		unavailable(w, err)
	case websocket.IsWebSocketUpgrade(r):
		s.openWebSocket(w, r)
	default:
		s.openPolling(w, r)
	}
}

// Shutdown refuses new connections, closes all others after their queues are
// sent, and waits until every Receiver has returned from Closed. If ctx ends
// first, it cuts the connections off and returns ctx's error.
//
// Clients see their transport close, and reconnect.
func (s *Server) Shutdown(ctx context.Context) error {
	done := s.close(func(c *Conn) {
		c.shut(ending{reason: ReasonServerShutdown, code: websocket.CloseGoingAway, flushes: true})
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

// close refuses new connections, calls end for each open one, and returns a
// channel that is closed when all are gone.
func (s *Server) close(end func(*Conn)) <-chan struct{} {
	s.mu.Lock()
	if s.drained == nil {
		s.drained = make(chan struct{})
		s.goneLocked()
	}
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	answers := slices.Collect(maps.Keys(s.held))
	s.mu.Unlock()

	for _, c := range conns {
		end(c)
	}
	for _, a := range answers {
		a.end()
	}
	return s.drained
}

// admit counts a connection that is about to be opened, for the address that r comes
// from. If it must not be opened, admit returns the reason.
func (s *Server) admit(r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admitLocked(origin.Neighbourhood(r.RemoteAddr))
}

func (s *Server) admitLocked(home netip.Prefix) error {
	switch {
	case s.drained != nil:
		return errClosing
	case s.openCount >= s.opts.MaxConns:
		return errFull
	case s.homes != nil && s.homes[home] >= s.opts.MaxConnsPerAddress:
		s.warnLocked(home)
		return errCrowded
	}
	s.openCount++
	if s.homes != nil {
		s.homes[home]++
	}
	return nil
}

// warnLocked tells the operator that an address has too many connections.
func (s *Server) warnLocked(home netip.Prefix) {
	now := time.Now()
	if !s.warned.IsZero() && now.Sub(s.warned) < crowdedWarnings {
		return
	}
	s.warned = now
	s.opts.Logger.Warn("connections refused: one address has as many as max-connections-per-address allows; if it is a proxy, name it in trusted-proxies",
		"address", home, "connections", s.homes[home])
}

// admitMove counts a WebSocket that is to take over a connection. A full server
// accepts these too, since each connection has at most one.
func (s *Server) admitMove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained != nil {
		return errClosing
	}
	s.moveCount++
	return nil
}

// release uncounts one of s.openCount or s.moveCount.
func (s *Server) release(count *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count--
	if s.drained != nil {
		s.goneLocked()
	}
}

// goneLocked ends the waiting of Shutdown and Close once nothing is open.
func (s *Server) goneLocked() {
	if s.openCount == 0 && s.moveCount == 0 {
		close(s.drained)
	}
}

// Connections returns how many connections are open, with the answers that
// [Server.Hold] keeps.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openCount
}

// register makes c known by its id. If the server began to close during the
// handshake, c ends at once.
func (s *Server) register(c *Conn) {
	s.mu.Lock()
	s.conns[c.id] = c
	closing := s.drained != nil
	s.mu.Unlock()
	if closing {
		c.abort(ReasonServerShutdown)
	}
}

// remove forgets c, which has ended or was never opened.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	s.leaveLocked(c.home)
	s.mu.Unlock()
	s.release(&s.openCount)
}

// leaveLocked uncounts a connection of an address.
func (s *Server) leaveLocked(home netip.Prefix) {
	if s.homes == nil {
		return
	}
	s.homes[home]--
	if s.homes[home] == 0 {
		delete(s.homes, home)
	}
}

// find returns the connection with this id, or nil.
func (s *Server) find(id string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}
