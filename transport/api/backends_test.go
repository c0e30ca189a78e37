package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
)

// emitter notes what it is asked, and answers like one that reaches two connections.
type emitter struct{ asked []string }

func (e *emitter) Emit(_ context.Context, m chat.Emission) (int, error) {
	e.asked = append(e.asked, fmt.Sprintf("%+v %s %s", m.To, m.Event, m.Args))
	return 2, nil
}

func (e *emitter) Call(_ context.Context, c chat.Call) (chat.Acknowledgement, error) {
	e.asked = append(e.asked, fmt.Sprintf("%+v %s %s %v", c.To, c.Event, c.Args, c.Timeout))
	if c.Event == "late" {
		return chat.Acknowledgement{}, chat.Refuse(chat.CodeTimeout, "nobody")
	}
	return chat.Acknowledgement{Args: []json.RawMessage{json.RawMessage(`"yes"`)}}, nil
}

func TestBackends(t *testing.T) {
	e := &emitter{}
	mux := newMux(t, conversation(), api.Options{Backends: api.Backends{
		Emitter: e, MaxBytes: 100, MaxTimeout: time.Minute,
		Backend: func(r *http.Request) (chat.User, error) {
			if r.Header.Get("Authorization") != "Bearer ok" {
				return chat.User{}, chat.Refuse(chat.CodeForbidden, "no")
			}
			return chat.User{ID: "robot"}, nil
		},
	}})
	for _, test := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"emit", `{"to":{"user":"alice"},"event":"x","args":[1,{"a":[]}]}`, 200, `{"connections":2}`},
		{"emit", `{"to":{"room":["a","b"]},"event":"x"}`, 200, `{"connections":2}`},
		{"emit", `{"to":{"users":"alice"},"event":"x"}`, 400, `unknown field`},
		{"emit", `{"to":{"user":7},"event":"x"}`, 400, `invalid`},
		{"emit", `{"to":{"all":true},"event":"x","args":["` + strings.Repeat("x", 40<<10) + `"]}`, 413, `too_large`},
		{"call", `{"to":{"session":"s"},"event":"x","args":[],"timeout":1.5}`, 200, `{"args":["yes"]}`},
		{"call", `{"to":{"user":"alice"},"event":"late"}`, 504, `timeout`},
		{"call", `{"to":{"user":"alice"},"event":"x","timeout":1e300}`, 200, `yes`},
	} {
		w := do(mux, "POST", "/api/v1/"+test.path, test.body, "Authorization", "Bearer ok")
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.answer) {
			t.Errorf("%s %.80s: %d %s", test.path, test.body, w.Code, w.Body)
		}
	}
	want := []string{
		"{Rooms:[] Users:[alice] Sessions:[] All:false} x [1 {\"a\":[]}]",
		"{Rooms:[a b] Users:[] Sessions:[] All:false} x []",
		"{Rooms:[] Users:[] Sessions:[s] All:false} x [] 1.5s",
		"{Rooms:[] Users:[alice] Sessions:[] All:false} late [] 30s",
		"{Rooms:[] Users:[alice] Sessions:[] All:false} x [] 298261h37m4s",
	}
	if got := strings.Join(e.asked, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("asked\n%s", got)
	}
	if w := do(mux, "POST", "/api/v1/emit", `{"to":{"all":true},"event":"x"}`); w.Code != http.StatusForbidden {
		t.Errorf("somebody else: %d", w.Code)
	}
	if w := do(mux, "GET", "/api/v1/emit", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}
