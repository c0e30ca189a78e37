package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parlor/transport/client"
)

// TestFromAComplaintToTheTurn carries out the commands of docs/operations.md.
func TestFromAComplaintToTheTurn(t *testing.T) {
	s := startComplaining(t)
	chat := s.post(t, "/api/v1/chat", "", `{"model_id":"broken"}`)["chat_id"].(string)
	said := s.post(t, "/api/v1/chat/"+chat+"/messages", "complaint-1", `{"content":"my geheim words"}`)
	turn := s.line(t, "turn", "message", said["message_id"])
	for key, want := range map[string]any{"chat": chat, "user": "alice", "model": "broken", "end": "failed", "reason": "provider_error"} {
		if turn[key] != want {
			t.Errorf("the turn's %s is %v, want %v", key, turn[key], want)
		}
	}
	request := s.line(t, "request", "request", "complaint-1")
	for key, want := range map[string]any{
		"method": "POST", "route": "/api/v1/chat/{chat_id}/messages", "status": 201., "user": "alice", "chat": chat, "room": turn["room"],
		"message": said["message_id"], "turn": turn["turn"],
	} {
		if request[key] != want {
			t.Errorf("the request's %s is %v, want %v", key, request[key], want)
		}
	}
	for _, id := range []string{"complaint-1", turn["answer"].(string)} {
		out := s.documented(t, id)
		if n := strings.Count(out, `"turn":"`+turn["turn"].(string)); n < 2 {
			t.Errorf("the commands name the turn %d times for %q:\n%s", n, id, out)
		}
	}
}

// The line of an event leads to the turn too, and no line has anybody's words.
func TestRequestLogHasIDsAlone(t *testing.T) {
	s := startComplaining(t)
	c, err := client.Dial(t.Context(), client.Options{URL: s.url, Namespace: "/assistant/realtime", Auth: map[string]any{"user_id": "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(event string, arg map[string]any) (ack map[string]any) {
		answer, err := c.Call(t.Context(), event, arg)
		if err == nil && len(answer) > 0 {
			err = json.Unmarshal(answer[0], &ack)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ack
	}
	room := call("create_room", map[string]any{"chat_id": "a-chat", "model_id": "broken", "model_api_source": "aisuite"})["room_id"]
	sent := call("send_message", map[string]any{"room_id": room, "message": map[string]any{"content": "my geheim words"}})
	call("my geheim words", map[string]any{})
	event := s.line(t, "event", "message", sent["message_id"])
	for key, want := range map[string]any{"event": "send_message", "outcome": "ok", "user": "alice", "room": room, "namespace": "/assistant/realtime"} {
		if event[key] != want {
			t.Errorf("the event's %s is %v, want %v", key, event[key], want)
		}
	}
	s.line(t, "turn", "message", sent["message_id"])
	if unknown := s.line(t, "event", "outcome", "invalid"); unknown["event"] != nil {
		t.Errorf("an event that nobody knows is logged as %v", unknown["event"])
	}
	s.post(t, "/api/v1/chat/my%20geheim%20words/messages", "my geheim words", `{}`)
	s.get(t, "/api/v1/search?q=my+geheim+words", map[string]string{"Cookie": "a=geheim", "Authorization": "Basic geheim", "X-Request-Id": "search-1"})
	s.line(t, "request", "request", "search-1")
	s.get(t, "/my/geheim/path", map[string]string{"X-Request-Id": "path-1"})
	s.line(t, "request", "request", "path-1")
	if log := s.log(t); strings.Contains(log, "geheim") {
		t.Errorf("the log has what somebody said or sent:\n%s", log)
	}
}

// complaining is a server whose log is a file, with a model that always fails.
type complaining struct {
	url, dir string
}

func startComplaining(t *testing.T) complaining {
	t.Helper()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	t.Cleanup(broken.Close)
	s := complaining{dir: t.TempDir()}
	log, err := os.Create(filepath.Join(s.dir, "parlor.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s.url = startLogging(t, log, "--request-log", "--log-format=json", `--providers={"mine":{"base_url":"`+broken.URL+`"}}`,
		`--models=[{"model_id":"broken","provider":"mine","upstream_model":"x"}]`, "--titles=off")
	return s
}

func (s complaining) post(t *testing.T, path, id, body string) (answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if err := json.Unmarshal(s.do(t, r, map[string]string{"X-Request-Id": id}), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func (s complaining) get(t *testing.T, path string, headers map[string]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, r, headers)
}

// do checks that a request is answered with its id, or with another one if it has none that is
// well formed.
func (s complaining) do(t *testing.T, r *http.Request, headers map[string]string) []byte {
	t.Helper()
	r.Header.Set("X-Parlor-User", "alice")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	sent, got := r.Header.Get("X-Request-Id"), answer.Header.Get("X-Request-Id")
	if wellFormed := sent != "" && !strings.Contains(sent, " "); err != nil || got == "" || (got == sent) != wellFormed {
		t.Errorf("%s %s with the id %q was answered with %q, %v", r.Method, r.URL, sent, got, err)
	}
	return body
}

func (s complaining) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "parlor.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// line waits for a line of the log that has a value.
func (s complaining) line(t *testing.T, msg, key string, value any) (line map[string]any) {
	t.Helper()
	for range 3000 {
		for text := range strings.Lines(s.log(t)) {
			line = nil // what Unmarshal does not find would stay
			if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == msg && line[key] == value {
				return line
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no line %s has %s=%v:\n%s", msg, key, value, s.log(t))
	return nil
}

// documented carries out the commands for an id.
func (s complaining) documented(t *testing.T, id string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(repository, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## From a complaint to the turn\n")
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)
	if commands == nil {
		t.Fatal("the page has no commands")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.Replace(commands[1], "ID=req_example", "ID="+id, 1))
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
