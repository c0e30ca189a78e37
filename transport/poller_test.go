package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A reply is what a request was answered with.
type reply struct {
	status int
	body   string
	header http.Header
}

// A poller is a polling client.
type poller struct {
	t    testing.TB
	http *http.Client
	url  string // of the site
	open string // the open packet
	sid  string
}

// newPoller returns a client that has opened nothing yet.
func (s *site) newPoller(t testing.TB) *poller {
	transport := &http.Transport{DialContext: s.dial, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &poller{t: t, http: &http.Client{Transport: transport}, url: s.url}
}

// poll opens a connection by polling.
func (s *site) poll(t testing.TB) *poller {
	t.Helper()
	p := s.newPoller(t)
	got := p.do("GET", "?EIO=4&transport=polling", nil)
	if got.status != 200 {
		t.Fatalf("handshake: got %d %s", got.status, got.body)
	}
	p.open = got.body
	p.sid = sidOf(t, got.body)
	return p
}

func sidOf(t testing.TB, open string) string {
	t.Helper()
	var handshake struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &handshake); err != nil || handshake.SID == "" {
		t.Fatalf("got open packet %q, error %v", open, err)
	}
	return handshake.SID
}

// do makes a request with the headers, which are names and values.
func (p *poller) do(method, query string, body io.Reader, headers ...string) reply {
	p.t.Helper()
	got, err := p.try(p.t.Context(), method, query, body, headers...)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, query, err)
	}
	return got
}

func (p *poller) try(ctx context.Context, method, query string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+"/engine.io/"+query, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(data), resp.Header}, err
}

func (p *poller) query() string { return "?EIO=4&transport=polling&sid=" + p.sid }

func (p *poller) get(headers ...string) reply {
	p.t.Helper()
	return p.do("GET", p.query(), nil, headers...)
}

func (p *poller) post(body string, headers ...string) reply {
	p.t.Helper()
	return p.do("POST", p.query(), strings.NewReader(body), headers...)
}

// getLater makes a GET whose answer is waited for elsewhere.
func (p *poller) getLater() <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- p.get() }()
	return ch
}

// send posts, which has to succeed.
func (p *poller) send(body string) {
	p.t.Helper()
	if got := p.post(body); got.status != 200 || got.body != "ok" {
		p.t.Fatalf("POST %.40q: got %d %q, want 200 ok", body, got.status, got.body)
	}
}

// wants checks an answer's body.
func (p *poller) wants(got reply, body string) {
	p.t.Helper()
	if got.status != 200 || got.body != body {
		p.t.Fatalf("GET: got %d %.80q, want 200 %.80q", got.status, got.body, body)
	}
}

// refused checks that got refuses with the code.
func (p *poller) refused(got reply, code int) {
	p.t.Helper()
	var refusal struct{ Code *int }
	err := json.Unmarshal([]byte(got.body), &refusal)
	if got.status != 400 || err != nil || refusal.Code == nil || *refusal.Code != code {
		p.t.Fatalf("got %d %q, want 400 and code %d", got.status, got.body, code)
	}
}

// websocket opens a WebSocket to which the connection may move.
func (p *poller) websocket() (*client, error) {
	d := websocket.Dialer{NetDialContext: p.http.Transport.(*http.Transport).DialContext}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(p.url, "http")+query+"&sid="+p.sid, nil)
	if err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { _ = ws.Close() })
	return &client{ws, p.t}, nil
}

// probe opens a WebSocket and has it probed.
func (p *poller) probe() *client {
	p.t.Helper()
	ws, err := p.websocket()
	if err != nil {
		p.t.Fatal(err)
	}
	ws.send("2probe")
	if got := ws.read(); got != "3probe" {
		p.t.Fatalf("got %q, want 3probe", got)
	}
	return ws
}

// rawRequest writes a request, and returns the connection to read from.
func (s *site) rawRequest(t testing.TB, request string) *raw {
	t.Helper()
	conn, err := s.dial(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return &raw{conn, bufio.NewReader(conn)}
}

// response reads an answer.
func (r *raw) response(t testing.TB) reply {
	t.Helper()
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, string(body), resp.Header}
}
