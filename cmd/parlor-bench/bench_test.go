package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/transport"
	"parlor/transport/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guests is a namespace that knows who has entered with which token.
type guests struct {
	mu     sync.Mutex
	tokens []string
}

func (g *guests) Connect(_ *session.Socket, auth json.RawMessage) (session.Handler, *session.Refusal) {
	var a struct{ Token string }
	if err := json.Unmarshal(auth, &a); err != nil || a.Token == "" {
		return nil, &session.Refusal{Message: "no token"}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens = append(g.tokens, a.Token)
	return handler{}, nil
}

// handler acknowledges events with their arguments.
type handler struct{}

func (handler) Event(e *session.Event) { e.Ack(e.Args...); e.Done() }
func (handler) Deliver(any)            {}
func (handler) Disconnected(string)    {}

// newServer joins transport and sessions as parlor does, and returns the URL.
func newServer(t *testing.T, name string, n session.Namespace) string {
	sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{name: n}})
	connections := transport.NewServer(transport.Options{
		Accept: func(c *transport.Conn) transport.Receiver { return sessions.Open(c) },
	})
	server := httptest.NewServer(connections)
	t.Cleanup(func() {
		_ = connections.Close()
		server.Close()
	})
	return server.URL
}

// The client understands our own sessions.
func TestClientOfSessions(t *testing.T) {
	url := newServer(t, "/test", new(guests))
	_, err := client.Dial(t.Context(), client.Options{URL: url, Namespace: "/test"})
	if err == nil || err.Error() != "client: refused: no token" {
		t.Errorf("without a token: got %v", err)
	}
	c, err := client.Dial(t.Context(), client.Options{URL: url, Namespace: "/test", Auth: map[string]string{"token": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Call(t.Context(), "echo", "hello")
	if err != nil || len(got) != 1 || string(got[0]) != `"hello"` {
		t.Errorf("got %s, %v, want hello", got, err)
	}
}

func TestCrowd(t *testing.T) {
	g := new(guests)
	c := crowd{url: newServer(t, "/assistant/realtime", g), secret: strings.Repeat("s", 32), prefix: "user"}
	if err := c.connect(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	c.close()
	slices.Sort(g.tokens)
	if got := len(slices.Compact(g.tokens)); got != 100 {
		t.Errorf("%d different tokens, want 100", got)
	}
	if n := c.lost.Load(); n != 0 {
		t.Errorf("%d connections were lost", n)
	}
	c.url = "http://127.0.0.1:1"
	if err := c.connect(t.Context(), 3); err == nil {
		t.Error("connected to nobody")
	}
}

func TestCheckFiles(t *testing.T) {
	if err := checkFiles(10); err != nil {
		t.Error(err)
	}
	if err := checkFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit -Hn") {
		t.Errorf("got %v, want an error that says what to raise", err)
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseResident([]byte("Name:\tx\nVmHWM:\t   9 kB\nVmRSS:\t    1234 kB\nRssAnon:\t  5 kB\n"), allMemory)
	if err != nil || got != 1234<<10 {
		t.Errorf("got %d, %v, want %d", got, err, 1234<<10)
	}
	if _, err := parseResident([]byte("Name:\tx\n"), ownMemory); err == nil {
		t.Error("no VmRSS is no error")
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	err := report(&out, []measurement{
		{"parlor", 20e6, 100e6, 10_000}, {"other", 40e6, 200e6, 10_000},
	})
	want := []string{"parlor 10000 20.0 100.0 8.0 1.00", "other 10000 40.0 200.0 16.0 2.00"}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// A process that does not come to listen is told with its log, and is gone.
func TestStart(t *testing.T) {
	_, err := start(t.Context(), exec.Command("sh", "-c", "echo oh no >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "oh no") {
		t.Errorf("got %v, want its log", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(ctx, exec.Command("sleep", "1000")); err == nil {
		t.Error("sleep listens")
	}

	p, err := start(t.Context(), exec.Command("sh", "-c", "echo listening on http://127.0.0.1:5 >&2; exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	if p.url != "http://127.0.0.1:5" {
		t.Errorf("got URL %q", p.url)
	}
	if n, err := p.settled(t.Context(), time.Nanosecond, allMemory); n <= 0 || err != nil {
		t.Errorf("resident memory: got %d, %v", n, err)
	}
	p.stop()
	if p.cmd.ProcessState == nil {
		t.Error("the process was not waited for")
	}
}
