package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

func TestEcho(t *testing.T) {
	s := listen(t, Options{})
	c := s.connect(t)

	c.send("4hello", "4"+strings.Repeat("é", 100_000), "4", "bAQIDBA==")
	for _, want := range []string{"4hello", "4" + strings.Repeat("é", 100_000), "4", "\x01\x02\x03\x04"} {
		if got := c.read(); got != want {
			t.Fatalf("got %.40q, want %.40q", got, want)
		}
	}

	if err := c.WriteMessage(websocket.BinaryMessage, []byte("\x00\xff")); err != nil {
		t.Fatal(err)
	}
	kind, data, err := c.ReadMessage()
	if kind != websocket.BinaryMessage || string(data) != "\x00\xff" || err != nil {
		t.Errorf("got type %d, data %q, error %v, want the binary data", kind, data, err)
	}

	c.Close()
	if got := within(t, s.closed); got != ReasonTransportClose {
		t.Errorf("got reason %q, want %q", got, ReasonTransportClose)
	}
}

// TestSendKeepsCallsTogether lets many goroutines send groups of frames: none
// may be lost, split or out of order.
func TestSendKeepsCallsTogether(t *testing.T) {
	const senders, calls, group = 8, 100, 3
	s := listen(t, Options{})
	c := s.connect(t)
	conn := within(t, s.opened)

	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for call := range calls {
				var frames []engineio.Frame
				for part := range group {
					frames = append(frames, text(fmt.Sprintf("%d %d %d", sender, call, part)))
				}
				if err := conn.Send(frames...); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	var next [senders]int
	for range senders * calls {
		var sender, call int
		for part := range group {
			var gotSender, gotCall, gotPart int
			if _, err := fmt.Sscanf(c.read(), "4%d %d %d", &gotSender, &gotCall, &gotPart); err != nil {
				t.Fatal(err)
			}
			if part == 0 {
				sender, call = gotSender, gotCall
			}
			if gotSender != sender || gotCall != call || gotPart != part {
				t.Fatalf("got part %d of call %d of sender %d inside call %d of sender %d", gotPart, gotCall, gotSender, call, sender)
			}
		}
		if call != next[sender] {
			t.Fatalf("sender %d: got call %d, want %d", sender, call, next[sender])
		}
		next[sender]++
	}
	wg.Wait()
}

// TestIdleConnectionHasOneGoroutine counts goroutines before, and after the
// handshake and some traffic.
func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const connections = 10
		s := listenPipe(t, Options{})
		synctest.Wait()
		before := bubbleGoroutines()
		for range connections {
			c := s.connect(t)
			c.send("4hello")
			c.read()
		}
		synctest.Wait()
		if got := bubbleGoroutines() - before; got != connections {
			t.Errorf("%d idle connections have %d goroutines", connections, got)
		}
	})
}

// TestReceiveHoldsReadingUp checks that a client cannot push more than one
// message into a Receiver that is busy.
func TestReceiveHoldsReadingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		received := make(chan string)
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(m engineio.Message) { received <- string(m.Data) })
		}})
		c := s.connect(t)
		sent := 0
		go func() {
			for i := range 10 {
				if c.WriteMessage(websocket.TextMessage, []byte("4"+strings.Repeat("x", 1000)+fmt.Sprint(i))) != nil {
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent > 1 {
			t.Errorf("%d messages were taken while the first one was being received", sent)
		}
		for i := range 10 {
			if got := <-received; !strings.HasSuffix(got, fmt.Sprint("x", i)) {
				t.Fatalf("got message %q, want number %d", got, i)
			}
		}
		c.Close()
	})
}

// bubbleGoroutines counts the goroutines of the bubble: others may still be
// on their way out of an earlier test.
func bubbleGoroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte(", synctest bubble "))
}

func TestSlowReaderIsCutOff(t *testing.T) {
	const budget, size = 64 << 10, 1000
	s := listen(t, Options{QueueBytes: budget})
	slow := s.connect(t)
	conn := within(t, s.opened)
	other := s.connect(t)
	_ = slow.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	_ = conn.carrier.(*socket).wire.Conn.(*net.TCPConn).SetWriteBuffer(4096)

	accepted := 0
	for conn.Send(numbered(1, size)...) == nil {
		if accepted += size; accepted > 64<<20 {
			t.Fatal("64 MB were taken for a client that does not read")
		}
		conn.mu.Lock()
		if queued := conn.out.bytes; queued > budget {
			t.Fatalf("%d bytes are queued, want at most %d", queued, budget)
		}
		conn.mu.Unlock()
	}
	if got := within(t, s.closed); got != ReasonSlowConsumer {
		t.Errorf("got reason %q, want %q", got, ReasonSlowConsumer)
	}
	if err := conn.Send(text("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("send after the end: got error %v, want ErrClosed", err)
	}
	conn.mu.Lock()
	if conn.out.frames != nil {
		t.Errorf("%d frames are still queued after the end", len(conn.out.frames))
	}
	conn.mu.Unlock()

	other.send("4still here")
	if got := other.read(); got != "4still here" {
		t.Errorf("bystander: got %q", got)
	}
}

// TestSendIsAllOrNothing also shows that one call may be larger than the
// budget, if it has not to wait behind anything.
func TestSendIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = batchBytes + 1 // is written, and waited for, on its own
		s := listenPipe(t, Options{QueueBytes: 2 * size})
		s.connect(t)
		conn := <-s.opened
		synctest.Wait()
		if err := conn.Send(numbered(2, size)...); err != nil {
			t.Errorf("nothing waits: got error %v", err)
		}
		if err := conn.Send(text("one more")); !errors.Is(err, ErrSlowConsumer) {
			t.Errorf("got error %v, want ErrSlowConsumer", err)
		}
		if got := <-s.closed; got != ReasonSlowConsumer {
			t.Errorf("got reason %q, want %q", got, ReasonSlowConsumer)
		}
	})
}

