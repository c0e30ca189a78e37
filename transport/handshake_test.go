package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

func TestOpenPacket(t *testing.T) {
	s := listen(t, Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond})
	c := s.open(t)
	open := c.read()
	var got map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &got); err != nil {
		t.Fatalf("%s: %v", open, err)
	}
	conn := within(t, s.opened)
	want := map[string]any{"sid": conn.ID(), "upgrades": []any{}, "pingInterval": 300.0, "pingTimeout": 200.0, "maxPayload": 1e6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open packet (-want +got):\n%s", diff)
	}
	if len(conn.ID()) < 20 {
		t.Errorf("got sid %q, want one that cannot be guessed", conn.ID())
	}
	if conn.RemoteAddr() != c.LocalAddr().String() {
		t.Errorf("got remote address %s, want %s", conn.RemoteAddr(), c.LocalAddr())
	}
	if got := conn.Header().Get("Sec-Websocket-Version"); got != "13" {
		t.Errorf("got header %q, want the request's", got)
	}
}

func TestHandshakeErrors(t *testing.T) {
	s := listen(t, Options{})
	s.connect(t)
	known := within(t, s.opened).ID()
	for _, test := range []struct {
		method, query, want string
	}{
		{"GET", "?EIO=4", `{"code":0,"message":"Transport unknown"}`},
		{"GET", "?EIO=4&transport=abc", `{"code":0,"message":"Transport unknown"}`},
		{"GET", "?EIO=4&transport=__proto__", `{"code":0,"message":"Transport unknown"}`},
		{"GET", "?EIO=4&transport=webtransport", `{"code":0,"message":"Transport unknown"}`},
		{"GET", "?EIO=4&transport=websocket&sid=__proto__", `{"code":1,"message":"Session ID unknown"}`},
		{"GET", "?EIO=4&transport=websocket&sid=" + known, `{"code":3,"message":"Bad request"}`},
		{"POST", "?EIO=4&transport=websocket", `{"code":2,"message":"Bad handshake method"}`},
		{"OPTIONS", "?EIO=4&transport=websocket", `{"code":2,"message":"Bad handshake method"}`},
		{"GET", "?EIO=4&transport=websocket", `{"code":3,"message":"Bad request"}`},
	} {
		t.Run(test.method+test.query, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, s.url+"/engine.io/"+test.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 400 || string(body) != test.want || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %s %s, want 400 application/json %s", resp.StatusCode, resp.Header.Get("Content-Type"), body, test.want)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestUpgradeErrors(t *testing.T) {
	s := listen(t, Options{})
	s.connect(t)
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const version = "Sec-WebSocket-Version: 13\r\n"
	for _, test := range []struct {
		query, headers, want string
	}{
		{"?transport=websocket", key + version, "Unsupported protocol version"},
		{"?EIO=3&transport=websocket", key + version, "Unsupported protocol version"},
		{"?EIO=abc&transport=websocket", key + version, "Unsupported protocol version"},
		{"?EIO=4", key + version, "Transport unknown"},
		{"?EIO=4&transport=__proto__", key + version, "Transport unknown"},
		{"?EIO=4&transport=websocket&sid=abc", key + version, "Session ID unknown"},
		{"?EIO=4&transport=websocket", version, "Bad request"},
		{"?EIO=4&transport=websocket", key, "Bad request"},
		{"?EIO=4&transport=websocket", key + version + "Origin: http://evil.example\r\n", "Forbidden"},
		{"?EIO=4&transport=websocket", key + version + "Origin: http://%zz\r\n", "Bad request"},
	} {
		conn, err := s.dial(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /engine.io/%s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n", test.query, test.headers)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 400 || string(body) != test.want || !resp.Close || err != nil {
			t.Errorf("%s %s: got %d %q (close %t, error %v), want 400 %q and the connection closed",
				test.query, test.headers, resp.StatusCode, body, resp.Close, err, test.want)
		}
	}
	select {
	case reason := <-s.closed:
		t.Errorf("the open connection was closed: %s", reason)
	default:
	}
}

func TestOrigin(t *testing.T) {
	var refused []string
	s := listen(t, Options{
		AllowedOrigins: []string{"https://app.example"},
		OriginRefused:  func(r *http.Request) { refused = append(refused, r.Header.Get("Origin")) },
	})
	open := listen(t, Options{AllowedOrigins: []string{"*"}})
	for _, test := range []struct {
		site   *site
		origin string
		want   bool
	}{
		{s, "", true},
		{s, s.url, true},
		{s, "https://app.example", true},
		{s, "https://APP.example", true},
		{s, "https://app.example:443", true},
		{s, "http://app.example", false},
		{s, "https://app.example.evil.example", false},
		{s, "https://evil.example", false},
		{s, "null", false},
		{open, "https://evil.example", true},
		{open, "null", true},
	} {
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(test.site.url, "http", "ws", 1)+query, header)
		if got := err == nil; got != test.want {
			t.Errorf("origin %q: got accepted %t (%v), want %t", test.origin, got, err, test.want)
		}
		if err == nil {
			ws.Close()
		} else if resp == nil || resp.StatusCode != 400 {
			t.Errorf("origin %q: got %v, want status 400", test.origin, resp)
		}
		if want := !test.want; (len(refused) == 1) != want {
			t.Errorf("origin %q: reported %q, want that reported %t", test.origin, refused, want)
		}
		refused = nil
	}
}

// TestOwnPort checks that the same origin is the same with its port and without it.
func TestOwnPort(t *testing.T) {
	s := NewServer(Options{})
	defer s.Close()
	for _, test := range []struct {
		host, origin string
		status       int
	}{
		{"a.example:80", "http://a.example", 200},
		{"a.example", "http://a.example:80", 200},
		{"a.example:443", "https://a.example", 200},
		{"a.example", "https://a.example", 200},
		{"a.example:443", "http://a.example", 403},
		{"a.example", "https://a.example:8443", 403},
	} {
		r := httptest.NewRequest("GET", "http://"+test.host+"/engine.io/?EIO=4&transport=polling", nil)
		r.Header.Set("Origin", test.origin)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("page of %s at %s: got status %d, want %d", test.origin, test.host, w.Code, test.status)
		}
	}
}

