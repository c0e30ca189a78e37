package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The settings of the public suites.
const (
	pingInterval   = 300 * time.Millisecond
	pingTimeout    = 200 * time.Millisecond
	connectTimeout = 3 * time.Second // the suite's one leaves no room for a machine that is busy
)

var suite = []string{
	"--ping-interval=" + pingInterval.String(), "--ping-timeout=" + pingTimeout.String(),
	"--connect-timeout=" + connectTimeout.String(), "--max-payload=1000000",
}

// moment is long enough for a request to arrive.
const moment = 20 * time.Millisecond

// races is how many times a point is tried that depends on the order in which requests
// are read.
const races = 20

// A point is one thing that a suite asks for.
type point struct {
	name string
	test func(*testing.T, *site)
}

// TestConformance checks the 25 points of the public Engine.IO v4 suite and the
// 32 of the Socket.IO v5 suite, over real connections and in real time.
func TestConformance(t *testing.T) {
	url := start(t, suite...)
	for _, test := range []struct {
		path   string
		points []point
		count  int
	}{
		{"/engine.io/", append(enginePoints(echoes), echoPoints...), 25},
		{"/socket.io/", append(enginePoints(connects), socketPoints...), 32},
	} {
		if got := len(test.points); got != test.count {
			t.Errorf("%s: %d points, want %d", test.path, got, test.count)
		}
		for _, point := range test.points {
			t.Run(strings.Trim(test.path, "/")+"/"+point.name, func(t *testing.T) { point.test(t, newSite(t, url+test.path)) })
		}
	}
}

// echoes and connects check that a connection is in use.
func echoes(ws *socket) {
	ws.t.Helper()
	ws.send("4hello")
	ws.want("4hello")
}

func connects(ws *socket) {
	ws.t.Helper()
	ws.send("40")
	sidOf(ws.t, ws.read())
	ws.want(`42["auth",{}]`)
}

// enginePoints are those of both suites.
func enginePoints(inUse func(*socket)) []point {
	return []point{
		{"handshake/polling opens", func(t *testing.T, s *site) { wantOpen(t, s.poll(t).open, "websocket") }},
		{"handshake/polling wants EIO 4", func(t *testing.T, s *site) {
			s.wantStatus(t, "GET", "?transport=polling", 400)
			s.wantStatus(t, "GET", "?EIO=abc&transport=polling", 400)
		}},
		{"handshake/polling wants a known transport", func(t *testing.T, s *site) {
			s.wantStatus(t, "GET", "?EIO=4", 400)
			s.wantStatus(t, "GET", "?EIO=4&transport=abc", 400)
		}},
		{"handshake/polling wants GET", func(t *testing.T, s *site) {
			s.wantStatus(t, "POST", "?EIO=4&transport=polling", 400)
			s.wantStatus(t, "PUT", "?EIO=4&transport=polling", 400)
		}},
		{"handshake/WebSocket opens", func(t *testing.T, s *site) { wantOpen(t, s.connect(t).open) }},
		{"handshake/WebSocket wants EIO 4", func(t *testing.T, s *site) {
			s.wantNoSocket(t, "?transport=websocket")
			s.wantNoSocket(t, "?EIO=abc&transport=websocket")
		}},
		{"handshake/WebSocket wants a known transport", func(t *testing.T, s *site) {
			s.wantNoSocket(t, "?EIO=4")
			s.wantNoSocket(t, "?EIO=4&transport=abc")
		}},
		{"heartbeat/polling is pinged", func(t *testing.T, s *site) {
			p := s.poll(t)
			for range 3 {
				p.want(p.get(), "2")
				p.want(p.post("3"), "ok")
			}
		}},
		{"heartbeat/polling without pongs ends", func(t *testing.T, s *site) {
			p := s.poll(t)
			time.Sleep(pingInterval + pingTimeout)
			p.wantEnded()
		}},
		{"heartbeat/WebSocket is pinged", func(t *testing.T, s *site) {
			ws := s.connect(t)
			for range 3 {
				ws.want("2")
				ws.send("3")
			}
		}},
		{"heartbeat/WebSocket without pongs closes", func(t *testing.T, s *site) { s.connect(t).wantClosed() }},
		{"close/polling client", func(t *testing.T, s *site) {
			for range races { // nothing says which of the two is read first
				p := s.poll(t)
				waiting := p.getLater()
				p.want(p.post("1"), "ok")
				p.want(<-waiting, "6")
				p.wantEnded()
			}
		}},
		{"close/WebSocket client", func(t *testing.T, s *site) {
			ws := s.connect(t)
			ws.send("1")
			ws.wantClosed()
		}},
		{"upgrade/polling moves to a WebSocket", func(t *testing.T, s *site) {
			p := s.poll(t)
			ws := p.probe()
			p.want(p.get(), "6")
			ws.send("5")
			inUse(ws)
		}},
		{"upgrade/polling is over then", func(t *testing.T, s *site) {
			for range races { // nothing says whether the upgrade packet or the GET is read first
				p := s.poll(t)
				ws := p.upgrade()
				p.wantEnded()
				inUse(ws)
			}
		}},
		{"upgrade/so are other WebSockets", func(t *testing.T, s *site) {
			p := s.poll(t)
			ws := p.upgrade()
			s.wantTurnedAway(t, strings.Replace(p.query, "polling", "websocket", 1))
			inUse(ws)
			ws.want("2")
		}},
	}
}

