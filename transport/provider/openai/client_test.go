package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
)

func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

func stream200(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

func TestRequest(t *testing.T) {
	var header http.Header
	var path, body string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, header, body = r.Method+" "+r.URL.String(), r.Header, string(b)
		stream200(w, stop, end)
	})
	prompt := chat.Prompt{Model: "gpt-4o", Messages: []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: "be short"},
		{Role: chat.RoleUser, Content: "Grüße <b>"},
		{Role: chat.RoleAssistant, Content: ""},
		{Role: chat.RoleUser, Content: "?"},
	}}

	collect(t, newClient(t, url+"?api-version=1", Options{}).Stream(t.Context(), prompt)).check(t, "", "", "")

	if want := "POST /v1/chat/completions?api-version=1"; path != want {
		t.Errorf("request is %s, want %s", path, want)
	}
	for name, want := range map[string]string{
		"Authorization":   "Bearer " + testKey,
		"Content-Type":    "application/json",
		"Accept":          "text/event-stream",
		"Accept-Encoding": "",
		"Idempotency-Key": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var got, want any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	json.Unmarshal([]byte(`{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[
		{"role":"system","content":"be short"},{"role":"user","content":"Grüße <b>"},{"role":"user","content":"?"}]}`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body differs (-want +got):\n%s", diff)
	}
}

func TestNoKeyIsSentWithoutOne(t *testing.T) {
	var sent []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header["Authorization"]
		stream200(w, stop, end)
	})
	c, err := New(url, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	collect(t, c.Stream(t.Context(), hello)).check(t, "", "", "")
	if sent != nil {
		t.Errorf("Authorization %q was sent", sent)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		url, key string
		want     error
	}{
		{"api.example.com/v1", "", ErrBaseURL},
		{"ftp://api.example.com", "", ErrBaseURL},
		{"http://", "", ErrBaseURL},
		{"http://alice:secret-password@api.example.com/v1", "", ErrBaseURL},
		{"http://api.example.com/v1#secret-password", "", ErrBaseURL},
		{"http://api.example.com:secret-password/", "", ErrBaseURL},
		{"", "secret-password\n", ErrKey},
	} {
		_, err := New(test.url, test.key, Options{})
		if !errors.Is(err, test.want) {
			t.Errorf("New(%q, %q) = %v, want %v", test.url, test.key, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-password") {
			t.Errorf("the error %q repeats a secret", err)
		}
	}
}

func TestRefusals(t *testing.T) {
	const masked = "Incorrect API key provided: sk-test-********cdef. You can find your key at https://example.com."
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   string
	}{
		{name: "429", status: 429, header: http.Header{"Retry-After": {"20"}}, body: `{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`,
			want: "the provider answered 429 Too Many Requests: Rate limit reached (retry after 20 s)"},
		{name: "429 until a date", status: 429, header: http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, want: "the provider answered 429 Too Many Requests (retry after 1994-11-06T08:49:37Z)"},
		{name: "429 with nonsense", status: 429, header: http.Header{"Retry-After": {"-1; " + testKey}}, want: "the provider answered 429 Too Many Requests"},
		{name: "500", status: 500, body: `{"error":"boom"}`, want: "the provider answered 500 Internal Server Error: boom"},
		{name: "529", status: 529, body: `{"message":"overloaded"}`, want: "the provider answered 529: overloaded"},
		{name: "400 with a detail", status: 400, body: `{"detail":[{"loc":["body"],"msg":"field required"}]}`, want: "the provider answered 400 Bad Request: field required"},
		{name: "404 in a list", status: 404, body: `[{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}]`, want: "the provider answered 404 Not Found: no such model"},
		{name: "only a type", status: 503, body: `{"error":{"type":"overloaded_error"}}`, want: "the provider answered 503 Service Unavailable: overloaded_error"},
		{name: "plain text", status: 503, body: " no\n healthy\tupstream ", want: "the provider answered 503 Service Unavailable: no healthy upstream"},
		{name: "a page", status: 502, header: http.Header{"Content-Type": {"text/html"}}, body: "<html><title>502 Bad Gateway</title></html>", want: "the provider answered 502 Bad Gateway"},
		{name: "nothing", status: 500, want: "the provider answered 500 Internal Server Error"},
		{name: "an empty 204", status: 204, want: "the provider answered 204 No Content"},
		{name: "long text", status: 500, body: strings.Repeat("é", 5000), want: "the provider answered 500 Internal Server Error: " + strings.Repeat("é", maxMessage) + "…"},
		{name: "endless text", status: 500, body: strings.Repeat("x", 1<<20), want: "the provider answered 500 Internal Server Error: " + strings.Repeat("x", maxMessage) + "…"},
		{name: "the key", status: 401, body: `{"error":{"message":"Bad key: ` + testKey + `!"}}`, want: "the provider answered 401 Unauthorized: Bad key: [redacted]!"},
		{name: "the key in plain text", status: 401, body: "Authorization: Bearer " + testKey, want: "the provider answered 401 Unauthorized: Authorization: [redacted]"},
		{name: "the key masked", status: 401, body: `{"error":{"message":"` + masked + `"}}`, want: "the provider answered 401 Unauthorized: Incorrect API key provided: [redacted] You can find your key at https://example.com."},
		{name: "the key cut", status: 401, body: "key " + testKey[:10] + " is wrong", want: "the provider answered 401 Unauthorized: key [redacted] is wrong"},
		{name: "another key", status: 401, body: "key sk-proj-abcdefgh is wrong, AIzaabcdefghijklmnopqrstuvwx too", want: "the provider answered 401 Unauthorized: key [redacted] is wrong, [redacted] too"},
		{name: "bad UTF-8", status: 500, body: "\xff\xfe", want: "the provider answered 500 Internal Server Error: ?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				for name, values := range test.header {
					w.Header()[name] = values
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			got := collect(t, newClient(t, url, Options{}).Stream(t.Context(), hello))
			got.check(t, "", chat.CodeProviderError, "")
			if text := chat.AsError(got.err).Message; text != test.want {
				t.Errorf("message is %q, want %q", text, test.want)
			}
		})
	}
}

