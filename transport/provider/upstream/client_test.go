package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a protocol whose events are text. A dot ends the answer, and what
// follows a "!" is an error.
type plain struct{}

func (plain) Event(_ string, data []byte) (upstream.Piece, error) {
	switch {
	case string(data) == ".":
		return upstream.Piece{Finish: chat.FinishStop, Last: true}, nil
	case data[0] == '!':
		return upstream.Piece{Report: data[1:]}, nil
	}
	var p upstream.Piece
	p.Text = make([]upstream.Text, 1)
	return p, p.Text[0].UnmarshalJSON(data)
}

func sayHello(chat.Prompt, upstream.Dialect) any { return "hello" }

// newClient returns a client that sends key in a header.
func newClient(t *testing.T, url, key string, o upstream.Options) *upstream.Client {
	t.Helper()
	c, err := upstream.New(upstream.API{BaseURL: url, Header: http.Header{"Authorization": {"Bearer " + key}}, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(t *testing.T, c *upstream.Client) providertest.Outcome {
	t.Helper()
	return providertest.Collect(t, c.Stream(t.Context(), chat.Prompt{}, sayHello, func() upstream.Decoder { return plain{} }))
}

// serve returns the URL of a server over real HTTP.
func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		url, key string
		want     error
	}{
		{"", "", upstream.ErrBaseURL},
		{"api.example.com/v1", "", upstream.ErrBaseURL},
		{"ftp://api.example.com", "", upstream.ErrBaseURL},
		{"http://", "", upstream.ErrBaseURL},
		{"http://alice:secret-password@api.example.com/v1", "", upstream.ErrBaseURL},
		{"http://api.example.com/v1#secret-password", "", upstream.ErrBaseURL},
		{"http://api.example.com:secret-password/", "", upstream.ErrBaseURL},
		{"http://api.example.com/", "secret-password\n", upstream.ErrKey},
	} {
		_, err := upstream.New(upstream.API{BaseURL: test.url, Key: test.key}, upstream.Options{})
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
		{name: "429 with nonsense", status: 429, header: http.Header{"Retry-After": {"-1; " + providertest.Key}}, want: "the provider answered 429 Too Many Requests"},
		{name: "500", status: 500, body: `{"error":"boom"}`, want: "the provider answered 500 Internal Server Error: boom"},
		{name: "529", status: 529, body: `{"message":"overloaded"}`, want: "the provider answered 529: overloaded"},
		{name: "400 with a detail", status: 400, body: `{"detail":[{"loc":["body"],"msg":"field required"}]}`, want: "the provider answered 400 Bad Request: field required"},
		{name: "404 in a list", status: 404, body: `[{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}]`, want: "the provider answered 404 Not Found: no such model"},
		{name: "JSON that is cut", status: 400, body: `{"error":{"message":"a \"b\"","param":`, want: `the provider answered 400 Bad Request: a "b"`},
		{name: "JSON in text", status: 502, body: `{"error":{"message":"{\"error\":{\"message\":\"inner\"}}"}}`, want: "the provider answered 502 Bad Gateway: inner"},
		{name: "JSON of nothing", status: 400, body: `{"error":{}}`, want: "the provider answered 400 Bad Request"},
		{name: "nearly JSON", status: 400, body: `{'error': 'x'}`, want: "the provider answered 400 Bad Request"},
		{name: "two lines of JSON", status: 500, body: "{\"a\":1}\n{\"error\":\"no\"}", want: "the provider answered 500 Internal Server Error: no"},
		{name: "an event", status: 400, body: "event: error\ndata: {\"message\":\"no\"}\n\n", want: "the provider answered 400 Bad Request: no"},
		{name: "a fault", status: 401, body: `{"fault":{"faultstring":"no"}}`, want: "the provider answered 401 Unauthorized: no"},
		{name: "words that begin like a field", status: 500, body: `{"error":{"message":"error: no"}}`, want: "the provider answered 500 Internal Server Error: error: no"},
		{name: "only a type", status: 503, body: `{"error":{"type":"overloaded_error"}}`, want: "the provider answered 503 Service Unavailable: overloaded_error"},
		{name: "plain text", status: 503, body: " no\n healthy\tupstream ", want: "the provider answered 503 Service Unavailable: no healthy upstream"},
		{name: "a page", status: 502, header: http.Header{"Content-Type": {"text/html"}}, body: "<html><title>502 Bad Gateway</title></html>", want: "the provider answered 502 Bad Gateway"},
		{name: "nothing", status: 500, want: "the provider answered 500 Internal Server Error"},
		{name: "an empty 204", status: 204, want: "the provider answered 204 No Content"},
		{name: "long text", status: 500, body: strings.Repeat("é", 5000), want: "the provider answered 500 Internal Server Error: " + strings.Repeat("é", upstream.MaxMessage) + "…"},
		{name: "endless text", status: 500, body: strings.Repeat("x", 1<<20), want: "the provider answered 500 Internal Server Error: " + strings.Repeat("x", upstream.MaxMessage) + "…"},
		{name: "the key", status: 401, body: `{"error":{"message":"Bad key: ` + providertest.Key + `!"}}`, want: "the provider answered 401 Unauthorized: Bad key: [redacted]!"},
		{name: "control characters", status: 400, body: `{"error":{"message":"\u001b[31mred\u0000 line\n two"}}`, want: "the provider answered 400 Bad Request: [31mred line two"},
		{name: "the key in plain text", status: 401, body: "Authorization: Bearer " + providertest.Key, want: "the provider answered 401 Unauthorized: Authorization: [redacted]"},
		{name: "the key masked", status: 401, body: `{"error":{"message":"` + masked + `"}}`, want: "the provider answered 401 Unauthorized: Incorrect API key provided: [redacted] You can find your key at https://example.com."},
		{name: "the key cut", status: 401, body: "key " + providertest.Key[:10] + " is wrong", want: "the provider answered 401 Unauthorized: key [redacted] is wrong"},
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
			got := ask(t, newClient(t, url, providertest.Key, upstream.Options{}))
			got.Check(t, "", chat.CodeProviderError, "")
			if text := chat.AsError(got.Err).Message; text != test.want {
				t.Errorf("message is %q, want %q", text, test.want)
			}
		})
	}
}

