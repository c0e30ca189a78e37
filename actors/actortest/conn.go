package actortest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"parlor/actors/session"
	"parlor/protocol/engineio"
)

// A Conn is a connection, from both of its ends: it implements session.Conn,
// and it is the client. Its methods may be called from any goroutine.
type Conn struct {
	port *session.Port

	mu     sync.Mutex
	got    []string
	broken bool
	letIn  int
	end    chan string // gets the first reason to close
	ended  bool
}

// Dial opens a connection. Like those of the transport it tells its session
// once that it is closed, whoever closed it. At the end of the test the client
// goes away.
func Dial(t testing.TB, s *session.Sessions) *Conn {
	c := &Conn{end: make(chan string, 1)}
	c.port = s.Open(c)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.port.Closed(<-c.end)
	}()
	t.Cleanup(func() {
		c.Close("transport close")
		<-closed
	})
	return c
}

// Say sends text messages: Socket.IO packets as a client writes them.
func (c *Conn) Say(packets ...string) {
	for _, p := range packets {
		c.port.Receive(engineio.Message{Data: []byte(p)})
	}
}

// SayBinary sends a binary message.
func (c *Conn) SayBinary(data []byte) {
	c.port.Receive(engineio.Message{Data: data, Binary: true})
}

// Got returns what the client was sent since the last call, a line for each
// frame. A close is the last line.
func (c *Conn) Got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// Break makes Send fail.
func (c *Conn) Break() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

// Header implements session.Conn.
func (c *Conn) Header() http.Header { return http.Header{"X-Test": {"yes"}} }

// RemoteAddr implements session.Conn.
func (c *Conn) RemoteAddr() string { return "192.0.2.1:1" }

// Send implements session.Conn.
func (c *Conn) Send(frames ...engineio.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return errors.New("actortest: the connection is broken")
	}
	for _, f := range frames {
		line := string(f.Data)
		if f.Binary {
			line = fmt.Sprintf("binary %q", f.Data)
		}
		c.got = append(c.got, line)
	}
	return nil
}

// LetIn implements session.Conn.
func (c *Conn) LetIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letIn++
}

// LetInCalls returns how often the session has let the client in.
func (c *Conn) LetInCalls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.letIn
}

// TrySend implements session.Conn.
func (c *Conn) TrySend(frames ...engineio.Frame) { _ = c.Send(frames...) }

// Drain implements session.Conn: the client takes everything at once.
func (*Conn) Drain(context.Context) error { return nil }

// Close implements session.Conn.
func (c *Conn) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	c.got = append(c.got, "closed: "+reason)
	c.end <- reason
}
