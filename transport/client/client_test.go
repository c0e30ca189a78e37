package client

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
	"parlor/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const namespace = "/test"

// A site is a transport server with a small application, inside the process.
type site struct {
	conns  chan net.Conn
	opened chan *peer
}

func newSite(t *testing.T, o transport.Options) *site {
	s := &site{opened: make(chan *peer, 10)}
	o.Accept = func(c *transport.Conn) transport.Receiver {
		p := &peer{conn: c, closed: make(chan string, 1)}
		s.opened <- p
		return p
	}
	server := transport.NewServer(o)
	t.Cleanup(func() { _ = server.Close() })
	s.conns = serve(t, server)
	return s
}

// serve serves what is sent to the channel.
func serve(t *testing.T, handler http.Handler) chan net.Conn {
	l := &listener{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return l.conns
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { close(l.closed); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a client, which the test closes.
func (s *site) dial(t *testing.T, o Options) (*Client, *peer) {
	t.Helper()
	c, err := dialPipe(t.Context(), s.conns, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c, <-s.opened
}

func dialPipe(ctx context.Context, conns chan<- net.Conn, o Options) (*Client, error) {
	o.URL, o.Namespace = "http://server", namespace
	o.NetDial = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		conns <- theirs
		return ours, nil
	}
	return Dial(ctx, o)
}

// A peer is the application: it confirms or refuses, acknowledges "echo", and
// does what other events are named after.
type peer struct {
	conn         *transport.Conn
	decoder      socketio.Decoder
	disconnected bool
	closed       chan string
}

func (p *peer) Receive(m engineio.Message) {
	packet, complete, err := p.decoder.Decode(m)
	if !complete || err != nil {
		panic("not one packet: " + string(m.Data))
	}
	switch packet.Type {
	case socketio.Connect:
		p.connect(string(packet.Data))
	case socketio.Disconnect:
		p.disconnected = true
	case socketio.Event:
		switch name, args := packet.Event(); name {
		case "echo":
			p.send(socketio.AckFrame(namespace, packet.ID, args...))
		case "leave":
			p.send(socketio.DisconnectFrame(namespace))
		case "close":
			p.conn.Close("")
		}
	}
}

func (p *peer) connect(auth string) {
	if auth != `{"token":"good"}` {
		p.send(socketio.ConnectErrorFrame(namespace, "go away", json.RawMessage(`{"auth":`+auth+`}`)))
		return
	}
	p.emit("missed", `"first"`)
	p.send(socketio.ConnectFrame(namespace, "SID", "PID"))
}

func (p *peer) emit(name string, args ...string) {
	var raw []json.RawMessage
	for _, arg := range args {
		raw = append(raw, json.RawMessage(arg))
	}
	p.send(socketio.EventFrame(namespace, name, raw...))
}

func (p *peer) send(f engineio.Frame) { _ = p.conn.Send(f) }
func (p *peer) Closed(reason string)  { p.closed <- reason }

var good = map[string]string{"token": "good"}

// record returns an Event that notes what comes.
func record() (events <-chan string, event func(string, []json.RawMessage)) {
	ch := make(chan string, 100)
	return ch, func(name string, args []json.RawMessage) {
		for _, arg := range args {
			name += " " + string(arg)
		}
		ch <- name
	}
}

func drain(events <-chan string) (all []string) {
	for {
		select {
		case e := <-events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newSite(t, transport.Options{}).dial(t, Options{Auth: good})
		if c.SID() != "SID" || c.PID() != "PID" {
			t.Errorf("got ids %q and %q, want SID and PID", c.SID(), c.PID())
		}
		got, err := c.Call(t.Context(), "echo", 1, "two", json.RawMessage(`{"three":3}`))
		want := []json.RawMessage{[]byte("1"), []byte(`"two"`), []byte(`{"three":3}`)}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("acknowledgement (-want +got):\n%s%v", diff, err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Call(ctx, "nothing"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an answer: got %v, want %v", err, context.DeadlineExceeded)
		}
		if len(c.calls) > 0 {
			t.Errorf("%d calls are remembered in the end", len(c.calls))
		}
		if _, err := c.Call(ctx, "bad", make(chan int)); err == nil {
			t.Error("a channel was encoded")
		}
	})
}

// Events that are sent ahead of the confirmation come first.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, event := record()
		_, p := newSite(t, transport.Options{}).dial(t, Options{Auth: good, Event: event})
		p.emit("a", `1`, `"second\n"`)
		p.emit("b", `"third"`, `{}`)
		p.emit("c")
		synctest.Wait()
		want := []string{`missed "first"`, `a 1 "second\n"`, `b "third" {}`, "c"}
		if diff := cmp.Diff(want, drain(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, transport.Options{})
		_, err := dialPipe(t.Context(), s.conns, Options{Auth: map[string]string{"token": "bad"}, Closed: func(error) {
			t.Error("Closed was called")
		}})
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Message != "go away" || string(refused.Data) != `{"auth":{"token":"bad"}}` {
			t.Errorf("got %v (%+v), want the refusal", err, refused)
		}
		if _, err := dialPipe(t.Context(), s.conns, Options{Auth: make(chan int)}); err == nil {
			t.Error("a channel was encoded")
		}
	})
}

// ends checks what either side is told of the end, and that a Call ends too.
func ends(t *testing.T, act func(*Client), reason func(error) bool, told string, disconnected bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan error, 2)
		c, p := newSite(t, transport.Options{}).dial(t, Options{Auth: good, Closed: func(err error) { closed <- err }})
		called := make(chan error, 1)
		go func() { _, err := c.Call(context.Background(), "nothing"); called <- err }()
		synctest.Wait()
		act(c)
		if err := <-closed; !reason(err) {
			t.Errorf("Closed was told %v", err)
		}
		if err := <-called; !reason(err) {
			t.Errorf("Call returned %v", err)
		}
		c.Close()
		if got := <-p.closed; got != told || p.disconnected != disconnected {
			t.Errorf("the server saw %q, disconnected %t, want %q, %t", got, p.disconnected, told, disconnected)
		}
		synctest.Wait()
		if len(closed) > 0 {
			t.Error("Closed was called twice")
		}
	})
}

