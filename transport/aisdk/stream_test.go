package aisdk_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/aisdk"
	"parlor/transport/live"
)

const hi = `{"id":"c","trigger":"submit-message","messages":[{"id":"x","role":"user","parts":[{"type":"text","text":"hi"}]}]}`

// ask sends a request and returns the answer, of which the head is there.
func (s *site) ask(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// rest reads the rest of an answer. A body without its end is an error.
func rest(r *http.Response) (string, error) {
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// How a stream ends is all that tells useChat whether it has the whole answer.
func TestEndsOfStreams(t *testing.T) {
	begun := []chat.Record{asked, queued, start}
	for name, test := range map[string]struct {
		live  []chat.Notice
		then  func(*site)
		whole bool
		last  string // what the body ends with, or has last
	}{
		"completed": {live: []chat.Notice{text("", "Hel"), text("Hel", "lo"), ended("Hello")}, whole: true, last: "data: [DONE]\n\n"},
		"another attempt": {live: []chat.Notice{text("", "Hel"),
			chat.Record{Seq: 7, Event: chat.TurnStarted{TurnID: "turn", MessageID: "answer", Attempt: 2}}}, last: `"delta":"Hel"}` + "\n\n"},
		"another text":    {live: []chat.Notice{text("", "Hel"), ended("Hallo")}, last: `"delta":"Hel"}` + "\n\n"},
		"a bug":           {live: []chat.Notice{text("", "Hel"), nil}, last: `"delta":"Hel"}` + "\n\n"},
		"the server ends": {live: []chat.Notice{text("", "Hel")}, then: func(s *site) { s.end(live.ErrStopping) }, last: `"delta":"Hel"}` + "\n\n"},
		"signed out": {live: []chat.Notice{text("", "Hel")}, then: func(s *site) { s.end(live.ErrSignedOut) }, whole: true,
			last: `"errorText":"your token has expired or was revoked (unauthenticated)"}` + "\n\ndata: [DONE]\n\n"},
		"the chat is deleted": {live: []chat.Notice{text("", "Hel"), chat.Removal{}}, whole: true, last: `(not_found)"}` + "\n\ndata: [DONE]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.records = begun
			s := serve(t, r, aisdk.Options{})
			response := s.ask(t, "POST", "/ui/chat", hi)
			if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("X-Vercel-Ai-Ui-Message-Stream") != "v1" {
				t.Fatalf("%d %v", response.StatusCode, response.Header)
			}
			for _, n := range test.live {
				r.live <- n
			}
			if test.then != nil {
				wait(t, func() bool { return len(r.live) == 0 })
				time.Sleep(20 * time.Millisecond) // the last piece is on its way
				test.then(s)
			}
			body, err := rest(response)
			if (err == nil) != test.whole || !strings.HasSuffix(body, test.last) {
				t.Errorf("the body ends with %v, whole %t, want %t: %q", err, err == nil, test.whole, body)
			}
		})
	}
}

// A stream that says nothing shows that it is there.
func TestKeepAlive(t *testing.T) {
	r := newRoom()
	r.records = []chat.Record{asked, queued}
	s := serve(t, r, aisdk.Options{KeepAlive: 5 * time.Millisecond})
	response := s.ask(t, "POST", "/ui/chat", hi)
	head := make([]byte, 200)
	n, err := io.ReadFull(response.Body, head)
	if got := string(head[:n]); err != nil || strings.Count(got, ": keep-alive\n\n") < 3 || !strings.HasPrefix(got, `data: {"type":"data-turn"`) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A client that leaves stops nothing.
func TestAbortedFetch(t *testing.T) {
	r := newRoom()
	s := serve(t, r, aisdk.Options{})
	response := s.ask(t, "POST", "/ui/chat", hi)
	response.Body.Close()
	s.Close() // waits for the handlers
	if got := r.noted(); len(got) != 1 {
		t.Errorf("commands %q", got)
	}
}

func TestFirstMessageMakesChat(t *testing.T) {
	for model, want := range map[string]string{"": "eliza", `,"model_id":"m"`: "m"} {
		r := newRoom()
		r.missing = true
		r.records = []chat.Record{asked, queued, start, ended("Hello")}
		s := serve(t, r, aisdk.Options{})
		body, err := rest(s.ask(t, "POST", "/ui/chat", strings.Replace(hi, `"id":"c"`, `"id":"c"`+model, 1)))
		if err != nil || !strings.Contains(body, `"delta":"Hello"`) {
			t.Errorf("%q, %v", body, err)
		}
		if got := strings.Join(r.noted(), ", "); got != `create c by alice with `+want+`, say "hi" as x` {
			t.Errorf("commands %s", got)
		}
	}
}

// Files are uploaded before the message that brings them is said.
func TestFiles(t *testing.T) {
	r := newRoom()
	r.missing = true
	r.records = []chat.Record{asked, queued, start, ended("Hello")}
	s := serve(t, r, aisdk.Options{})
	file := `{"type":"file","mediaType":"text/plain","filename":"a.txt","url":"data:text/plain;base64,aGVsbG8="},`
	if body, err := rest(s.ask(t, "POST", "/ui/chat", strings.Replace(hi, `"parts":[`, `"parts":[`+file+file, 1))); err != nil || !strings.Contains(body, `"delta":"Hello"`) {
		t.Errorf("%q, %v", body, err)
	}
	want := `create c by alice with eliza, upload a.txt "hello" as ui x 0, upload a.txt "hello" as ui x 1, say "hi" as x with [f0 f1]`
	if got := strings.Join(r.noted(), ", "); got != want {
		t.Errorf("commands %s", got)
	}
	r.messages = []chat.Message{{ID: "m1", Role: chat.RoleUser, Content: "hi", Files: []chat.File{{ID: "f0", Name: "a.png", Type: "image/png"}}}}
	if body, _ := rest(s.ask(t, "GET", "/ui/chat/c", "")); !strings.Contains(body, `{"type":"file","url":"`+s.URL+`/chat/c/files/f0","mediaType":"image/png","filename":"a.png"}`) {
		t.Errorf("history %s", body)
	}
}

func TestResume(t *testing.T) {
	answer := chat.Message{ID: "answer", Seq: 9, Role: chat.RoleAssistant, Content: "Hello", State: chat.StateCompleted, Created: time.Now().Add(-time.Minute)}
	mine, other := turn, chat.Turn{ID: "other", Prompt: "another", PromptSeq: 3, By: "bob", MessageID: "theirs", Attempt: 1}
	mine.Attempt = 0
	records := []chat.Record{
		{Seq: 3, Event: chat.MessageAdded{MessageID: "another"}}, asked,
		{Seq: 5, Event: chat.TurnStarted{TurnID: "other", MessageID: "theirs", Attempt: 1}}, queued, start, ended("mine"),
		{Seq: 10, Event: chat.TurnEnded{TurnID: "other", MessageID: "theirs", State: chat.StateCompleted, Content: "theirs"}},
	}
	for name, test := range map[string]struct {
		room   *room
		window time.Duration
		status int
		want   string
	}{
		"my turn before others": {room: &room{now: chat.Entered{Turn: &other, Queued: []chat.Turn{mine}}, records: records}, status: 200, want: `"delta":"mine"`},
		"the room's turn":       {room: &room{now: chat.Entered{Turn: &other}, records: records}, status: 200, want: `"delta":"theirs"`},
		"nothing":               {room: &room{}, status: 204},
		"no chat":               {room: &room{missing: true}, status: 204},
		"an answer of late":     {room: &room{messages: []chat.Message{answer}}, status: 200, want: `{"type":"text-delta","id":"0","delta":"Hello"}`},
		"an answer of old":      {room: &room{messages: []chat.Message{answer}}, window: time.Second, status: 204},
		"something said since":  {room: &room{messages: []chat.Message{answer, {ID: "m", Role: chat.RoleUser, Seq: 10, Created: time.Now()}}}, status: 204},
		"the disk is broken":    {room: &room{refusal: chat.Refuse(chat.CodeStorageUnavailable, "broken")}, status: 418},
	} {
		t.Run(name, func(t *testing.T) {
			test.room.live = make(chan chat.Notice)
			s := serve(t, test.room, aisdk.Options{ReplayWindow: test.window})
			response := s.ask(t, "GET", "/ui/chat/c/stream", "")
			body, err := rest(response)
			if err != nil || response.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%d %q, %v", response.StatusCode, body, err)
			}
		})
	}
}

func TestStop(t *testing.T) {
	other := chat.Turn{ID: "other", By: "bob", Attempt: 1}
	for name, test := range map[string]struct {
		now        chat.Entered
		body       string
		want, turn string
	}{
		"the one that is waited for": {chat.Entered{Turn: &other, Queued: []chat.Turn{turn}}, "", "stop turn", `"turn"`},
		"somebody else's":            {chat.Entered{Turn: &other}, "{}", "stop other", `"other"`},
		"the one that is named":      {chat.Entered{Turn: &other}, `{"turn_id":"a turn"}`, "stop a turn", `"a turn"`},
		"nothing":                    {chat.Entered{}, "", "", "null"},
	} {
		r := newRoom()
		r.now = test.now
		s := serve(t, r, aisdk.Options{})
		body, err := rest(s.ask(t, "POST", "/ui/chat/c/stop", test.body))
		if got := strings.Join(r.noted(), ", "); got != test.want || err != nil || body != `{"turn_id":`+test.turn+`}` {
			t.Errorf("%s: commands %q, answer %q, %v", name, got, body, err)
		}
	}
}

func TestHistory(t *testing.T) {
	alice := &chat.User{ID: "alice"}
	r := newRoom()
	r.messages = []chat.Message{
		{ID: "m1", Role: chat.RoleUser, Author: alice, Content: "hi", ClientID: "x"},
		{ID: "m2", Role: chat.RoleAssistant, Content: "ho", State: chat.StateCompleted},
	}
	s := serve(t, r, aisdk.Options{})
	body, err := rest(s.ask(t, "GET", "/ui/chat/c", ""))
	if err != nil || !strings.HasPrefix(body, `[{"id":"x","role":"user","parts":[{"type":"text","text":"hi"}]`) || !strings.Contains(body, `},{"id":"m2"`) || !strings.HasSuffix(body, "]") {
		t.Errorf("%s, %v", body, err)
	}
	r.set(r.messages, errors.New("the disk")) // in the middle
	if response, err := http.Get(s.URL + "/ui/chat/c"); err == nil {
		if body, err := rest(response); err == nil {
			t.Errorf("half a history looks whole: %s", body)
		}
		response.Body.Close()
	}
	r.set(nil, nil)
	if body, _ := rest(s.ask(t, "GET", "/ui/chat/c", "")); body != "[]" {
		t.Errorf("nothing: %s", body)
	}
	if got := s.ask(t, "GET", "/ui/chat/c?limit=0", "").StatusCode; got != 418 {
		t.Errorf("limit=0: %d", got)
	}
}

func TestRefusals(t *testing.T) {
	r := newRoom()
	s := serve(t, r, aisdk.Options{MaxBody: 1000})
	for want, body := range map[string]string{
		"too_large":      strings.Replace(hi, "hi", strings.Repeat("hi", 1000), 1),
		"must be a JSON": "[]",
	} {
		response := s.ask(t, "POST", "/ui/chat", body)
		if got, _ := rest(response); response.StatusCode != 418 || !strings.Contains(got, want) {
			t.Errorf("%d %s, want %s", response.StatusCode, got, want)
		}
	}
	r.set(nil, chat.Refuse(chat.CodeBusy, "not now"))
	response := s.ask(t, "POST", "/ui/chat", hi)
	if got, _ := rest(response); response.StatusCode != 418 || !strings.Contains(got, "not now") {
		t.Errorf("%d %s", response.StatusCode, got)
	}
}

// A user who may have no more connections is refused before anything is recorded.
func TestNoConnectionLeft(t *testing.T) {
	r := newRoom()
	s := serve(t, r, aisdk.Options{Streams: live.New(live.Options{
		Hold: func(*http.Request, func()) (func(), error) {
			return nil, chat.Refuse(chat.CodeBusy, "too many connections")
		},
	})})
	response := s.ask(t, "POST", "/ui/chat", hi)
	if got, _ := rest(response); response.StatusCode != 418 || !strings.Contains(got, "too many connections") || len(r.noted()) > 0 {
		t.Errorf("%d %s, commands %q", response.StatusCode, got, r.noted())
	}
}
