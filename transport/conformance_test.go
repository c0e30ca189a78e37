package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// suite are the settings of the public Engine.IO v4 conformance suite.
var suite = Options{
	PingInterval:   300 * time.Millisecond,
	PingTimeout:    200 * time.Millisecond,
	MaxPayload:     1_000_000,
	AllowedOrigins: []string{"*"},
}

// conforms runs a test against a server with the suite's settings. Time is the
// bubble's, so that no ping comes because a machine is slow.
func conforms(t *testing.T, point string, test func(*testing.T, *site)) {
	t.Run(point, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, listenPipe(t, suite)) })
	})
}

// wantOpen checks an open packet.
func wantOpen(t *testing.T, open string, upgrades ...any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &got); err != nil || open[0] != '0' {
		t.Fatalf("got %q, error %v", open, err)
	}
	if sid, _ := got["sid"].(string); sid == "" {
		t.Errorf("got sid %v, want a string", got["sid"])
	}
	delete(got, "sid")
	want := map[string]any{"upgrades": append([]any{}, upgrades...), "pingInterval": 300.0, "pingTimeout": 200.0, "maxPayload": 1e6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open packet (-want +got):\n%s", diff)
	}
}

// TestConformance checks the points of the conformance suite, by number.
func TestConformance(t *testing.T) {
	conforms(t, "1 polling handshake", func(t *testing.T, s *site) {
		wantOpen(t, s.poll(t).open, "websocket")
	})
	conforms(t, "2 bad handshakes", func(t *testing.T, s *site) {
		p := s.newPoller(t)
		p.refused(p.do("GET", "?transport=polling", nil), 5)
		p.refused(p.do("GET", "?EIO=abc&transport=polling", nil), 5)
		p.refused(p.do("GET", "?EIO=4", nil), 0)
		p.refused(p.do("GET", "?EIO=4&transport=abc", nil), 0)
		p.refused(p.do("POST", "?EIO=4&transport=polling", strings.NewReader("4x")), 2)
		p.refused(p.do("PUT", "?EIO=4&transport=polling", strings.NewReader("4x")), 2)
	})
	conforms(t, "3 WebSocket handshake", func(t *testing.T, s *site) {
		c := s.open(t)
		wantOpen(t, c.read())
		for _, query := range []string{"?transport=websocket", "?EIO=abc&transport=websocket", "?EIO=4", "?EIO=4&transport=abc"} {
			d := websocket.Dialer{NetDialContext: s.dial}
			if _, _, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/engine.io/"+query, nil); err == nil {
				t.Errorf("%s: not refused", query)
			}
		}
		c.Close()
	})
	conforms(t, "4 polling messages", func(t *testing.T, s *site) {
		p := s.poll(t)
		for _, body := range []string{"4hello", "4one\x1e4two\x1e4three", "4hello\x1ebAQIDBA=="} {
			p.send(body)
			p.wants(p.get(), body)
		}
	})
	conforms(t, "5 polling garbage", func(t *testing.T, s *site) {
		p := s.poll(t)
		p.refused(p.post("abc"), 3)
		p.refused(p.get(), 1)
		if got := <-s.closed; got != ReasonParseError {
			t.Errorf("got reason %q, want %q", got, ReasonParseError)
		}
	})
	conforms(t, "6 second GET", func(t *testing.T, s *site) {
		p := s.poll(t)
		first := p.getLater()
		time.Sleep(5 * time.Millisecond)
		p.refused(p.get(), 3)
		p.wants(<-first, "1")
		p.refused(p.get(), 1)
		if got := <-s.closed; got != ReasonTransportError {
			t.Errorf("got reason %q, want %q", got, ReasonTransportError)
		}
	})
	conforms(t, "7 GET cut", func(t *testing.T, s *site) {
		p := s.poll(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if got, err := p.try(ctx, "GET", p.query(), nil); err == nil {
			t.Errorf("got %v, want nothing", got)
		}
		if got := p.get(); got.status != 400 {
			t.Errorf("got status %d, want 400", got.status)
		}
		if got := <-s.closed; got != ReasonTransportError {
			t.Errorf("got reason %q, want %q", got, ReasonTransportError)
		}
	})
	conforms(t, "8 WebSocket messages", conformsWebSocketMessages)
	conforms(t, "9 polling heartbeat", conformsPollingHeartbeat)
	conforms(t, "10 WebSocket heartbeat", conformsWebSocketHeartbeat)
	conforms(t, "11 close", conformsClose)
	conforms(t, "12 upgrade", func(t *testing.T, s *site) {
		p := s.poll(t)
		ws := p.probe()
		p.wants(p.get(), "6")
		ws.send("5", "4hello")
		if got := ws.read(); got != "4hello" {
			t.Errorf("got %q, want the echo", got)
		}
		ws.Close()
	})
	conforms(t, "13 requests after the upgrade", func(t *testing.T, s *site) {
		p := s.poll(t)
		ws := p.probe()
		ws.send("5", "4hello")
		ws.read()
		p.refused(p.get(), 3)
		p.turnedAway()
		ws.send("4still here")
		if got := ws.read(); got != "4still here" {
			t.Errorf("got %q, want the echo", got)
		}
		ws.Close()
	})
}