// TestKeyWithoutForm checks that a key which looks like none is kept as well.
func TestKeyWithoutForm(t *testing.T) {
	const key = "correct.horse(battery"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		stream200(w, hel, fmt.Sprintf("data: {\"error\":{\"message\":%q}}\n\n", r.Header.Get("Authorization")+", "+key+", "+key[:12]))
	})
	c, err := New(url, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := collect(t, c.Stream(t.Context(), hello))
	got.check(t, "Hel", chat.CodeProviderError, "the provider failed: ")
	if strings.Contains(got.err.Error(), key[:prefixLen]) {
		t.Errorf("the key is in the error %q", got.err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other, http.StatusTemporaryRedirect)
	})
	got := collect(t, newClient(t, url, Options{}).Stream(t.Context(), hello))
	got.check(t, "", chat.CodeProviderError, "307")
	if followed.Load() {
		t.Error("the prompt went to another server")
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	tls.StartTLS()
	defer tls.Close()
	failing := func(err error) Options {
		return Options{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	for _, test := range []struct {
		name, url string
		opts      Options
		code      chat.Code
		message   string
	}{
		{"refused", "http://" + addr, Options{}, chat.CodeProviderError, "connection refused"},
		{"no such host", "http://x", failing(&net.DNSError{Err: "no such host", Name: "x"}), chat.CodeProviderError, "host was not found"},
		{"in time", "http://x", failing(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), chat.CodeProviderTimeout, "in time"},
		{"certificate", tls.URL, Options{}, chat.CodeProviderError, "certificate is not trusted"},
		{"otherwise", "http://x", failing(errors.New("no route")), chat.CodeProviderError, "the provider cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := collect(t, newClient(t, test.url+"?token=query-secret", test.opts).Stream(t.Context(), hello))
			got.check(t, "", test.code, test.message)
			if text := chat.AsError(got.err).Message; strings.Contains(text, "127.0.0.1") {
				t.Errorf("the message %q names an address", text)
			}
			if strings.Contains(got.err.Error(), "query-secret") {
				t.Errorf("the query of the URL is in the error %q", got.err)
			}
		})
	}
}

func TestReset(t *testing.T) {
	read := make(chan struct{})
	url := serveConns(t, func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, eventStream+hel)
		<-read // a reset takes along what was not read
		conn.(*net.TCPConn).SetLinger(0)
	})
	var once sync.Once
	var last error
	text := ""
	for d, err := range newClient(t, url, Options{}).Stream(t.Context(), hello) {
		text += d.Text
		last = err
		once.Do(func() { close(read) })
	}
	outcome{text: text, err: last}.check(t, "Hel", chat.CodeProviderError, "the answer was cut off")
}