// TestReceiverPanics costs one connection.
func TestReceiverPanics(t *testing.T) {
	s := listen(t, Options{Accept: func(c *Conn) Receiver { return &fragile{echo{c}} }})
	victim, other := s.connect(t), s.connect(t)
	victim.send("4panic")
	if got := within(t, s.closed); got != ReasonForcedClose {
		t.Errorf("got reason %q, want %q", got, ReasonForcedClose)
	}
	other.send("4still here")
	if got := other.read(); got != "4still here" {
		t.Errorf("bystander: got %q", got)
	}
}

// fragile is an echo that panics when it is told to.
type fragile struct{ echo }

func (f *fragile) Receive(m engineio.Message) {
	if string(m.Data) == "panic" {
		panic("as told")
	}
	f.echo.Receive(m)
}

// TestStuckWriteEnds has a client that reads nothing at all: what is being
// written to it must not be for ever.
func TestStuckWriteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		s.connect(t)
		conn := <-s.opened
		start := time.Now()
		_ = conn.Send(text("hello"))
		if got := <-s.closed; got != ReasonTransportError {
			t.Errorf("got reason %q, want %q", got, ReasonTransportError)
		}
		if got := time.Since(start); got != DefaultWriteTimeout {
			t.Errorf("ended after %v, want %v", got, DefaultWriteTimeout)
		}
	})
}

// TestCloseFlushes closes connections whose clients have sent much that nobody
// has read, which makes a careless close drop what the client should get.
func TestCloseFlushes(t *testing.T) {
	for name, dial := range map[string]func(testing.TB, *site) *client{
		"tcp": func(t testing.TB, s *site) *client { return s.connect(t) },
		"tls": connectTLS,
	} {
		t.Run(name, func(t *testing.T) {
			busy := make(chan struct{})
			s := listen(t, Options{Accept: func(*Conn) Receiver {
				return receive(func(engineio.Message) { <-busy })
			}})
			c := dial(t, s)
			conn := within(t, s.opened)
			for range 20 {
				c.send("4" + strings.Repeat("x", 1000))
			}
			want := numbered(500, 1000)
			if err := conn.Send(want...); err != nil {
				t.Fatal(err)
			}
			conn.Close("bye")
			conn.Close("again")
			close(busy)
			for i := range want {
				if got := c.read(); got != string(want[i].Data) {
					t.Fatalf("message %d: got %.40q", i, got)
				}
			}
			if got := c.end(); got != websocket.CloseNormalClosure {
				t.Errorf("got close code %d, want %d", got, websocket.CloseNormalClosure)
			}
			if got := within(t, s.closed); got != "bye" {
				t.Errorf("got reason %q, want that of the first Close", got)
			}
		})
	}
}

// connectTLS connects through a server that speaks TLS, in front of s.
func connectTLS(t testing.TB, s *site) *client {
	server := newTLSServer(t, s.Server)
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, _, err := d.Dial(strings.Replace(server, "https", "wss", 1)+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	c := &client{ws, t}
	c.read()
	return c
}

// TestCloseIsBounded closes a connection whose client does not read.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		c := s.connect(t)
		conn := <-s.opened
		start := time.Now()
		_ = conn.Send(text("hello"))
		conn.Close("")
		if got := <-s.closed; got != ReasonForcedClose {
			t.Errorf("got reason %q, want %q", got, ReasonForcedClose)
		}
		_ = s.Shutdown(t.Context()) // waits until the connection is gone
		if got := time.Since(start); got != DefaultCloseTimeout {
			t.Errorf("gone after %v, want %v", got, DefaultCloseTimeout)
		}
		if got := c.end(); got != websocket.CloseAbnormalClosure {
			t.Errorf("got close code %d, want none", got)
		}
	})
}

func TestCloseInAccept(t *testing.T) {
	s := listen(t, Options{Accept: func(c *Conn) Receiver {
		_ = c.Send(text("no"))
		c.Close("not wanted")
		return receive(func(m engineio.Message) { t.Errorf("received %q", m.Data) })
	}})
	c := s.connect(t)
	c.send("4hello")
	if got := c.read(); got != "4no" {
		t.Errorf("got %q, want %q", got, "4no")
	}
	if got := c.end(); got != websocket.CloseNormalClosure {
		t.Errorf("got close code %d, want %d", got, websocket.CloseNormalClosure)
	}
	if got := within(t, s.closed); got != "not wanted" {
		t.Errorf("got reason %q", got)
	}
}

