package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/actors/session"
	"parlor/actors/system"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is a client that checks what it gets.
type client struct {
	*actortest.Conn
	t *testing.T
}

// serve runs f with a maker of sessions for these namespaces in a bubble.
func serve(t *testing.T, o session.Options, f func(t *testing.T, s *session.Sessions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(synctest.Wait)
		f(t, session.New(system.New(nil), o))
	})
}

func dial(t *testing.T, s *session.Sessions) *client { return &client{actortest.Dial(t, s), t} }

// want checks what the client got since the last call. The random id of a
// socket reads SID.
func (c *client) want(want ...string) {
	c.t.Helper()
	synctest.Wait()
	got := c.Got()
	for i, frame := range got {
		if packet, sid, ok := strings.Cut(frame, `{"sid":"`); ok && len(sid) == 26+2 {
			got[i] = packet + `{"sid":"SID"}`
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("client got (-want +got):\n%s", diff)
	}
}

// app is a namespace whose handlers note in its journal what happens to them.
// The functions may be nil.
type app struct {
	connect func(s *session.Socket, auth json.RawMessage) *session.Refusal
	event   func(s *session.Socket, e *session.Event)
	deliver func(s *session.Socket, v any)
	leave   func()

	mu      sync.Mutex
	journal []string
	sockets []*session.Socket
	pending []*session.Event
}

func (a *app) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = append(a.journal, fmt.Sprintf(format, args...))
}

// forget drops what happened so far.
func (a *app) forget() {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = nil
}

// want checks what happened since the last call.
func (a *app) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if diff := cmp.Diff(want, a.journal); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	a.journal = nil
}

// Connect implements session.Namespace.
func (a *app) Connect(s *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	a.note("connect %s", auth)
	if a.connect != nil {
		if refusal := a.connect(s, auth); refusal != nil {
			return nil, refusal
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets = append(a.sockets, s)
	return &handler{a, s}, nil
}

// handler is done with an event at once, unless its app has a function for it.
type handler struct {
	*app
	socket *session.Socket
}

func (h *handler) Event(e *session.Event) {
	h.note("event %s %s", e.Name, e.Args)
	if h.event == nil {
		e.Done()
		return
	}
	h.event(h.socket, e)
}

func (h *handler) Deliver(v any) {
	h.note("deliver %v", v)
	if h.deliver != nil {
		h.deliver(h.socket, v)
	}
}

func (h *handler) Disconnected(reason string) {
	h.note("disconnected: %s", reason)
	if h.leave != nil {
		h.leave()
	}
}
