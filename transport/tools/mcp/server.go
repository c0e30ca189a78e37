package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// Times and limits of starting a server again.
const (
	firstPause  = time.Second            // before a process is started again; doubled each time
	stableAfter = time.Minute            // a session that has lasted so long has not failed
	maxFailures = 5                      // in a row
	failedPause = time.Minute            // between attempts after those
	settle      = 200 * time.Millisecond // in which changes of the list are one
	maxSettle   = 10 * time.Second       // the same for a list that changes all the time
	maxCalls    = 64                     // of a server that run at once; others wait
)

// A State says how a server is.
type State string

// The states.
const (
	Starting   State = "starting"
	Connected  State = "connected"
	Restarting State = "restarting" // it waits until it is started again
	Failed     State = "failed"     // it is tried again after longer, or when a tool of it is called
	SignIn     State = "sign_in"    // somebody has to sign in to it
)

// A Status tells how a server is.
type Status struct {
	Server string `json:"server"`
	State  State  `json:"state"`
	Tools  int    `json:"tools"`
	Tokens int    `json:"tokens"`          // that the list of the tools takes in a prompt, about
	Error  string `json:"error,omitempty"` // why it is not connected

	// Members have sessions of their own at the moment, each with their own sign-in.
	Members int `json:"members,omitempty"`
}

// A server keeps a session with one server, and starts it again when it has ended.
type server struct {
	name   string
	config Config
	remote bool
	open   func() (link, error)
	signIn string // how somebody signs in
	within caller
	put    func(server string, list []tools.Tool)
	log    *slog.Logger
	ctx    context.Context // ends with [Servers.Close]

	slots chan struct{} // one for each call that runs
	wake  chan struct{} // a call wants a failed server to be tried

	mu       sync.Mutex
	now      Status
	session  *session      // nil: not connected
	trying   chan struct{} // closed when the attempt to connect has ended that is under way
	failures int           // in a row
}

func newServer(ctx context.Context, name string, c Config, open func() (link, error), put func(string, []tools.Tool), log *slog.Logger) *server {
	s := &server{
		name: name, config: c, remote: c.URL != "", open: open, put: put, log: log, ctx: ctx,
		slots: make(chan struct{}, maxCalls), wake: make(chan struct{}, 1),
		now: Status{Server: name, State: Starting}, trying: make(chan struct{}),
		signIn: fmt.Sprintf("the MCP server %s wants a sign-in. The operator of this server does that with: parlor tools login %s", name, name),
	}
	s.within = s.ofAll
	return s
}

func (s *server) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// run keeps the server connected until ctx ends.
func (s *server) run() {
	for first := true; s.ctx.Err() == nil; first = false {
		session, err := s.connect()
		if err != nil {
			s.missed(err)
			if first {
				s.put(s.name, nil) // who waits for its tools waits no more
			}
		} else {
			s.reached(session)
			s.follow(session)
			s.lose(session)
			session.close()
		}
		s.pause()
	}
}

// connect connects the server and learns its tools.
func (s *server) connect() (made *session, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("the client of an MCP server panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("it made the client panic")
		}
	}()
	link, err := s.open()
	if err != nil {
		return nil, err
	}
	made, err = newSession(s.ctx, link, time.Duration(s.config.StartTimeout), s.log)
	if err != nil {
		return nil, err
	}
	if err := s.list(made); err != nil {
		made.close()
		return nil, fmt.Errorf("it does not list its tools: %w", made.because(err))
	}
	return made, nil
}

// list learns the tools of the server.
func (s *server) list(of *session) error {
	ctx, cancel := context.WithTimeout(s.ctx, time.Duration(s.config.ListTimeout))
	defer cancel()
	found, err := of.list(ctx, s.log)
	if err != nil {
		return err
	}
	found = append(found, of.readers(ctx, s.log)...)
	tokens := 0
	var list []tools.Tool
	for _, t := range found {
		tokens += Tokens(t.Tool)
		list = append(list, s.tool(t))
	}
	s.put(s.name, list)
	s.mu.Lock()
	s.now.Tools, s.now.Tokens = len(list), tokens
	s.mu.Unlock()
	return nil
}

