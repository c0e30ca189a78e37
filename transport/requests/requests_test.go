package requests_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"parlor/transport/requests"
)

// ask has a handler answer a request, and returns the answer and the line of the log.
func ask(t *testing.T, pattern string, h http.HandlerFunc, r *http.Request) (answer *httptest.ResponseRecorder, line map[string]any) {
	t.Helper()
	var log bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc(pattern, h)
	answer = httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
		}()
		requests.Handler(slog.New(slog.NewJSONHandler(&log, nil)), requests.Routed(mux)).ServeHTTP(answer, r)
	}()
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("not one line: %q", log.String())
	}
	return answer, line
}

func TestLines(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    map[string]any
	}{
		"status and bytes": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "short")
		}, map[string]any{"status": 418., "bytes": 5., "cut": nil}},
		"without a status": {func(w http.ResponseWriter, _ *http.Request) {}, map[string]any{"status": 200., "bytes": 0.}},
		"copied":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("1234")) }, map[string]any{"bytes": 4.}},
		"announced first": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
		}, map[string]any{"status": 404.}},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, map[string]any{"status": 200., "bytes": 4., "cut": true}},
		"noted": {func(_ http.ResponseWriter, r *http.Request) {
			requests.Note(r.Context(), "user", "alice")
			requests.Note(r.Context(), "turn", "t1")
			requests.Note(r.Context(), "turn", "t2")
			requests.Note(r.Context(), "message", "")
		}, map[string]any{"user": "alice", "turn": "t2", "message": nil, "chat": "c1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, line := ask(t, "POST /chat/{chat_id}", test.handler, httptest.NewRequest("POST", "/chat/c1?token=secret", nil))
			test.want["route"], test.want["method"], test.want["msg"] = "/chat/{chat_id}", "POST", "request"
			for key, want := range test.want {
				if line[key] != want {
					t.Errorf("%s is %v, want %v", key, line[key], want)
				}
			}
		})
	}
}

func TestIDs(t *testing.T) {
	for sent, kept := range map[string]bool{
		"abc-1.2:3_D": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "": false, "two words": false, "line\nbreak": false, "ä": false, `"`: false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"] = []string{sent}
		known := ""
		answer, line := ask(t, "/", func(_ http.ResponseWriter, r *http.Request) { known = requests.ID(r.Context()) }, r)
		got := answer.Header().Get("X-Request-Id")
		if got == "" || (got == sent) != kept || line["request"] != got || known != got {
			t.Errorf("%q was answered with %q, logged as %v, and known as %q", sent, got, line["request"], known)
		}
	}
}

// A method, path or id that a client makes up is not logged.
func TestWordsAreLeftOut(t *testing.T) {
	r := httptest.NewRequest("GET", "/chat/s%20ecret/x?q=secret", nil)
	r.Method = "SECRET"
	r.Header.Set("Cookie", "secret")
	_, line := ask(t, "/chat/{chat_id}/{message_id}", func(http.ResponseWriter, *http.Request) {}, r)
	if text, _ := json.Marshal(line); strings.Contains(strings.ToLower(string(text)), "secret") || strings.Contains(string(text), "ecret") {
		t.Errorf("the line is %s", text)
	}
	_, line = ask(t, "/chat", func(http.ResponseWriter, *http.Request) {}, httptest.NewRequest("GET", "/secret", nil))
	if line["route"] != "none" || line["status"] != 404. {
		t.Errorf("nothing is there, and the line is %v", line)
	}
}

// A WebSocket takes the connection over, and a file is sent as the server does it.
func TestServerAbilities(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	logged := make(lines, 2)
	server := httptest.NewServer(requests.Handler(slog.New(slog.NewTextHandler(logged, nil)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			http.ServeFile(w, r, file)
			w.(http.Flusher).Flush()
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		conn.Close()
	})))
	defer server.Close()
	for path, want := range map[string][2]string{"/file": {"content", "status=200 bytes=7"}, "/socket": {"ok", "status=101 bytes=0"}} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != want[0] {
			t.Errorf("%s answered %q", path, body)
		}
		resp.Body.Close()
		if line := <-logged; !strings.Contains(line, want[1]) {
			t.Errorf("%s is logged as %s", path, line)
		}
	}
}

// lines are those of a log.
type lines chan string

// Write implements [io.Writer].
func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// A record that is logged with the context of a request names it.
func TestLogsNameTheRequest(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(requests.Logs(slog.NewTextHandler(&out, nil))).With("part", "api")
	requests.Handler(nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.ErrorContext(r.Context(), "failed")
		log.Error("failed elsewhere")
	})).ServeHTTP(httptest.NewRecorder(), func() *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "id-1")
		return r
	}())
	if n := strings.Count(out.String(), "request=id-1"); n != 1 || !strings.Contains(out.String(), "part=api") {
		t.Errorf("logged %s", out.String())
	}
}