// TestAskAgain checks what a failure says of another try.
func TestAskAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		body   string
		again  bool
		after  time.Duration
	}{
		{name: "busy", status: 429, header: http.Header{"Retry-After": {"7"}}, again: true, after: 7 * time.Second},
		{name: "no money", status: 429, body: `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`},
		{name: "busy, of a kind that lasts elsewhere", status: 429, body: `{"object":"error","message":"Service tier capacity exceeded","type":"invalid_request_error","code":null}`, again: true},
		{name: "busy until a time that is past", status: 503, header: http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, again: true},
		{name: "busy for ever", status: 429, header: http.Header{"X-Should-Retry": {"false"}}},
		{name: "a conflict that passes", status: 409, header: http.Header{"X-Should-Retry": {"true"}}, again: true},
		{name: "a redirect", status: 307},
		{name: "no stream", status: 200, header: http.Header{"Content-Type": {"text/html"}}},
		{name: "a failure in band", status: 200, body: `!{"error":{"type":"overloaded_error","message":"x"}}`, again: true},
		{name: "words in band", status: 200, body: `!{"error":"x"}`, again: true},
		{name: "no JSON in band", status: 200, body: `!x`, again: true},
		{name: "a refusal in band", status: 200, body: `!{"type":"error","error":{"type":"invalid_request_error"}}`},
		{name: "a refusal by its code", status: 200, body: `!{"error":{"code":"insufficient_quota"}}`},
		{name: "a status in band", status: 200, body: `!{"error":{"code":404}}`},
		{name: "another status in band", status: 200, body: `!{"code":503}`, again: true},
		{name: "nonsense", status: 200, body: "x"},
		{name: "a cut", status: 200, again: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for name, values := range test.header {
					w.Header()[name] = values
				}
				w.WriteHeader(test.status)
				switch {
				case test.status != http.StatusOK:
					io.WriteString(w, test.body)
				case test.body != "":
					io.WriteString(w, "data: "+test.body+"\n\n")
				}
			})
			err := ask(t, newClient(t, url, providertest.Key, upstream.Options{})).Err
			f, ok := errors.AsType[*upstream.Failure](err)
			if !ok || f.Retryable != test.again || f.RetryAfter != test.after {
				t.Errorf("got %+v, want retryable %v, after %v", f, test.again, test.after)
			}
		})
	}
}