// TestCloseWhileReceiving checks that Closed waits for Receive.
func TestCloseWhileReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(engineio.Message) { <-release })
		}})
		c := s.connect(t)
		conn := <-s.opened
		c.send("4one")
		go func() { _ = c.WriteMessage(websocket.TextMessage, []byte("4two")) }()
		go c.end()
		synctest.Wait()
		conn.Close("")
		synctest.Wait()
		if len(s.closed) != 0 {
			t.Fatal("Closed was called while Receive ran")
		}
		release <- struct{}{}
		<-s.closed // and the second message was not received
	})
}

func TestConcurrentEnds(t *testing.T) {
	s := listen(t, Options{})
	for range 50 {
		c := s.connect(t)
		conn := within(t, s.opened)
		var wg sync.WaitGroup
		wg.Go(func() { conn.Close("one") })
		wg.Go(func() { conn.Close("two") })
		wg.Go(func() { _ = conn.Send(numbered(10, 100)...) })
		wg.Go(func() { _ = c.Conn.Close() })
		wg.Wait()
		if got := within(t, s.closed); !slices.Contains([]string{"one", "two", ReasonTransportClose, ReasonTransportError}, got) {
			t.Errorf("got reason %q", got)
		}
	}
	if len(s.closed) != 0 {
		t.Error("Closed was called twice")
	}
}

func TestShutdown(t *testing.T) {
	s := listen(t, Options{})
	clients := []*client{s.connect(t), s.connect(t), s.connect(t)}
	want := numbered(100, 1000)
	for range clients {
		if err := within(t, s.opened).Send(want...); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	for _, c := range clients {
		for i := range want {
			if got := c.read(); got != string(want[i].Data) {
				t.Fatalf("message %d: got %.40q", i, got)
			}
		}
		if _, data, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("got message %q, error %v, want close code 1001 and nothing before", data, err)
		}
		c.Close()
	}
	if err := within(t, done); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for range clients {
		select {
		case got := <-s.closed:
			if got != ReasonServerShutdown {
				t.Errorf("got reason %q, want %q", got, ReasonServerShutdown)
			}
		default:
			t.Fatal("Shutdown returned before Closed")
		}
	}

	d := websocket.Dialer{NetDialContext: s.dial}
	if _, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+query, nil); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after shutdown: got response %v, error %v, want status 503", resp, err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
}

// TestShutdownGivesUp has a client that does not read and an application that
// does not return.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := listenPipe(t, Options{Accept: func(*Conn) Receiver {
			return receive(func(engineio.Message) { <-release })
		}})
		c := s.connect(t)
		conn := <-s.opened
		c.send("4hello")
		_ = conn.Send(text("unread"))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want that of the context", err)
		}
		synctest.Wait()
		if got := c.end(); got != websocket.CloseAbnormalClosure {
			t.Errorf("got close code %d, want none: cut off", got)
		}
		close(release)
		_ = s.Server.Close()
		if got := <-s.closed; got != ReasonServerShutdown {
			t.Errorf("got reason %q, want %q", got, ReasonServerShutdown)
		}
	})
}

func TestServerClose(t *testing.T) {
	s := listen(t, Options{})
	c := s.connect(t)
	if err := s.Server.Close(); err != nil {
		t.Error(err)
	}
	select {
	case got := <-s.closed:
		if got != ReasonServerShutdown {
			t.Errorf("got reason %q, want %q", got, ReasonServerShutdown)
		}
	default:
		t.Fatal("Close returned before Closed")
	}
	c.end() // does not hang
}

// TestTrySend checks that what would have to wait is lost as a whole, and that
// nothing else is.
func TestTrySend(t *testing.T) {
	send := func(conn *Conn) {
		conn.TrySend(text("volatile"), engineio.Frame{Data: []byte{1}, Binary: true})
		conn.TrySend(text("second"))
		if err := conn.Send(text("regular")); err != nil {
			t.Error(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		p := s.poll(t)
		conn := <-s.opened
		conn.TrySend(text("nobody polls"))
		poll := p.getLater()
		synctest.Wait()
		send(conn)
		got := (<-poll).body
		if !strings.HasSuffix(got, "regular") { // it came after the answer had been put together
			got += "\x1e" + p.get().body
		}
		if want := "4volatile\x1ebAQ==\x1e4regular"; got != want {
			t.Errorf("polling: got %q, want %q", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := listenPipe(t, Options{})
		c := s.connect(t)
		conn := <-s.opened
		for range 2 {
			synctest.Wait()
			send(conn) // the client does not read yet
			for _, want := range []string{"4volatile", "\x01", "4regular"} {
				if got := c.read(); got != want {
					t.Errorf("WebSocket: got %q, want %q", got, want)
				}
			}
		}
		c.Close()
		synctest.Wait()
		conn.TrySend(text("too late"))
	})
}