// Tokens returns how many tokens a tool takes in a prompt, about.
func Tokens(t chat.Tool) int {
	return chat.Tokens(t.Name) + chat.Tokens(t.Description) + chat.Tokens(string(t.Schema))
}

// follow learns the tools again whenever they change, until the session ends.
func (s *server) follow(session *session) {
	var last time.Time
	for pause := settle; ; {
		select {
		case <-s.ctx.Done():
			return
		case <-session.ended:
			return
		case <-session.changed:
		}
		if pause = min(2*pause, maxSettle); time.Since(last) > maxSettle {
			pause = settle
		}
		select {
		case <-s.ctx.Done():
		case <-session.ended:
		case <-time.After(pause):
			last = time.Now()
			session.forgetChanges()
			if err := s.list(session); err != nil {
				s.log.Warn("an MCP server has changed its tools and does not list them", "err", session.because(err))
			}
		}
	}
}

// reached notes that the server is connected.
func (s *server) reached(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.now.State, s.now.Error = session, Connected, ""
	close(s.trying)
	s.trying = nil
	s.log.Info("MCP server connected", "tools", s.now.Tools, "tokens", s.now.Tokens, "version", session.version())
}

// missed notes that the server could not be connected.
func (s *server) missed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.trying)
	s.trying = nil
	s.fail(err)
}

// lose notes that the session has ended.
func (s *server) lose(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != session {
		return
	}
	s.session = nil
	if time.Since(session.began) >= stableAfter {
		s.failures = 0
	}
	s.fail(session.because(nil))
}

// fail notes why the server is not connected.
func (s *server) fail(why error) {
	if s.ctx.Err() != nil {
		return
	}
	if errors.Is(why, errSignIn) {
		if s.now.Error = s.signIn; s.now.State != SignIn {
			s.log.Warn("MCP server wants a sign-in", "how", s.signIn)
		}
		s.now.State = SignIn
		return
	}
	s.failures++
	s.now.Error = why.Error()
	switch {
	case s.failures > maxFailures:
		s.now.State = Failed
		s.log.Debug("MCP server failed again", "times", s.failures, "err", why)
		return
	case s.failures == maxFailures:
		s.now.State = Failed
		s.log.Error("MCP server failed; it is tried again every now and then, and when a tool of it is called", "times", s.failures, "err", why)
		return
	case s.nextPause() == 0:
		s.now.State, s.trying = Starting, make(chan struct{})
	default:
		s.now.State = Restarting
	}
	s.log.Warn("MCP server is not connected, and is tried again", "in", s.nextPause(), "err", why)
}

// nextPause returns how long nothing is tried. A session with a URL that has ended is
// made anew at once the first time.
func (s *server) nextPause() time.Duration {
	doubled := s.failures - 1
	if s.remote {
		doubled--
	}
	if doubled < 0 {
		return 0
	}
	return firstPause << doubled
}

// pause waits until the server may be tried again.
func (s *server) pause() {
	s.mu.Lock()
	state, d := s.now.State, s.nextPause()
	s.mu.Unlock()
	switch state {
	case Restarting:
		select {
		case <-s.ctx.Done():
		case <-time.After(d*3/4 + rand.N(d/2)):
		}
	case Failed, SignIn:
		select {
		case <-s.ctx.Done():
		case <-s.wake:
		case <-time.After(failedPause*3/4 + rand.N(failedPause/2)):
		}
	}
	s.mu.Lock()
	s.try()
	s.mu.Unlock()
}

// signedIn has the server be tried again, since somebody has signed in, or its session end,
// since that was revoked.
func (s *server) signedIn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.session.end()
		return
	}
	s.try()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// try notes that an attempt to connect begins.
func (s *server) try() {
	if s.trying != nil {
		return
	}
	s.trying = make(chan struct{})
	if s.now.State != SignIn {
		s.now.State = Starting
	}
}
