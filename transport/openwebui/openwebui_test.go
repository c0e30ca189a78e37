package openwebui_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	wire "parlor/protocol/openwebui"
	"parlor/transport/api"
	"parlor/transport/auth"
	"parlor/transport/openwebui"
)

// rooms notes what is asked of it, in order. Alice alone may do anything.
type rooms struct {
	did    []string
	turns  []chat.Turn
	system string
}

var errNoChat = chat.Refuse(chat.CodeNotFound, "there is no such chat")

func (r *rooms) note(u chat.User, what string) error {
	if u.ID != "alice" {
		return errNoChat
	}
	r.did = append(r.did, what)
	return nil
}

func (r *rooms) CreateAs(_ context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error) {
	return chat.Info{ID: id, Settings: chat.Settings{SystemPrompt: r.system}}, r.note(u, "create "+string(id)+" "+string(model))
}

func (r *rooms) Configure(_ context.Context, u chat.User, _ chat.ID, c chat.Changes) (chat.Info, error) {
	r.system = *c.SystemPrompt
	return chat.Info{}, r.note(u, "configure")
}

func (r *rooms) Upload(_ context.Context, u chat.User, _ chat.ID, up chat.Upload) (chat.File, error) {
	return chat.File{ID: "f9"}, r.note(u, "upload "+up.Name+" as "+up.Key)
}

func (r *rooms) Say(_ context.Context, u chat.User, _ chat.ID, m chat.Say) (chat.Said, error) {
	what := "say " + m.Content + " " + string(m.ClientID) + " " + m.Correlation
	if m.Files != nil {
		what += fmt.Sprintf(" with %s by %s", m.Files, m.OnlyTools)
	}
	return chat.Said{Turns: []chat.TurnID{"t1"}}, r.note(u, what)
}

func (r *rooms) StopIn(_ context.Context, u chat.User, _ chat.RoomID, s chat.Stop) (chat.Stopped, error) {
	return chat.Stopped{}, r.note(u, "stop "+string(s.TurnID))
}

func (r *rooms) Turns(_ context.Context, u chat.User, _ chat.RoomID) ([]chat.Turn, error) {
	if u.ID != "alice" {
		return nil, errNoChat
	}
	return r.turns, nil
}

func (r *rooms) Running(context.Context, chat.User) ([]chat.Activity, error) {
	return []chat.Activity{{Chat: "c", Room: chat.ID("c").Room()}}, nil
}

func (r *rooms) Asked(chat.UserID, chat.ID, uint64) {}

func (r *rooms) TellChannel(wire.ChannelEvent) {}

func (r *rooms) Follow(_ context.Context, u chat.User, _ chat.ID) { _ = r.note(u, "follow") }

// serve serves r, and returns a function that makes a request as a user.
func serve(t *testing.T, r *rooms) func(user, method, path, body string) (status int, answer string) {
	t.Helper()
	options := auth.Options{Secret: strings.Repeat("s", 32)}
	verifier := auth.New(options)
	t.Cleanup(verifier.Close)
	a, err := api.New(nil, nil, nil, verifier, api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &openwebui.Server{Rooms: r, Sockets: r, MaxBytes: 1000, Plain: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte("plain "), body...))
	})}
	mux := http.NewServeMux()
	a.RegisterAt(mux, "/api", s.Routes())
	return func(user, method, path, body string) (int, string) {
		t.Helper()
		request := httptest.NewRequest(method, "/api"+path, strings.NewReader(body))
		if user != "" {
			token, err := auth.Sign(options, chat.User{ID: chat.UserID(user)}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request)
		return w.Code, w.Body.String()
	}
}

const question = `{"chat_id":"c","id":"a1","session_id":"s","model":"m","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"hi"}]}`

