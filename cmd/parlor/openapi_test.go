package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"parlor/actors/emit"
	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/api/apitest"
	"parlor/transport/auth"
	"parlor/transport/origin"
)

// TestOpenAPIHasAllRoutes fails if the server has a route below /api that openapi.json
// does not describe, or the other way round.
func TestOpenAPIHasAllRoutes(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	server := &server{Settings: Settings{Values: Values{MaxProbes: 1}}, log: log, verifier: auth.New(auth.Options{Secret: "a secret"}), warnings: origin.NewWarnings(log), hub: emit.New(emit.Options{})}
	t.Cleanup(server.verifier.Close)
	if err := server.openAPI(); err != nil {
		t.Fatal(err)
	}
	mux := routes(server.Settings, http.NotFoundHandler(), server.api, nil)
	server.addOpenWebUI(mux)
	apitest.New(t, api.Description, "/api/v1").Covers(t, mux)
}

// TestOpenAPIDescribesAnswers has a server that runs answer requests of many kinds. Each
// answer has to be as the description that it serves itself says.
func TestOpenAPIDescribesAnswers(t *testing.T) {
	base := startServer(t) + "/api"
	response, err := http.Get(base + "/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	description, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	contract := apitest.New(t, description, "/api/v1")
	ask := asking(t, base+"/v1", contract)
	askOfChat(ask)
	askOfChannel(ask)
	askOfUser(ask)
	askOfAdministrator(ask)
	askOfTasks(asking(t, base, contract))
	contract.AllAsked(t)
}

// An asker sends a request as alice, and checks the status and the answer.
type asker = func(want int, method, path, body string) (answer map[string]any)

func asking(t *testing.T, base string, contract *apitest.Contract) asker {
	t.Helper()
	client := &http.Client{
		Transport:     contract.Transport(t, http.DefaultTransport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	return func(want int, method, path, body string) (answer map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Parlor-User", "alice")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s %s: status %d, want %d", method, path, response.StatusCode, want)
		}
		_ = json.NewDecoder(response.Body).Decode(&answer) // an array is of no use here
		return answer
	}
}

func askOfChat(ask asker) {
	id := ask(200, "POST", "/chat", `{"model_id": "eliza"}`)["chat_id"]
	chat := fmt.Sprint("/chat/", id)
	ask(200, "GET", "/chat", "")
	ask(200, "GET", chat, "")
	ask(200, "PATCH", chat, `{"title": "A title"}`)
	ask(400, "PATCH", chat, `{}`)
	ask(200, "PATCH", chat+"/mark", `{"pinned": true, "folder": "Work"}`)
	ask(400, "PATCH", chat+"/mark", `{"pinned": "yes"}`)
	ask(200, "GET", "/chat?folder=Work&archived=false", "")
	ask(200, "GET", "/folders", "")
	ask(200, "GET", "/search?q=title", "")
	ask(400, "GET", "/search?q=title&cursor=none", "")
	ask(200, "GET", chat+"/messages", "")
	ask(200, "GET", chat+"/files", "")
	ask(400, "POST", chat+"/upload", "{}")
	ask(404, "GET", chat+"/files/none", "")
	ask(200, "DELETE", chat+"/files/none", "")
	said := ask(201, "POST", chat+"/messages", `{"content": "hello", "answer": false, "client_message_id": "one"}`)
	ask(200, "POST", chat+"/messages", `{"content": "hello", "answer": false, "client_message_id": "one"}`)
	ask(201, "PATCH", fmt.Sprint(chat, "/messages/", said["message_id"]), `{"content": "good morning", "answer": false}`)
	ask(404, "POST", chat+"/messages/none/regenerate", "")
	ask(404, "POST", chat+"/calls/none", `{"decision": "deny"}`)
	ask(200, "POST", chat+"/stop", "")
	ask(400, "GET", chat+"/events?after=yesterday", "")
	ask(400, "GET", "/events?after=yesterday", "")
	ask(200, "PUT", chat+"/members/bob", `{"role": "viewer"}`)
	ask(200, "GET", chat+"/members", "")
	ask(200, "DELETE", chat+"/members/bob", "")
	invite := ask(200, "POST", chat+"/invites", `{"role": "member", "uses": 1}`)
	ask(200, "GET", chat+"/invites", "")
	file := ask(200, "GET", chat+"/export", "")
	written, _ := json.Marshal(file)
	ask(200, "POST", "/import", string(written))
	ask(400, "POST", "/import", `{"parlor_chat": 2}`)
	ask(200, "GET", fmt.Sprint("/invites/", invite["token"]), "")
	ask(200, "POST", fmt.Sprint("/invites/", invite["token"]), "")
	ask(404, "DELETE", chat+"/invites/none", "")
	ask(200, "GET", "/usage", "")
	ask(400, "GET", "/usage?by=weather", "")
	ask(405, "PUT", chat, "")
	ui := fmt.Sprint("/ui", chat)
	ask(200, "POST", "/ui/chat", fmt.Sprintf(`{"id": %q, "message": {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}}`, id))
	ask(200, "GET", ui, "")
	ask(200, "GET", ui+"/stream", "")
	ask(200, "POST", ui+"/stop", "")
	ask(204, "GET", "/ui/chat/nothing/stream", "")
	ask(400, "POST", "/ui/chat", `{}`)
	ask(400, "GET", "/ui/ws", "")
	ask(200, "DELETE", chat, "")
	ask(404, "GET", chat, "")
	ask(404, "GET", "/nothing", "")
}

func askOfChannel(ask asker) {
	control := `{"read": {"group_ids": [], "user_ids": ["bob"]}, "write": {"group_ids": [], "user_ids": []}}`
	id := ask(200, "POST", "/channels/create", `{"name": "general", "access_control": `+control+`}`)["id"]
	ask(400, "POST", "/channels/create", `{}`)
	channel := fmt.Sprint("/channels/", id)
	ask(200, "GET", "/channels/", "")
	ask(200, "GET", "/channels", "")
	ask(200, "GET", channel, "")
	ask(200, "POST", channel+"/update", `{"name": "other"}`)
	top := ask(200, "POST", channel+"/messages/post", `{"content": "hello"}`)["id"]
	ask(200, "POST", channel+"/messages/post", fmt.Sprintf(`{"content": "hello too", "parent_id": %q, "temp_id": "one"}`, top))
	message := fmt.Sprint(channel, "/messages/", top)
	ask(200, "POST", message+"/reactions/add", `{"name": "smile"}`)
	ask(200, "GET", channel+"/messages?limit=10", "")
	ask(400, "GET", channel+"/messages?limit=many", "")
	ask(200, "GET", message, "")
	ask(200, "GET", message+"/thread", "")
	ask(200, "POST", message+"/update", `{"content": "good morning"}`)
	ask(200, "POST", message+"/reactions/remove", `{"name": "smile"}`)
	ask(200, "DELETE", message+"/delete", "")
	ask(200, "DELETE", channel+"/delete", "")
	ask(404, "GET", channel+"/messages", "")
}

// askOfTasks asks below /api.
func askOfTasks(ask asker) {
	task := ask(200, "POST", "/chat/completions",
		`{"model": "eliza", "chat_id": "asked", "id": "a1", "session_id": "s1", "messages": [{"role": "user", "content": "hello"}]}`)["task_id"]
	ask(400, "POST", "/chat/completions", `{"model": "eliza", "chat_id": "local", "id": "a1", "session_id": "s1", "messages": []}`)
	ask(200, "POST", "/chat/completions", `{"model": "eliza", "messages": [{"role": "user", "content": "hello"}]}`)
	ask(200, "POST", "/chat/completions", `{"model": "eliza", "stream": true, "messages": [{"role": "user", "content": "hello"}]}`)
	ask(400, "POST", "/chat/completions", `{"model": "eliza", "messages": []}`)
	ask(200, "GET", "/tasks", "")
	ask(200, "GET", "/tasks/chat/asked", "")
	ask(404, "POST", "/tasks/stop/none", "")
	ask(404, "POST", fmt.Sprint("/tasks/stop/", task, "0"), "")
	ask(200, "POST", "/tasks/chat/asked/stop", "")
}

// askOfUser asks for what this server has not set up, too: that is an answer.
func askOfUser(ask asker) {
	ask(200, "GET", "/openapi.json", "")
	ask(200, "GET", "/probe?nonce=n&cookie=c", "")
	ask(200, "POST", "/probe", "counted")
	ask(200, "GET", "/probe/stream", "")
	ask(200, "GET", "/auth/me", "")
	ask(200, "GET", "/auth/methods", "")
	ask(200, "GET", "/auth/sessions", "")
	ask(200, "POST", "/auth/refresh", "")
	ask(200, "GET", "/model", "")
	ask(200, "POST", "/emit", `{"to": {"all": true}, "event": "x"}`)
	ask(404, "GET", "/push/key", "")
	ask(404, "POST", "/call", `{"to": {"user": "alice"}, "event": "x"}`)
	ask(404, "POST", "/auth/login", `{"user_id": "alice"}`)
	ask(400, "GET", "/auth/validate-token", "")
	ask(404, "GET", "/auth/oidc/login", "")
	ask(404, "GET", "/auth/oidc/callback", "")
	ask(404, "GET", "/auth/google/login", "")
	ask(404, "GET", "/auth/google/callback", "")
	ask(404, "POST", "/auth/oidc/logout", "")
	ask(200, "DELETE", "/auth/sessions", "")
	ask(404, "DELETE", "/auth/sessions/none", "")
	ask(404, "POST", "/push/subscriptions", "{}")
	ask(404, "DELETE", "/push/subscriptions", "{}")
	ask(200, "GET", "/tools/accounts", "")
	ask(404, "GET", "/tools/accounts/none/login", "")
	ask(404, "POST", "/tools/accounts/none/login", "")
	ask(404, "DELETE", "/tools/accounts/none", "")
	ask(403, "GET", "/tools/callback?state=none", "")
	ask(200, "GET", "/tools/prompts", "")
	ask(404, "POST", "/tools/prompts", `{"server":"none","name":"none"}`)
	ask(200, "POST", "/auth/logout", "")
}

// askOfAdministrator asks as one: in development mode everybody is.
func askOfAdministrator(ask asker) {
	ask(200, "GET", "/admin/runtime", "")
	ask(200, "GET", "/admin/runtime/actors?kind=supervisor", "")
	ask(200, "GET", "/admin/runtime/actors?kind=room&sort=since&limit=5", "")
	ask(400, "GET", "/admin/runtime/actors?kind=weather", "")
	ask(400, "GET", "/admin/runtime/actors?sort=weather", "")
	ask(200, "GET", "/admin/runtime/find?q=alice", "")
	ask(400, "GET", "/admin/runtime/find?q=", "")
	ask(404, "GET", "/admin/runtime/rooms/none", "")
	ask(404, "GET", "/admin/runtime/rooms/none/events", "")
	ask(404, "POST", "/admin/runtime/actions", `{"action": "disconnect", "connection": "none"}`)
	ask(409, "POST", "/admin/runtime/actions", fmt.Sprintf(`{"action": "restart_room", "room_id": %q}`, chat.ID("nobody-has-it").Room()))
	ask(400, "POST", "/admin/runtime/actions", `{"action": "make_coffee"}`)
	ask(200, "GET", "/admin/runtime/audit?limit=1", "")
	ask(200, "GET", "/admin/runtime/users/alice/export", "")
	ask(400, "GET", "/admin/runtime/users/%20/export", "")
	ask(409, "POST", "/admin/runtime/actions", `{"action": "delete_user", "user_id": "bob"}`) // in development mode
}

// startServer runs the whole server in development mode until the test ends, and returns
// where it listens.
func startServer(t *testing.T, args ...string) (url string) {
	t.Helper()
	return startLogging(t, io.Discard, args...)
}

// startLogging is startServer with a copy of the log.
func startLogging(t *testing.T, copied io.Writer, args ...string) (url string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "parlor.db")
	s, err := loadIn(t, "", nil, append([]string{"--listen", "127.0.0.1:0", "--data", data, "--discover=false"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	output, log := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		defer log.Close()
		ended <- serve(ctx, s, new(slog.LevelVar), newLogger(io.MultiWriter(copied, log), s, new(slog.LevelVar)))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	started := make(chan string, 1)
	go func() {
		defer close(started)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if _, address, found := bytes.Cut(lines.Bytes(), []byte("listening on ")); found {
				started <- strings.Trim(string(address), `"}`)
			}
		}
	}()
	url, running := <-started
	if !running {
		t.Fatal("the server did not start")
	}
	return url
}