// wantOpen checks an open packet.
func wantOpen(t *testing.T, open string, upgrades ...any) {
	t.Helper()
	sidOf(t, open)
	var got map[string]any
	if err := json.Unmarshal([]byte(open[1:]), &got); err != nil || open[0] != '0' {
		t.Fatalf("got %q, error %v", open, err)
	}
	delete(got, "sid")
	want := map[string]any{"upgrades": append([]any{}, upgrades...), "pingInterval": 300.0, "pingTimeout": 200.0, "maxPayload": 1e6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open packet (-want +got):\n%s", diff)
	}
}

// echoPoints are of the Engine.IO suite only.
var echoPoints = []point{
	{"message/polling carries a text", pollingCarries("4hello")},
	{"message/polling carries several texts", pollingCarries("4one\x1e4two\x1e4three")},
	{"message/polling carries text and binary", pollingCarries("4hello\x1ebAQIDBA==")},
	{"message/polling refuses what is no packet", func(t *testing.T, s *site) {
		p := s.poll(t)
		if got := p.post("abc"); got.status != 400 {
			t.Errorf("got %v, want status 400", got)
		}
		p.wantEnded()
	}},
	{"message/polling ends with a second GET", func(t *testing.T, s *site) {
		p := s.poll(t)
		first := p.getLater()
		time.Sleep(moment)
		if got := p.get(); got.status != 400 {
			t.Errorf("second GET: got %v, want status 400", got)
		}
		p.want(<-first, "1")
		p.wantEnded()
	}},
	{"message/polling ends with a cancelled GET", func(t *testing.T, s *site) {
		p := s.poll(t)
		ctx, cancel := context.WithTimeout(t.Context(), moment)
		defer cancel()
		if got, err := s.do(ctx, "GET", p.query, ""); err == nil {
			t.Errorf("got %v, want nothing", got)
		}
		p.wantEnded()
	}},
	{"message/WebSocket carries text", func(t *testing.T, s *site) { echoes(s.connect(t)) }},
	{"message/WebSocket carries binary", func(t *testing.T, s *site) {
		ws := s.connect(t)
		ws.sendBinary(1, 2, 3, 4)
		ws.wantBinary(1, 2, 3, 4)
	}},
	{"message/WebSocket closes on what is no packet", func(t *testing.T, s *site) {
		ws := s.connect(t)
		ws.send("abc")
		ws.wantClosed()
	}},
}

func pollingCarries(payload string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		p := s.poll(t)
		p.want(p.post(payload), "ok")
		p.want(p.get(), payload)
	}
}