// The sockets of the user listen before the question is said.
func TestQuestion(t *testing.T) {
	r := new(rooms)
	ask := serve(t, r)
	want := `{"status":true,"task_id":"` + string(chat.ID("c").Room()) + `.t1"}`
	for range 2 { // the system prompt is the chat's from the first time on
		if status, answer := ask("alice", "POST", "/chat/completions", question); status != http.StatusOK || answer != want {
			t.Errorf("got %d %s, want %s", status, answer, want)
		}
	}
	wanted := []string{"create c m", "configure", "follow", "say hi webui:a1 webui:a1", "create c m", "follow", "say hi webui:a1 webui:a1"}
	if !slices.Equal(r.did, wanted) {
		t.Errorf("did %q, want %q", r.did, wanted)
	}
	seen := strings.Replace(question, `"hi"`, `[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,YWI="}}]`, 1)
	r.did = nil
	ask("alice", "POST", "/chat/completions", strings.Replace(seen, `{`, `{"files":[{"type":"file","id":"f1"}],"tool_ids":["pay"],`, 1))
	if wanted := []string{"create c m", "upload image 1 as webui:a1 0", "follow", "say hi webui:a1 webui:a1 with [f1 f9] by [pay]"}; !slices.Equal(r.did, wanted) {
		t.Errorf("did %q, want %q", r.did, wanted)
	}
	for _, c := range []struct {
		user, body string
		status     int
	}{
		{"", question, http.StatusUnauthorized},
		{"eve", question, http.StatusNotFound},
		{"alice", `{`, http.StatusBadRequest},
		{"alice", `{"model":"m","messages":"` + strings.Repeat("x", 1000) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		if status, answer := ask(c.user, "POST", "/chat/completions", c.body); status != c.status || !strings.Contains(answer, `"detail"`) {
			t.Errorf("%s %.40s: got %d %s, want %d", c.user, c.body, status, answer, c.status)
		}
	}
	plain := `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	if _, answer := ask("alice", "POST", "/chat/completions", plain); answer != "plain "+plain {
		t.Errorf("without a chat: got %s", answer)
	}
}

// A task is stopped by whoever may stop the turn, and to others it does not exist.
func TestTasks(t *testing.T) {
	r := &rooms{turns: []chat.Turn{{ID: "t1", By: "alice"}, {ID: "t2", By: "bob"}}}
	ask := serve(t, r)
	room := string(chat.ID("c").Room())
	for _, c := range []struct {
		user, method, path string
		status             int
		answer             string
	}{
		{"alice", "GET", "/tasks", 200, `{"tasks":["` + room + `.t1"]}`},
		{"alice", "GET", "/tasks/chat/c", 200, `{"task_ids":["` + room + `.t1","` + room + `.t2"]}`},
		{"eve", "GET", "/tasks", 200, `{"tasks":[]}`},
		{"eve", "GET", "/tasks/chat/c", 404, ""},
		{"eve", "POST", "/tasks/stop/" + room + ".t1", 404, ""},
		{"eve", "POST", "/tasks/chat/c/stop", 404, ""},
		{"", "POST", "/tasks/stop/" + room + ".t1", 401, ""},
		{"alice", "POST", "/tasks/stop/nonsense", 404, ""},
		{"alice", "POST", "/tasks/stop/" + room + ".t1", 200, `{"status":true,"message":"Task ` + room + `.t1 successfully stopped."}`},
		{"alice", "POST", "/tasks/chat/c/stop", 200, `{"status":true,"message":"All tasks of this chat are stopped."}`},
		{"alice", "PUT", "/tasks", 405, ""},
	} {
		status, answer := ask(c.user, c.method, c.path, "")
		if status != c.status || c.answer != "" && answer != c.answer {
			t.Errorf("%s: %s %s: got %d %s, want %d %s", c.user, c.method, c.path, status, answer, c.status, c.answer)
		}
	}
	if want := []string{"stop t1", "stop t2", "stop t1", "stop "}; !slices.Equal(r.did, want) {
		t.Errorf("did %q, want %q", r.did, want)
	}
}

// Pages of the allowed origins may ask, which browsers find out before they do.
func TestPreflight(t *testing.T) {
	verifier := auth.New(auth.Options{Secret: strings.Repeat("s", 32)})
	t.Cleanup(verifier.Close)
	a, err := api.New(nil, nil, nil, verifier, api.Options{AllowedOrigins: []string{"https://app.example"}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := &openwebui.Server{}
	a.RegisterAt(mux, "/api", s.Routes())
	a.RegisterAt(mux, "/api/v1", s.ChannelRoutes())
	for _, path := range []string{"/api/chat/completions", "/api/tasks", "/api/tasks/stop/t", "/api/tasks/chat/c/stop", "/api/v1/channels/create", "/api/v1/channels/c/messages/m/update"} {
		r := httptest.NewRequest("OPTIONS", path, nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "https://app.example" {
			t.Errorf("%s: %d, allowed origin %q", path, w.Code, got)
		}
	}
}