// TestStaleConnection closes a kept connection just when it is used again.
func TestStaleConnection(t *testing.T) {
	var conns atomic.Int32
	url := serveConns(t, func(conn net.Conn) {
		first := conns.Add(1) == 1
		if readRequest(conn) != nil {
			return
		}
		if !first {
			io.WriteString(conn, eventStream+hel+stop+end)
			return
		}
		io.WriteString(conn, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\nno")
		readRequest(conn)
	})
	c := newClient(t, url, Options{})
	collect(t, c.Stream(t.Context(), hello)).check(t, "", chat.CodeProviderError, "429")
	collect(t, c.Stream(t.Context(), hello)).check(t, "Hel", "", "")
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2: the first was not kept", n)
	}
}

func TestParallelStreams(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Model string }
		json.NewDecoder(r.Body).Decode(&req)
		stream200(w, hel, strings.Replace(lo, "lo", req.Model, 1), stop, usage357, end)
	})
	c := newClient(t, url, Options{})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			model := fmt.Sprint("m", i)
			collect(t, c.Stream(t.Context(), chat.Prompt{Model: chat.ModelID(model), Messages: hello.Messages})).check(t, "Hel"+model, "", "")
		})
	}
	wg.Wait()
}

// TestCancelLeavesNothing stops an answer at each point of its life.
func TestCancelLeavesNothing(t *testing.T) {
	stopped := errors.New("stopped by a test")
	for _, test := range []struct{ name, sent, text string }{
		{"before the header", "", ""},
		{"before the first event", eventStream, ""},
		{"in a refusal", "HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n{", ""},
		{"in the answer", eventStream + hel, "Hel"},
		{"in an event", eventStream + hel + lo[:20], "Hel"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancelCause(t.Context())
			sent, closed := make(chan struct{}), make(chan struct{})
			url := serveConns(t, func(conn net.Conn) {
				readRequest(conn)
				io.WriteString(conn, test.sent)
				close(sent)
				untilClosed(conn)
				close(closed)
			})
			listening := goleak.IgnoreCurrent()
			go func() {
				<-sent
				cancel(stopped)
			}()
			c := newClient(t, url, Options{})
			text := ""
			var err error
			for d, e := range c.Stream(ctx, hello) {
				text, err = text+d.Text, e
			}
			if !errors.Is(err, stopped) || !strings.HasPrefix(test.text, text) {
				t.Errorf("got %q, %v; want %q, %v", text, err, test.text, stopped)
			}
			<-closed // the provider sees the end
			goleak.VerifyNone(t, before, listening)
		})
	}
}

func TestConsumerMayLeave(t *testing.T) {
	closed := make(chan struct{})
	url := serveConns(t, func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, eventStream+hel+lo)
		untilClosed(conn)
		close(closed)
	})
	for range newClient(t, url, Options{}).Stream(t.Context(), hello) {
		break
	}
	<-closed
}