func conformsWebSocketMessages(t *testing.T, s *site) {
	c := s.connect(t)
	c.send("4hello")
	if got := c.read(); got != "4hello" {
		t.Errorf("got %q, want the echo", got)
	}
	if err := c.WriteMessage(websocket.BinaryMessage, []byte{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	kind, data, err := c.ReadMessage()
	if kind != websocket.BinaryMessage || string(data) != "\x01\x02\x03\x04" || err != nil {
		t.Errorf("got type %d, data %q, error %v, want the binary data", kind, data, err)
	}
	c.send("abc")
	if got := c.end(); got != websocket.CloseProtocolError {
		t.Errorf("got close code %d", got)
	}
}

func conformsPollingHeartbeat(t *testing.T, s *site) {
	p := s.poll(t)
	for range 3 {
		p.wants(p.get(), "2")
		p.send("3")
	}

	p = s.poll(t)
	time.Sleep(suite.PingInterval + suite.PingTimeout - time.Microsecond)
	if len(s.closed) != 0 {
		t.Error("the client is gone too early")
	}
	time.Sleep(time.Microsecond)
	p.refused(p.get(), 1)
}

func conformsWebSocketHeartbeat(t *testing.T, s *site) {
	start := time.Now()
	c := s.connect(t)
	for i := range 3 {
		c.pingAt(start, time.Duration(i+1)*suite.PingInterval)
		c.send("3")
	}

	start = time.Now()
	c = s.connect(t)
	c.end()
	if got, want := time.Since(start), suite.PingInterval+suite.PingTimeout; got != want {
		t.Errorf("closed after %v, want %v", got, want)
	}
}

func conformsClose(t *testing.T, s *site) {
	p := s.poll(t)
	poll := p.getLater()
	synctest.Wait()
	p.send("1")
	p.wants(<-poll, "6")
	p.refused(p.get(), 1)
	if got := <-s.closed; got != ReasonTransportClose {
		t.Errorf("got reason %q, want %q", got, ReasonTransportClose)
	}

	c := s.connect(t)
	c.send("1")
	if got := c.end(); got != websocket.CloseNormalClosure {
		t.Errorf("got close code %d", got)
	}
}

// TestCutGetOverTCP is point 7 where connections are real, many times: a cut
// has to be noticed before the next request that is sent at once.
func TestCutGetOverTCP(t *testing.T) {
	s := listen(t, Options{})
	for range 30 {
		p := s.poll(t)
		r := s.rawRequest(t, "GET /engine.io/"+p.query()+" HTTP/1.1\r\nHost: a\r\n\r\n")
		for !s.polled(p.sid) {
			time.Sleep(time.Millisecond)
		}
		_ = r.Close()
		if got := p.get(); got.status != http.StatusBadRequest {
			t.Fatalf("got status %d, want 400", got.status)
		}
		if got := within(t, s.closed); got != ReasonTransportError {
			t.Errorf("got reason %q, want %q", got, ReasonTransportError)
		}
	}
}

// polled reports whether a GET waits.
func (s *site) polled(sid string) bool {
	c := s.find(sid)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.carrier.(*polling)
	return ok && p.waiting != nil
}
