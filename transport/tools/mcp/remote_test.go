package mcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// A web server is one behind a URL, which knows one session.
type webServer struct {
	mu       sync.Mutex
	session  int
	lost     int // the status for a session that it does not know
	sessions int // that were begun
	ran      map[string]int
	headers  http.Header
	silent   bool // it does not answer what it does not know
}

// restart has the server forget its session.
func (s *webServer) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session++
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		panic(err)
	}
	if s.silent && q.Method == "server/discover" {
		<-r.Context().Done()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = r.Header
	id := fmt.Sprint("session", s.session)
	switch {
	case q.Method == "server/discover":
		http.Error(w, "what?", http.StatusBadRequest)
		return
	case q.Method == "initialize":
		s.sessions++
		w.Header().Set("Mcp-Session-Id", id)
	case r.Header.Get("Mcp-Session-Id") != id:
		http.Error(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`, s.lost)
		return
	case q.ID == nil:
		w.WriteHeader(http.StatusAccepted)
		return
	case q.Method == "tools/call":
		s.call(w, q)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	answers := map[string]string{
		"initialize": `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}`,
		"tools/list": `{"tools":[{"name":"echo"}]}`,
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, q.ID, answers[q.Method])
}

func (s *webServer) call(w http.ResponseWriter, q request) {
	arguments := string(q.Params.Arguments)
	s.ran[arguments]++
	w.Header().Set("Content-Type", "application/json")
	text := "fine"
	switch arguments {
	case `{"how":"cut"}`:
		panic(http.ErrAbortHandler)
	case `{"how":"stream"}`:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": nothing more\n\n")
		return
	case `{"how":"refused"}`:
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	case `{"how":"busy"}`:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case `{"how":"wrong"}`:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such folder"}}`, q.ID)
		return
	case `{"how":"html"}`:
		fmt.Fprint(w, "<html>")
		return
	case `{"how":"long"}`:
		text = strings.Repeat("x", maxMessage)
	}
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%q}]}}`, q.ID, text)
}

// startRemote connects to the server, and returns what calls its tool.
func startRemote(t *testing.T, url string, more ...func(*Config)) (call func(arguments string) string, servers *Servers) {
	t.Helper()
	registry, err := tools.New(tools.Options{
		Servers: []string{"s"}, Model: func(chat.ModelID) tools.Model { return tools.Model{Tools: []string{"s/*"}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{URL: url, Headers: map[string]string{"Authorization": "Bearer ${KEY}"}}
	for _, change := range more {
		change(&c)
	}
	servers, err = Start(Options{
		Servers:   map[string]Config{"s": c},
		LookupEnv: func(name string) (string, bool) { return "secret", name == "KEY" },
		Put:       registry.Put,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	return func(arguments string) string {
		result, err := registry.Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: "s/echo", Arguments: arguments}})
		if err != nil {
			return "error: " + chat.AsError(err).Message
		}
		return result
	}, servers
}

// A session that the server has forgotten is made anew, once for all calls, and they run
// once.
func TestLostSession(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusBadRequest} {
		server := &webServer{lost: status, ran: make(map[string]int)}
		h := httptest.NewServer(server)
		call, _ := startRemote(t, h.URL)
		if got := call(`{"n":0}`); got != "fine" || server.headers.Get("Authorization") != "Bearer secret" {
			t.Fatalf("%d: got %s", status, got)
		}
		server.restart()
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() {
				if got := call(fmt.Sprintf(`{"n":%d}`, i+1)); got != "fine" {
					t.Errorf("%d: got %s", status, got)
				}
			})
		}
		group.Wait()
		for arguments, n := range server.ran {
			if n != 1 {
				t.Errorf("%d: %s ran %d times", status, arguments, n)
			}
		}
		if server.sessions != 2 || len(server.ran) != 11 {
			t.Errorf("%d: %d sessions, ran %v", status, server.sessions, server.ran)
		}
		h.Close()
		for range 10 { // of the connections that were open: no client can know at once that they are not
			call(`{"n":98}`)
		}
		if got := call(`{"n":99}`); !strings.HasPrefix(got, "error: not run") {
			t.Errorf("a server that is down: %s", got)
		}
	}
}

// An answer of a server that is no result is told to the model, and each call is sent
// once.
func TestRemoteFailures(t *testing.T) {
	server := &webServer{lost: http.StatusNotFound, ran: make(map[string]int)}
	h := httptest.NewServer(server)
	defer h.Close()
	call, _ := startRemote(t, h.URL)
	for how, want := range map[string]string{
		"cut":     "nobody knows",
		"stream":  "nobody knows",
		"refused": "it answered 401 Unauthorized (Www-Authenticate: Bearer)",
		"busy":    "it answered 503 Service Unavailable",
		"wrong":   "error: the tool failed: no such folder",
		"html":    "error: the tool failed: its answer cannot be read",
		"long":    "error: the tool failed: its answer has more than",
	} {
		got := call(`{"how":"` + how + `"}`)
		if !strings.Contains(got, want) || !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s: got %s, want %s", how, got, want)
		}
		if got := call(`{}`); got != "fine" {
			t.Errorf("after %s: got %s", how, got)
		}
	}
	for arguments, n := range server.ran {
		if n != 1 && arguments != "{}" {
			t.Errorf("%s ran %d times", arguments, n)
		}
	}
}

// A redirect to elsewhere is not followed, since the headers would go with it.
func TestRedirect(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	h := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer h.Close()
	call, servers := startRemote(t, h.URL)
	if got := call(`{}`); !strings.Contains(got, "not run: there is no such tool") {
		t.Errorf("got %s", got)
	}
	if now := servers.Status()[0]; asked > 0 || !strings.Contains(now.Error, "307") {
		t.Errorf("asked %d times, %+v", asked, now)
	}
}

// A server that never answers the beginning of the newest version is asked in an older one.
func TestOldRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a server that does not answer")
	}
	server := &webServer{lost: http.StatusNotFound, ran: make(map[string]int), silent: true}
	h := httptest.NewServer(server)
	defer h.Close()
	call, _ := startRemote(t, h.URL, func(c *Config) { c.StartTimeout = tools.Duration(4 * time.Second) })
	if got := call(`{}`); got != "fine" || server.sessions != 1 {
		t.Errorf("got %s in %d sessions", got, server.sessions)
	}
}
