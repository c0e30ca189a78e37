package responses

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A server has one answer, which goes on by itself. It cuts each connection behind so many
// events as cuts says.
type server struct {
	events []string
	status int // of reading on, if that is refused

	mu       sync.Mutex
	cuts     []int
	requests []string
	asked    map[string]any
}

func newServer(text ...string) *server {
	s := &server{events: []string{`"type":"response.created","response":{"id":"resp/1","background":true,"status":"queued"}`}}
	for _, piece := range text {
		s.events = append(s.events, `"type":"response.output_text.delta","delta":"`+piece+`"`)
	}
	s.events = append(s.events,
		`"type":"response.output_item.done","item":{"type":"function_call","call_id":"c1","name":"add","arguments":"{}"}`,
		`"type":"response.completed","response":{"id":"resp/1","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery)
	after := -1
	switch {
	case strings.HasSuffix(r.URL.Path, "/cancel"):
		fmt.Fprint(w, `{"status":"cancelled"}`)
		return
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &s.asked)
	case s.status != 0:
		http.Error(w, `{"error":{"message":"there is none"}}`, s.status)
		return
	default:
		after, _ = strconv.Atoi(r.URL.Query().Get("starting_after"))
	}
	w.Header().Set("Content-Type", "text/event-stream")
	until := len(s.events)
	if len(s.cuts) > 0 {
		until, s.cuts = min(until, after+1+s.cuts[0]), s.cuts[1:]
	}
	for n := after + 1; n < until; n++ {
		fmt.Fprintf(w, "data: {\"sequence_number\":%d,%s}\n\n", n, s.events[n])
	}
	if until < len(s.events) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

var prompt = chat.Prompt{
	Model: "m", Resumable: true, Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}, Tools: []chat.Tool{{Name: "add"}},
}

// ask returns what comes of a prompt.
func (s *server) ask(t *testing.T, p chat.Prompt) (text string, run *chat.Run, calls int, err error) {
	t.Helper()
	h := httptest.NewServer(s)
	defer h.Close()
	c := newClient(t, h.URL+"/v1", upstream.Options{})
	for d, failed := range c.Stream(t.Context(), p) {
		if failed != nil {
			return text, run, calls, failed
		}
		if d.Run != nil {
			run = d.Run
		}
		if d.Calls != nil {
			calls = len(d.Calls.List)
		}
		text += d.Text
	}
	return text, run, calls, nil
}

// An answer whose connection is lost is read on behind the last event. It is asked for once,
// and a call that was told before the cut is not lost.
func TestReadOnBehindCuts(t *testing.T) {
	s := newServer("one ", "two ", "three")
	s.cuts = []int{2, 1, 2}
	text, run, calls, err := s.ask(t, prompt)
	if text != "one two three" || run == nil || *run != (chat.Run{ID: "resp/1"}) || calls != 1 || err != nil {
		t.Errorf("got %q, %v, %d calls, %v", text, run, calls, err)
	}
	want := []string{
		"POST /v1/responses?", "GET /v1/responses/resp%2F1?stream=true&starting_after=1",
		"GET /v1/responses/resp%2F1?stream=true&starting_after=2", "GET /v1/responses/resp%2F1?stream=true&starting_after=4",
	}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if s.asked["background"] != true || s.asked["store"] != true || s.asked["stream"] != true {
		t.Errorf("asked %v", s.asked)
	}
}

// An answer of which nobody keeps the id is not kept by the provider.
func TestNotResumable(t *testing.T) {
	s, p := newServer("hi"), prompt
	s.events[0] = strings.Replace(s.events[0], "true", "false", 1)
	s.cuts = []int{2}
	p.Resumable = false
	if text, run, _, err := s.ask(t, p); text != "hi" || run != nil || err == nil || len(s.requests) != 1 || s.asked["store"] != false || s.asked["background"] != nil {
		t.Errorf("got %q, %v, %v, %v, %v", text, run, err, s.requests, s.asked)
	}
}

// An earlier answer is read on from its first word, with whatever the server begins.
func TestReadOn(t *testing.T) {
	s, p := newServer("one ", "two"), prompt
	p.Run = &chat.Run{ID: "resp/1", Model: "m"}
	if text, _, calls, err := s.ask(t, p); text != "one two" || calls != 1 || err != nil || len(s.requests) != 1 {
		t.Errorf("got %q, %d calls, %v, %v", text, calls, err, s.requests)
	}
	for status, gone := range map[int]bool{404: true, 400: true, 410: true, 401: false, 429: false, 503: false} {
		s.status = status
		s.requests = nil
		if testing.Short() && (status == 429 || status == 503) { // they are tried again for some seconds
			continue
		}
		text, _, _, err := s.ask(t, p)
		if text != "" || err == nil || errors.Is(err, chat.ErrRunGone) != gone {
			t.Errorf("%d: got %q, %v", status, text, err)
		}
	}
}

func TestCancelRun(t *testing.T) {
	s := newServer()
	h := httptest.NewServer(s)
	defer h.Close()
	if err := newClient(t, h.URL+"/v1", upstream.Options{}).CancelRun(t.Context(), chat.Run{ID: "resp/1"}); err != nil || s.requests[0] != "POST /v1/responses/resp%2F1/cancel?" {
		t.Errorf("%v, %v", s.requests, err)
	}
}

// FuzzDecoder feeds a decoder with what no server should send.
func FuzzDecoder(f *testing.F) {
	for _, e := range newServer("hi").events {
		f.Add([]byte("{" + e + "}"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := new(decoder)
		_, _ = d.Event("", data)
		_, _ = d.Event("", data)
	})
}
