package transport

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"parlor/protocol/engineio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const query = "/engine.io/?EIO=4&transport=websocket"

// A site is a server under test, and a way to reach it.
type site struct {
	*Server
	url    string // http://host:port
	dial   func(context.Context, string, string) (net.Conn, error)
	opened chan *Conn
	closed chan string // reasons
}

// newSite serves on l with server until the test ends. The application is
// opts.Accept or, if that is nil, an echo.
func newSite(t testing.TB, l net.Listener, opts Options, server *http.Server) *site {
	s := &site{
		url:    "http://" + l.Addr().String(),
		opened: make(chan *Conn, 4096),
		closed: make(chan string, 4096),
	}
	accept := opts.Accept
	if accept == nil {
		accept = func(c *Conn) Receiver { return &echo{c} }
	}
	opts.Accept = func(c *Conn) Receiver {
		r := accept(c)
		s.opened <- c
		return reporter{r, s.closed}
	}
	s.Server = NewServer(opts)
	server.Handler = s.Server
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		_ = s.Server.Close()
		wg.Wait()
	})
	return s
}

// listen returns a site on the loopback interface.
func listen(t testing.TB, opts Options) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, l, opts, &http.Server{})
	s.dial = new(net.Dialer).DialContext
	return s
}

// listenPipe returns a site inside the process, for bubbles of synctest.
func listenPipe(t testing.TB, opts Options) *site { return listenPipeWith(t, opts, &http.Server{}) }

func listenPipeWith(t testing.TB, opts Options, server *http.Server) *site {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	s := newSite(t, l, opts, server)
	s.dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		l.conns <- server
		return client, nil
	}
	return s
}

type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// echo answers every message with itself.
type echo struct{ *Conn }

func (e *echo) Receive(m engineio.Message) {
	_ = e.Send(engineio.Packet{Type: engineio.TypeMessage, Data: m.Data, Binary: m.Binary}.Frame())
}

func (e *echo) Closed(string) {}

// reporter says why the connection ended.
type reporter struct {
	Receiver
	closed chan<- string
}

func (r reporter) Closed(reason string) {
	r.Receiver.Closed(reason)
	r.closed <- reason
}

// receive is a Receiver made of a function.
type receive func(engineio.Message)

func (r receive) Receive(m engineio.Message) { r(m) }
func (r receive) Closed(string)              {}

// A client is a WebSocket of the test's.
type client struct {
	*websocket.Conn
	t testing.TB
}

// connect opens a connection and reads its open packet. The test closes it.
func (s *site) connect(t testing.TB) *client {
	t.Helper()
	c := s.open(t)
	if open := c.read(); !strings.HasPrefix(open, `0{"sid":"`) {
		t.Fatalf("got %q, want an open packet", open)
	}
	return c
}

func (s *site) open(t testing.TB) *client {
	t.Helper()
	d := websocket.Dialer{NetDialContext: s.dial}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &client{ws, t}
}

func (c *client) send(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			c.t.Fatalf("send %.40q: %v", text, err)
		}
	}
}

// read returns the next message.
func (c *client) read() string {
	c.t.Helper()
	_, data, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return string(data)
}

// end reads until the connection ends, and returns the close frame's code:
// 1006 if there was none.
func (c *client) end() int {
	for {
		_, _, err := c.ReadMessage()
		if err == nil {
			continue
		}
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code
		}
		return websocket.CloseAbnormalClosure
	}
}

// text returns the frame of a message.
func text(s string) engineio.Frame { return engineio.Frame{Data: []byte("4" + s)} }

// numbered returns n different messages of size bytes.
func numbered(n, size int) []engineio.Frame {
	frames := make([]engineio.Frame, n)
	for i := range frames {
		frames[i] = text(fmt.Sprintf("%0*d", size, i))
	}
	return frames
}

// within fails the test if ch yields nothing for a long time.
func within[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happened")
	}
	return v
}

// newTLSServer serves s over TLS until the test ends, and returns the URL.
func newTLSServer(t testing.TB, s *Server) string {
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return server.URL
}