func TestClose(t *testing.T) {
	ends(t, (*Client).Close, is(ErrClosed), transport.ReasonTransportClose, true)
}

func TestAbort(t *testing.T) {
	ends(t, (*Client).Abort, is(ErrClosed), transport.ReasonTransportClose, false)
}

func TestDisconnectedByServer(t *testing.T) {
	ends(t, call("leave"), is(ErrDisconnected), transport.ReasonTransportClose, false)
}

func TestClosedByServer(t *testing.T) {
	normal := func(err error) bool {
		var frame *websocket.CloseError
		return errors.As(err, &frame) && frame.Code == websocket.CloseNormalClosure
	}
	ends(t, call("close"), normal, transport.ReasonForcedClose, false)
}

// call asks for what ends the connection, and so has no answer.
func call(name string) func(*Client) {
	return func(c *Client) { _, _ = c.Call(context.Background(), name) }
}

func is(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

// An idle client answers pings for as long as it lasts.
func TestStaysConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newSite(t, transport.Options{}).dial(t, Options{Auth: good})
		time.Sleep(24 * time.Hour)
		if _, err := c.Call(t.Context(), "echo"); err != nil || len(p.closed) > 0 {
			t.Errorf("after a day: %v", err)
		}
	})
}

// A client that pauses gets nothing, until it goes on or the server gives up.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, event := record()
		c, p := newSite(t, transport.Options{}).dial(t, Options{Auth: good, Event: event})
		synctest.Wait()
		drain(events)

		c.Pause()
		c.Pause()
		p.emit("a")
		p.emit("b")
		time.Sleep(transport.DefaultPingTimeout / 2)
		if got := drain(events); got != nil {
			t.Errorf("while paused: got %q", got)
		}
		c.Resume()
		c.Resume()
		synctest.Wait()
		if diff := cmp.Diff([]string{"a", "b"}, drain(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}

		c.Pause()
		p.emit("c")
		time.Sleep(transport.DefaultPingInterval + transport.DefaultPingTimeout + time.Second)
		if got, want := <-p.closed, transport.ReasonTransportError; got != want && got != transport.ReasonPingTimeout {
			t.Errorf("the server saw %q, want that the client is gone", got)
		}
		c.Close()
		if got := drain(events); got != nil {
			t.Errorf("after Close: got %q", got)
		}
	})
}

// A server that says nothing for longer than it promised is taken for dead.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		conns := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer ws.Close()
			handshake := engineio.Handshake{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second}
			_ = ws.WriteMessage(websocket.TextMessage, handshake.Frame().Data)
			_, _, err = ws.ReadMessage()
			_ = ws.WriteMessage(websocket.TextMessage, socketio.ConnectFrame(namespace, "SID", "").Data)
			for err == nil {
				_, _, err = ws.ReadMessage()
			}
			close(gone)
		}))
		closed := make(chan error, 1)
		began := time.Now()
		c, err := dialPipe(t.Context(), conns, Options{Closed: func(err error) { closed <- err }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err, silent := <-closed, time.Since(began); err == nil || silent != 45*time.Second {
			t.Errorf("closed after %v: %v, want 45s", silent, err)
		}
		<-gone
	})
}

// Dial gives up with its context, wherever it is.
func TestDialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan net.Conn, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _, _ = (<-conns).Read(make([]byte, 10_000)) }()
		if _, err := dialPipe(ctx, conns, Options{}); err == nil {
			t.Error("connected to nobody")
		}
	})
}

func TestEndpoint(t *testing.T) {
	for server, want := range map[string]string{
		"http://h:1":        "ws://h:1/socket.io/?EIO=4&transport=websocket",
		"https://h/":        "wss://h/socket.io/?EIO=4&transport=websocket",
		"ws://h/ws/?a=b":    "ws://h/ws/?EIO=4&a=b&transport=websocket",
		"wss://h/socket.io": "wss://h/socket.io?EIO=4&transport=websocket",
	} {
		if got, err := endpoint(server); got != want || err != nil {
			t.Errorf("endpoint(%q): got %q, %v, want %q", server, got, err, want)
		}
	}
	if _, err := endpoint("http://[::1"); err == nil {
		t.Error("a broken URL was accepted")
	}
}
