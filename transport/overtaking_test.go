package transport

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// turnedAway checks that a WebSocket for the sid is opened and closed at once, as the
// reference implementation does, and as its conformance suite insists.
func (p *poller) turnedAway() {
	p.t.Helper()
	ws, err := p.websocket()
	if err != nil {
		p.t.Errorf("got %v, want an open WebSocket", err)
		return
	}
	if got := ws.end(); got != websocket.CloseNoStatusReceived {
		p.t.Errorf("got close code %d, want a close frame without one", got)
	}
}

// later makes f run on another goroutine, and returns what it returned.
func later(f func() reply) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- f() }()
	return ch
}

// TestCloseWaitsForThePoll has the server read a close packet before the GET that was
// sent ahead of it over another network connection.
func TestCloseWaitsForThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		post := later(func() reply { return p.post("1") })
		synctest.Wait()
		time.Sleep(overtaking - 1)
		p.wants(p.get(), "6")
		p.wants(<-post, "ok")
		p.refused(p.get(), 1)
		if got := <-s.closed; got != ReasonTransportClose {
			t.Errorf("got reason %q, want %q", got, ReasonTransportClose)
		}
	})
}

// TestCloseWithoutPoll checks that a poll cannot be sent behind the answer to a close
// packet, and that the close waits no longer than it needs to.
func TestCloseWithoutPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		start := time.Now()
		p.send("1")
		if got := time.Since(start); got != overtaking {
			t.Errorf("closed after %v, want %v", got, overtaking)
		}
		p.refused(p.get(), 1)

		p = s.poll(t)
		poll := p.getLater()
		synctest.Wait()
		start = time.Now()
		p.send("1")
		if got := time.Since(start); got != 0 {
			t.Errorf("closed after %v although a poll waited", got)
		}
		p.wants(<-poll, "6")
	})
}

// TestUpgradeRefusesPollsBehindIt has the server read a GET before the upgrade packet
// that was sent ahead of it, and before the probe, with something to say and without.
func TestUpgradeRefusesPollsBehindIt(t *testing.T) {
	for _, queued := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			s := listenPipe(t, Options{})
			p := s.poll(t)
			ws, err := p.websocket()
			if err != nil {
				t.Fatal(err)
			}
			poll := p.getLater()
			synctest.Wait()
			_ = (<-s.opened).Send(numbered(queued, 1)...)
			ws.send("2probe")
			if got := ws.read(); got != "3probe" {
				t.Fatalf("got %q, want 3probe", got)
			}
			ws.send("5")
			p.refused(<-poll, 3)
			for range queued {
				if got := ws.read(); got != "40" {
					t.Errorf("got %q, want what was queued", got)
				}
			}
			p.refused(p.get(), 3)
			ws.send("4still here")
			if got := ws.read(); got != "4still here" {
				t.Errorf("got %q, want the echo", got)
			}
		})
	}
}

// TestAbandonedUpgradeAnswersPolls checks that a GET that came during an upgrade is
// served by polling if the upgrade fails.
func TestAbandonedUpgradeAnswersPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		ws := p.probe()
		poll := p.getLater()
		synctest.Wait()
		_ = ws.Close()
		synctest.Wait()
		_ = (<-s.opened).Send(text("hello"))
		p.wants(<-poll, "4hello")
	})
}

// TestOtherWebSockets turns them away while one is being upgraded to, after that, and
// when the connection ends.
func TestOtherWebSockets(t *testing.T) {
	s := listen(t, Options{CloseTimeout: time.Minute})
	p := s.poll(t)
	ws := p.probe()
	p.turnedAway()
	p.wants(p.get(), "6")
	p.turnedAway()
	ws.send("5", "4hello")
	if got := ws.read(); got != "4hello" {
		t.Errorf("got %q, want the echo", got)
	}
	p.turnedAway()
	p.refused(p.post("4x"), 3)
	p.refused(p.get(), 3)
	if _, err := (&poller{t: t, http: p.http, url: p.url, sid: "__proto__"}).websocket(); err == nil {
		t.Error("a probe of an unknown connection was let in")
	}
	ws.send("4still here")
	if got := ws.read(); got != "4still here" {
		t.Errorf("got %q, want the echo", got)
	}
	within(t, s.opened)

	p = s.poll(t)
	within(t, s.opened).Close("bye")
	p.turnedAway()
	p.wants(p.get(), "6\x1e1")

	s.connect(t)
	p.sid = within(t, s.opened).ID()
	p.turnedAway()
}

// TestSubprotocols checks that the first one which a client offers is chosen: a browser
// fails a WebSocket if none is.
func TestSubprotocols(t *testing.T) {
	s := listen(t, Options{Cookie: NewCookie()})
	for _, test := range []struct {
		offered []string
		want    string
	}{
		{nil, ""},
		{[]string{"chat"}, "chat"},
		{[]string{"chat.v2, chat"}, "chat.v2"},
		{[]string{" \tone ,two"}, "one"},
		{[]string{"one", "two"}, "one"},
		{[]string{"a," + strings.Repeat(" ", 10_000) + "b"}, "a"}, // CVE-2021-32640
	} {
		ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(s.url, "http", "ws", 1)+query, http.Header{"Sec-Websocket-Protocol": test.offered})
		if err != nil {
			t.Errorf("%.40q: %v", test.offered, err)
			continue
		}
		if ws.Subprotocol() != test.want || len(resp.Header.Values("Sec-Websocket-Protocol")) > 1 {
			t.Errorf("%.40q: got %q, want %q", test.offered, resp.Header.Values("Sec-Websocket-Protocol"), test.want)
		}
		if resp.Header.Get("Set-Cookie") == "" {
			t.Error("the cookie is missing")
		}
		_ = ws.Close()
	}
	for _, malformed := range []string{"", ",", "a b", "\"a\"", "(a)", ", a", "ä"} {
		_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(s.url, "http", "ws", 1)+query, http.Header{"Sec-Websocket-Protocol": {malformed}})
		if err == nil || resp == nil || resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: got %v, error %v, want status 400", malformed, resp, err)
		}
	}
}