// socketPoints are of the Socket.IO suite only.
var socketPoints = []point{
	{"connect/main namespace", joins("40", "40", `42["auth",{}]`)},
	{"connect/main namespace with authentication", joins(`40{"token":"123"}`, "40", `42["auth",{"token":"123"}]`)},
	{"connect/custom namespace", func(t *testing.T, s *site) {
		joins("40/custom,", "40/custom,", `42/custom,["auth",{}]`)(t, s)
		joins("40/custom", "40/custom,", `42/custom,["auth",{}]`)(t, s)
	}},
	{"connect/custom namespace with authentication", joins(`40/custom,{"token":"abc"}`, "40/custom,", `42/custom,["auth",{"token":"abc"}]`)},
	{"connect/unknown namespace", func(t *testing.T, s *site) {
		ws := s.connect(t)
		ws.send("40/random")
		ws.want(`44/random,{"message":"Invalid namespace"}`)
	}},
	{"connect/no CONNECT but garbage closes", closes("4abc")},
	{"connect/no CONNECT at all closes", func(t *testing.T, s *site) { s.connect(t).wantPingsUntilClosed() }},
	{"disconnect/main namespace", func(t *testing.T, s *site) {
		ws := s.join(t)
		ws.send("41")
		ws.want("2")
	}},
	{"disconnect/custom namespace", func(t *testing.T, s *site) {
		ws := s.join(t)
		ws.send("40/custom")
		sidOf(t, ws.read())
		ws.want(`42/custom,["auth",{}]`)
		ws.send("41/custom,", `42["message","still here"]`)
		ws.want(`42["message-back","still here"]`)
	}},
	{"message/text", func(t *testing.T, s *site) {
		ws := s.join(t)
		ws.send(`42["message",1,"2",{"3":[true]}]`)
		ws.want(`42["message-back",1,"2",{"3":[true]}]`)
	}},
	{"message/text with acknowledgement", func(t *testing.T, s *site) {
		ws := s.join(t)
		ws.send(`42456["message-with-ack",1,"2",{"3":[false]}]`)
		ws.want(`43456[1,"2",{"3":[false]}]`)
	}},
	{"message/binary", func(t *testing.T, s *site) {
		const placeholders = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
		ws := s.join(t)
		ws.send(`452-["message",` + placeholders)
		ws.sendBinary(1, 2, 3)
		ws.sendBinary(4, 5, 6)
		ws.want(`452-["message-back",` + placeholders)
		ws.wantBinary(1, 2, 3)
		ws.wantBinary(4, 5, 6)
	}},
	{"message/binary with acknowledgement", func(t *testing.T, s *site) {
		const placeholders = `{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
		ws := s.join(t)
		ws.send(`452-789["message-with-ack",` + placeholders)
		ws.sendBinary(1, 2, 3)
		ws.sendBinary(4, 5, 6)
		ws.want(`462-789[` + placeholders)
		ws.wantBinary(1, 2, 3)
		ws.wantBinary(4, 5, 6)
	}},
	{"message/unknown packet type closes", closesJoined("4abc")},
	{"message/payload of another shape closes", closesJoined("42{}")},
	{"message/acknowledgement id that is none closes", closesJoined(`42abc["message-with-ack",1]`)},
}

// join opens a connection and joins the main namespace.
func (s *site) join(t *testing.T) *socket {
	t.Helper()
	ws := s.connect(t)
	connects(ws)
	return ws
}

// joins checks the answer to a CONNECT, and that nothing comes ahead of it and
// nothing else is in it.
func joins(connect, prefix, auth string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		t.Helper()
		ws := s.connect(t)
		ws.send(connect)
		got := ws.read()
		if want := prefix + `{"sid":"` + sidOf(t, got) + `"}`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		ws.want(auth)
	}
}

func closes(packet string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		ws := s.connect(t)
		ws.send(packet)
		ws.wantClosedBeforePing()
	}
}

func closesJoined(packet string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		ws := s.join(t)
		ws.send(packet)
		ws.wantClosedBeforePing()
	}
}

// wantClosedBeforePing checks that the connection is closed for what was sent,
// and not since its client is silent.
func (s *socket) wantClosedBeforePing() {
	s.t.Helper()
	if _, text, err := s.ReadMessage(); err == nil {
		s.t.Errorf("got %q, want a close", text)
	}
}

// wantPingsUntilClosed answers pings, and checks that nothing else comes until
// the connection is closed, which is when the time to join is over.
func (s *socket) wantPingsUntilClosed() {
	s.t.Helper()
	pings := 0
	for {
		_, text, err := s.ReadMessage()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Error("was not closed")
		}
		if err != nil {
			break
		}
		if string(text) != "2" {
			s.t.Errorf("got %q, want pings only", text)
		}
		pings++
		s.send("3")
	}
	if pings < int(connectTimeout/pingInterval)-1 {
		s.t.Errorf("closed after %d pings", pings)
	}
}