// TestHijackRefused covers response writers that cannot be upgraded.
func TestHijackRefused(t *testing.T) {
	s := NewServer(Options{})
	w := &plainWriter{header: http.Header{}}
	r, _ := http.NewRequestWithContext(context.Background(), "GET", "http://a"+query, nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	s.ServeHTTP(w, r)
	if w.status != 400 {
		t.Errorf("got status %d, want 400", w.status)
	}
	s.Close() // does not wait for the connection that never was
}

type plainWriter struct {
	header http.Header
	status int
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }
func (w *plainWriter) Write(p []byte) (int, error) { return len(p), nil }

// TestMaxConns fills a server, which refuses more of either transport until
// there is room again. Clients that are in can still upgrade.
func TestMaxConns(t *testing.T) {
	s := listen(t, Options{MaxConns: 2})
	p, c, late := s.poll(t), s.connect(t), s.newPoller(t)
	if got := late.do("GET", "?EIO=4&transport=polling", nil); got.status != http.StatusServiceUnavailable {
		t.Errorf("polling: got status %d, want 503", got.status)
	}
	resp, err := http.ReadResponse(s.connectRaw(t, "", "").in, nil)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("WebSocket: got response %v, error %v, want status 503", resp, err)
	}
	ws := p.probe()
	ws.send("5", "4hello")
	if got := ws.read(); got != "4hello" {
		t.Errorf("got %q, want the echo", got)
	}

	c.send("1")
	c.end()
	_ = c.Close()
	within(t, s.closed)
	for late.do("GET", "?EIO=4&transport=polling", nil).status != http.StatusOK {
		runtime.Gosched() // it is forgotten just after Closed
	}
}
