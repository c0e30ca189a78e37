package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// start runs the program until the test ends, and returns where it listens.
func start(t *testing.T, args ...string) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() { status <- run(ctx, append([]string{"--listen=127.0.0.1:0"}, args...), stdout, os.Stderr) }()
	t.Cleanup(func() {
		cancel()
		if got := <-status; got != 0 {
			t.Errorf("exit status %d", got)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("printed %q", line)
	}
	return url
}

// A site is where one of the two protocols is spoken.
type site struct {
	url    string // ends in /engine.io/ or /socket.io/
	client *http.Client
}

func newSite(t *testing.T, url string) *site {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &site{url, &http.Client{Transport: transport, Timeout: patience}}
}

// An answer is what a request was answered with.
type answer struct {
	status int
	body   string
}

func (s *site) do(ctx context.Context, method, query, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+query, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(text)}, err
}

// wantStatus checks what a request without a session is answered with.
func (s *site) wantStatus(t *testing.T, method, query string, status int) {
	t.Helper()
	if got, err := s.do(t.Context(), method, query, ""); err != nil || got.status != status {
		t.Errorf("%s %s: got %v, error %v, want status %d", method, query, got, err, status)
	}
}

// A poller is a client that polls.
type poller struct {
	*site
	t     *testing.T
	open  string // the open packet
	query string // with the sid
}

func (s *site) poll(t *testing.T) *poller {
	t.Helper()
	got, err := s.do(t.Context(), "GET", "?EIO=4&transport=polling", "")
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("handshake: got %v, error %v", got, err)
	}
	return &poller{s, t, got.body, "?EIO=4&transport=polling&sid=" + sidOf(t, got.body)}
}

// sidOf returns the sid in a packet: 0{"sid":…} or 40{"sid":…}.
func sidOf(t *testing.T, packet string) string {
	t.Helper()
	var body struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimLeft(packet, "04/custom,")), &body); err != nil || body.SID == "" {
		t.Fatalf("got %q, error %v, want a sid", packet, err)
	}
	return body.SID
}

// getLater makes a GET whose answer is waited for elsewhere.
func (p *poller) getLater() <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		got, err := p.do(context.Background(), "GET", p.query, "")
		if err != nil {
			p.t.Errorf("GET: %v", err)
		}
		ch <- got
	}()
	return ch
}

func (p *poller) get() answer { return <-p.getLater() }

func (p *poller) post(body string) answer {
	p.t.Helper()
	got, err := p.do(p.t.Context(), "POST", p.query, body)
	if err != nil {
		p.t.Errorf("POST: %v", err)
	}
	return got
}

// want checks that an answer is OK with this body.
func (p *poller) want(got answer, body string) {
	p.t.Helper()
	if got.status != http.StatusOK || got.body != body {
		p.t.Errorf("got %d %q, want 200 %q", got.status, got.body, body)
	}
}

// wantEnded checks that there is no such session any more.
func (p *poller) wantEnded() {
	p.t.Helper()
	if got := p.get(); got.status != http.StatusBadRequest {
		p.t.Errorf("GET: got %v, want status 400", got)
	}
}

// A socket is a client that has a WebSocket.
type socket struct {
	*websocket.Conn
	t    *testing.T
	open string
}

func (s *site) dial(t *testing.T, query string) (*socket, error) {
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+query, nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &socket{Conn: conn, t: t}, nil
}

// wantNoSocket checks that a WebSocket is refused.
func (s *site) wantNoSocket(t *testing.T, query string) {
	t.Helper()
	if _, err := s.dial(t, query); !errors.Is(err, websocket.ErrBadHandshake) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// wantTurnedAway checks that a WebSocket is opened and closed at once.
func (s *site) wantTurnedAway(t *testing.T, query string) {
	t.Helper()
	ws, err := s.dial(t, query)
	if err != nil {
		t.Fatal(err)
	}
	if _, text, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Errorf("got %q, error %v, want a close", text, err)
	}
}

// connect opens a connection.
func (s *site) connect(t *testing.T) *socket {
	t.Helper()
	ws, err := s.dial(t, "?EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	ws.open = ws.read()
	return ws
}

// probe opens a WebSocket that the connection may move to.
func (p *poller) probe() *socket {
	p.t.Helper()
	ws, err := p.dial(p.t, strings.Replace(p.query, "polling", "websocket", 1))
	if err != nil {
		p.t.Fatal(err)
	}
	ws.send("2probe")
	ws.want("3probe")
	return ws
}

// upgrade moves the connection to a WebSocket.
func (p *poller) upgrade() *socket {
	p.t.Helper()
	ws := p.probe()
	ws.send("5")
	return ws
}

func (s *socket) send(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if err := s.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			s.t.Fatalf("send %q: %v", text, err)
		}
	}
}

func (s *socket) sendBinary(data ...byte) {
	s.t.Helper()
	if err := s.WriteMessage(websocket.BinaryMessage, data); err != nil {
		s.t.Fatalf("send: %v", err)
	}
}

// read returns the next message, if it is text.
func (s *socket) read() string {
	s.t.Helper()
	kind, data, err := s.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		s.t.Fatalf("got message type %d, error %v, want text", kind, err)
	}
	return string(data)
}

// want checks the next messages.
func (s *socket) want(texts ...string) {
	s.t.Helper()
	for _, want := range texts {
		if got := s.read(); got != want {
			s.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func (s *socket) wantBinary(want ...byte) {
	s.t.Helper()
	kind, got, err := s.ReadMessage()
	if err != nil || kind != websocket.BinaryMessage {
		s.t.Fatalf("got message type %d, error %v, want binary", kind, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Error(diff)
	}
}

// wantClosed reads until the WebSocket is closed.
func (s *socket) wantClosed() {
	s.t.Helper()
	for {
		_, _, err := s.ReadMessage()
		switch {
		case err == nil:
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.t.Error("was not closed")
		}
		return
	}
}