// TestKeyWithoutForm checks that a key which looks like none is kept as well.
func TestKeyWithoutForm(t *testing.T) {
	const key = "correct.horse(battery"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: \"Hel\"\n\ndata: !%s, %s, %s\n\n", r.Header.Get("Authorization"), key, key[:12])
	})
	got := ask(t, newClient(t, url, key, upstream.Options{}))
	got.Check(t, "Hel", chat.CodeProviderError, "the provider failed: ")
	if strings.Contains(got.Err.Error(), key[:8]) {
		t.Errorf("the key is in the error %q", got.Err)
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
	failing := func(err error) upstream.Options {
		return upstream.Options{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	for _, test := range []struct {
		name, url string
		opts      upstream.Options
		code      chat.Code
		message   string
		again     bool
	}{
		{"refused", "http://" + addr, upstream.Options{}, chat.CodeProviderError, "connection refused", true},
		{"no such host", "http://x", failing(&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}), chat.CodeProviderError, "host was not found", false},
		{"no name server", "http://x", failing(&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}), chat.CodeProviderError, "host was not found", true},
		{"in time", "http://x", failing(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), chat.CodeProviderTimeout, "in time", true},
		{"closed", "http://x", failing(io.EOF), chat.CodeProviderError, "closed the connection without an answer", true},
		{"reset", "http://x", failing(syscall.ECONNRESET), chat.CodeProviderError, "closed the connection without an answer", true},
		{"certificate", tls.URL, upstream.Options{}, chat.CodeProviderError, "certificate is not trusted", false},
		{"otherwise", "http://x", failing(errors.New("no route")), chat.CodeProviderError, "the provider cannot be reached", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, newClient(t, test.url+"?token=query-secret", providertest.Key, test.opts))
			got.Check(t, "", test.code, test.message)
			if f, ok := errors.AsType[*upstream.Failure](got.Err); !ok || f.Retryable != test.again || !f.Unanswered {
				t.Errorf("got %+v, want retryable %v, unanswered", f, test.again)
			}
			if text := chat.AsError(got.Err).Message; strings.Contains(text, "127.0.0.1") {
				t.Errorf("the message %q names an address", text)
			}
			if strings.Contains(got.Err.Error(), "query-secret") {
				t.Errorf("the query of the URL is in the error %q", got.Err)
			}
		})
	}
}

// TestReset checks that text which came before a reset is yielded.
func TestReset(t *testing.T) {
	read := make(chan struct{})
	url := providertest.Serve(t, func(conn net.Conn) {
		providertest.ReadRequest(conn)
		io.WriteString(conn, providertest.EventStream+"data: \"Hel\"\n\n")
		<-read // a reset takes along what was not read
		conn.(*net.TCPConn).SetLinger(0)
	})
	var once sync.Once
	answer := newClient(t, url, providertest.Key, upstream.Options{}).Stream(t.Context(), chat.Prompt{}, sayHello, func() upstream.Decoder { return plain{} })
	providertest.Collect(t, func(yield func(chat.Delta, error) bool) {
		for d, err := range answer {
			once.Do(func() { close(read) })
			yield(d, err)
		}
	}).Check(t, "Hel", chat.CodeProviderError, "the answer was cut off")
}
