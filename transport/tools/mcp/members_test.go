package mcp

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/tools"
)

// tokens are grants: a token for each user who has signed in.
type tokens struct {
	mu     sync.Mutex
	held   map[chat.UserID]string
	latest chat.UserID
}

func (g *tokens) signIn(user chat.UserID, token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = make(map[chat.UserID]string)
	}
	g.held[user], g.latest = token, user
}

func (g *tokens) Token(_ context.Context, _ string, user chat.UserID, refused string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if refused != "" && g.held[user] == refused {
		g.held[user] = strings.Replace(refused, "old", "new", 1)
	}
	return g.held[user], nil
}

func (g *tokens) Has(_ string, user chat.UserID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[user] != ""
}

func (g *tokens) Latest(string) chat.UserID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.latest
}

// A gate lets those in who have a new token, and notes which.
type gate struct {
	next http.Handler
	mu   sync.Mutex
	seen map[string]int
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !strings.HasPrefix(token, "new") {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.seen[token]++
	g.mu.Unlock()
	g.next.ServeHTTP(w, r)
}

// signedInServer starts a client of a server that wants a sign-in.
func signedInServer(t *testing.T, auth string) (*tools.Registry, *Servers, *tokens, *gate) {
	t.Helper()
	web := &gate{next: &webServer{lost: http.StatusNotFound, ran: make(map[string]int)}, seen: make(map[string]int)}
	h := httptest.NewServer(web)
	t.Cleanup(h.Close)
	registry, err := tools.New(tools.Options{
		Servers: []string{"s"}, Model: func(chat.ModelID) tools.Model { return tools.Model{Tools: []string{"s/*"}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	grants := new(tokens)
	servers, err := Start(Options{Servers: map[string]Config{"s": {URL: h.URL, Auth: auth}}, Grants: grants, Put: registry.Put})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	return registry, servers, grants, web
}

func callAs(t *testing.T, registry *tools.Registry, user chat.UserID, tool string) string {
	result, err := registry.Run(t.Context(), chat.ToolRun{Call: chat.ToolCall{Name: tool, Arguments: "{}"}, User: user})
	if err != nil {
		return "error: " + chat.AsError(err).Message
	}
	return result
}

func offeredUntil(t *testing.T, registry *tools.Registry, want string) {
	t.Helper()
	for range 500 {
		if list := registry.Offered("m", nil); len(list) == 1 && list[0].Name == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("offered are %v, want %s", registry.Offered("m", nil), want)
}

// A server to which members sign in offers a tool that says so, and then its own. A call is
// made with the token of the member who has asked; without one it is not made.
func TestMembersSignIn(t *testing.T) {
	registry, servers, grants, web := signedInServer(t, AuthMember)
	offeredUntil(t, registry, "s/sign_in")
	if got := callAs(t, registry, "alice", "s/sign_in"); !strings.Contains(got, "not run: whoever asks has to sign in to s first, at the address /api/v1/tools/accounts/s/login") {
		t.Errorf("got %s", got)
	}
	grants.signIn("alice", "new-alice")
	servers.SignedIn("s", "alice")
	offeredUntil(t, registry, "s/echo")
	if got := callAs(t, registry, "alice", "s/echo"); got != "fine" {
		t.Errorf("got %s", got)
	}
	if got := callAs(t, registry, "bob", "s/echo"); !strings.Contains(got, "has to sign in") {
		t.Errorf("bob got %s", got)
	}
	grants.signIn("bob", "old-bob") // which the server refuses, and the grants renew
	servers.SignedIn("s", "bob")
	if got := callAs(t, registry, "bob", "s/echo"); got != "fine" {
		t.Errorf("bob got %s", got)
	}
	web.mu.Lock()
	if web.seen["new-alice"] == 0 || web.seen["new-bob"] == 0 || len(web.seen) != 2 {
		t.Errorf("the server saw %v", web.seen)
	}
	web.mu.Unlock()
	if got := servers.Status()[0]; got.State != Members || got.Members != 2 || got.Tools != 1 {
		t.Errorf("the status is %+v", got)
	}
	grants.signIn("alice", "")
	servers.SignedIn("s", "alice")
	if got := callAs(t, registry, "alice", "s/echo"); !strings.Contains(got, "has to sign in") {
		t.Errorf("after that was revoked alice got %s", got)
	}
}

// A server to which the operator signs in says so, and is tried when that has happened.
func TestOperatorSignsIn(t *testing.T) {
	registry, servers, grants, _ := signedInServer(t, "")
	for range 500 {
		if servers.Status()[0].State == SignIn {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := servers.Status()[0]; got.State != SignIn || !strings.Contains(got.Error, "parlor tools login s") {
		t.Fatalf("the status is %+v", got)
	}
	grants.signIn("", "old-operator")
	servers.SignedIn("s", "")
	offeredUntil(t, registry, "s/echo")
	if got := callAs(t, registry, "bob", "s/echo"); got != "fine" {
		t.Errorf("got %s", got)
	}
	grants.signIn("", "gone")
	if got := callAs(t, registry, "bob", "s/echo"); !strings.Contains(got, "not run: the MCP server s wants a sign-in") {
		t.Errorf("with a token that is good no more: %s", got)
	}
}

// The sessions of members are bounded, and end when nobody uses them.
func TestMembersAreBounded(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop() // so that they connect nowhere
	m := newMembers(ctx, "s", Config{}, new(tokens), func(string, []tools.Tool) {}, slog.New(slog.DiscardHandler))
	var first *member
	for i := range maxSessions {
		one, err := m.enter(chat.UserID(rune(i)))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = one
		}
	}
	if _, err := m.enter("one more"); chat.AsError(err).Code != chat.CodeBusy {
		t.Errorf("one more: %v", err)
	}
	m.leave(first)
	if _, err := m.enter("one more"); err != nil || len(m.all) != maxSessions {
		t.Errorf("%d sessions, %v", len(m.all), err)
	}
	for _, one := range m.all {
		m.leave(one)
		m.drop(one)
	}
	if len(m.all) != 0 {
		t.Errorf("%d sessions are left", len(m.all))
	}
	m.running.Wait()
}
