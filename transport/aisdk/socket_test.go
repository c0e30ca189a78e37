package aisdk_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/chat"
	"parlor/transport/aisdk"
	"parlor/transport/live"
)

func (s *site) dial(t *testing.T, headers ...string) *websocket.Conn {
	t.Helper()
	h := make(http.Header)
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/ui/ws", h)
	if err != nil {
		if response != nil {
			t.Fatalf("%v: %d", err, response.StatusCode)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return ws
}

func send(t *testing.T, ws *websocket.Conn, frame string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

// want reads frames up to the one that holds the text, and returns how many came.
func want(t *testing.T, ws *websocket.Conn, text string) (n int) {
	t.Helper()
	var all []string
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v, behind %q", err, all)
		}
		if all = append(all, string(frame)); strings.Contains(string(frame), text) {
			return len(all)
		}
	}
}

// closed reads up to the end of the socket, and returns its code.
func closed(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, _, err := ws.ReadMessage()
		if end, ok := errors.AsType[*websocket.CloseError](err); ok {
			return end.Code
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sendFrame(request string) string {
	return `{"type":"send","requestId":"` + request + `","headers":{},"body":{},` + hi[1:]
}

func TestSocket(t *testing.T) {
	r := newRoom()
	r.records = []chat.Record{asked, queued, start}
	s := serve(t, r, aisdk.Options{})
	ws := s.dial(t)
	send(t, ws, sendFrame("r1"))
	want(t, ws, `{"type":"start","requestId":"r1"}`)
	want(t, ws, `{"type":"chunk","requestId":"r1","sequence":0,"chunk":{"type":"data-turn"`)
	want(t, ws, `"sequence":2,"chunk":{"type":"start-step"}`)
	send(t, ws, sendFrame("r1"))
	want(t, ws, "a request with this requestId goes on")
	r.live <- text("", "Hello")
	r.live <- ended("Hello")
	if n := want(t, ws, `{"type":"end","requestId":"r1"}`); n < 4 {
		t.Errorf("%d frames", n)
	}
	send(t, ws, `{"type":"resume","requestId":"r2","id":"c"}`)
	want(t, ws, `{"type":"no-active","requestId":"r2"}`)
	send(t, ws, `{"type":"send","requestId":"r3","id":"c","messages":[]}`)
	want(t, ws, `{"type":"error","requestId":"r3","errorText":"messages is empty (invalid)"}`)
	r.set(nil, chat.Refuse(chat.CodeBusy, "not now"))
	send(t, ws, sendFrame("r4"))
	want(t, ws, `{"type":"error","requestId":"r4","errorText":"not now (busy)"}`)
}

// An abort stops the turn of the user, and a lost connection or the turn of somebody else
// goes on.
func TestSocketAborts(t *testing.T) {
	theirs := turn
	theirs.By = "bob"
	for name, test := range map[string]struct {
		frame string
		by    *chat.Turn
		leave func(*testing.T, *websocket.Conn)
		want  string
	}{
		"abort":             {sendFrame("r1"), &turn, func(t *testing.T, ws *websocket.Conn) { send(t, ws, `{"type":"abort","requestId":"r1"}`) }, `say "hi" as x, stop turn`},
		"abort a resumed":   {`{"type":"resume","requestId":"r1","id":"c"}`, &turn, func(t *testing.T, ws *websocket.Conn) { send(t, ws, `{"type":"abort","requestId":"r1"}`) }, "stop turn"},
		"abort theirs":      {`{"type":"resume","requestId":"r1","id":"c"}`, &theirs, func(t *testing.T, ws *websocket.Conn) { send(t, ws, `{"type":"abort","requestId":"r1"}`) }, ""},
		"abort what steers": {sendFrame("r1"), &theirs, func(t *testing.T, ws *websocket.Conn) { send(t, ws, `{"type":"abort","requestId":"r1"}`) }, `say "hi" as x`},
		"abort another":     {sendFrame("r1"), nil, func(t *testing.T, ws *websocket.Conn) { send(t, ws, `{"type":"abort","requestId":"r2"}`) }, `say "hi" as x`},
		"lost":              {sendFrame("r1"), nil, func(_ *testing.T, ws *websocket.Conn) { ws.NetConn().Close() }, `say "hi" as x`},
		"closed":            {sendFrame("r1"), nil, func(_ *testing.T, ws *websocket.Conn) { ws.Close() }, `say "hi" as x`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.records, r.now.Turn = []chat.Record{asked, queued, start}, test.by
			s := serve(t, r, aisdk.Options{})
			ws := s.dial(t)
			send(t, ws, test.frame)
			want(t, ws, `"type":"start-step"`)
			test.leave(t, ws)
			send(t, s.dial(t), "{}") // what was sent before is handled, or will be before the server closes
			wait(t, func() bool { return strings.Join(r.noted(), ", ") == test.want })
			s.end(live.ErrStopping)
			s.Close()
			if got := strings.Join(r.noted(), ", "); got != test.want {
				t.Errorf("commands %q, want %q", got, test.want)
			}
		})
	}
}

// The code says why a socket was closed. useChat takes each for a lost connection.
func TestSocketCloses(t *testing.T) {
	for name, test := range map[string]struct {
		then func(*testing.T, *site, *room, *websocket.Conn)
		want int
	}{
		"the server ends": {func(_ *testing.T, s *site, _ *room, _ *websocket.Conn) { s.end(live.ErrStopping) }, websocket.CloseGoingAway},
		"signed out":      {func(_ *testing.T, s *site, _ *room, _ *websocket.Conn) { s.end(live.ErrSignedOut) }, websocket.ClosePolicyViolation},
		"another attempt": {func(_ *testing.T, _ *site, r *room, _ *websocket.Conn) {
			r.live <- text("", "Hel")
			r.live <- ended("Hallo")
		}, websocket.CloseServiceRestart},
		"a bug":   {func(_ *testing.T, _ *site, r *room, _ *websocket.Conn) { r.live <- nil }, websocket.CloseServiceRestart},
		"no JSON": {func(t *testing.T, _ *site, _ *room, ws *websocket.Conn) { send(t, ws, "hello") }, websocket.CloseUnsupportedData},
		"binary": {func(_ *testing.T, _ *site, _ *room, ws *websocket.Conn) {
			_ = ws.WriteMessage(websocket.BinaryMessage, []byte("{}"))
		}, websocket.CloseUnsupportedData},
		"a long frame": {func(t *testing.T, _ *site, _ *room, ws *websocket.Conn) { send(t, ws, strings.Repeat("x", 2000)) }, websocket.CloseMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom()
			r.records = []chat.Record{asked, queued, start}
			s := serve(t, r, aisdk.Options{MaxBody: 1000})
			ws := s.dial(t)
			send(t, ws, sendFrame("r1"))
			want(t, ws, `"type":"start-step"`)
			test.then(t, s, r, ws)
			if got := closed(t, ws); got != test.want {
				t.Errorf("closed with %d, want %d", got, test.want)
			}
		})
	}
}

func TestSocketLimits(t *testing.T) {
	r := newRoom()
	s := serve(t, r, aisdk.Options{MaxRequests: 2})
	ws := s.dial(t)
	for _, id := range []string{"r1", "r2", "r3"} {
		send(t, ws, sendFrame(id))
	}
	want(t, ws, `{"type":"error","requestId":"r3","errorText":"too many requests go on on this connection (busy)"}`)
	s = serve(t, r, aisdk.Options{})
	s.in.ReadOnly = true
	ws = s.dial(t)
	send(t, ws, sendFrame("r1"))
	want(t, ws, `(forbidden)`)
	_, response, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/ui/ws", http.Header{"Origin": {"https://evil.example"}})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page: %v", err)
	}
}

// A client that is silent, or takes nothing, is cut off.
func TestSocketsEnd(t *testing.T) {
	r := newRoom()
	s := serve(t, r, aisdk.Options{PingInterval: 30 * time.Millisecond, PingTimeout: 30 * time.Millisecond, WriteTimeout: 100 * time.Millisecond})
	silent := s.dial(t)
	silent.SetPingHandler(func(string) error { return nil })
	if _, _, err := silent.ReadMessage(); err == nil {
		t.Error("a silent client is served")
	}
	r.records = []chat.Record{asked, queued, start}
	slow := s.dial(t)
	if tcp, ok := slow.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	send(t, slow, sendFrame("r1"))
	for before := ""; len(before) < 16<<20; before += strings.Repeat("x", 1<<20) {
		r.live <- text(before, strings.Repeat("x", 1<<20))
	}
	s.Close() // waits for the handlers
}
