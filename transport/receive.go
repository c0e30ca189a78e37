package transport

import (
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// A Receiver receives the messages of one client.
type Receiver interface {
	// Receive receives the next message, which it may keep and change. It is
	// called by one goroutine at a time. While it blocks, nothing more is read
	// from the client. If it panics, the connection ends.
	Receive(m engineio.Message)

	// Closed is called once, after the last Receive has returned, with the
	// reason why the connection ended: one of the Reason constants, or the
	// reason that was passed to [Conn.Close].
	Closed(reason string)
}

type discard struct{}

func (discard) Receive(engineio.Message) {}
func (discard) Closed(string)            {}

// handle handles a packet. It reports over if the connection has to end.
func (c *Conn) handle(p engineio.Packet) (end ending, over bool) {
	switch p.Type {
	case engineio.TypeMessage:
		over := !c.deliver(engineio.Message{Data: p.Data, Binary: p.Binary})
		return ending{reason: ReasonForcedClose, code: websocket.CloseInternalServerErr}, over
	case engineio.TypePong:
		c.pong()
	case engineio.TypePing: // in protocol 4 only the server sends pings
		return ending{reason: ReasonTransportError, code: websocket.CloseProtocolError}, true
	case engineio.TypeClose:
		return ending{reason: ReasonTransportClose, code: websocket.CloseNormalClosure}, true
	default: // open, upgrade and noop mean nothing here, and are ignored
		c.touch()
	}
	return ending{}, false
}

// deliver hands a message to the Receiver. It reports false if the connection
// ends.
func (c *Conn) deliver(m engineio.Message) bool {
	c.mu.Lock()
	if c.end.reason != "" {
		c.mu.Unlock()
		return false
	}
	now := time.Now()
	c.beat.packet(now)
	c.beat.suspend(now)
	c.mu.Unlock()

	if !c.receive(m) {
		return false
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.beat.resume(time.Now()); wait > 0 && c.end.reason == "" {
		c.timer.Reset(wait)
	}
	return true
}

// receive calls the Receiver. A panic there ends this connection and not the
// process: a client may know how to provoke it.
func (c *Conn) receive(m engineio.Message) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.server.opts.Logger.Error("receiver panicked", "panic", p, "stack", string(debug.Stack()))
			ok = false
		}
	}()
	c.receiver.Receive(m)
	return true
}

// pong notes an Engine.IO pong.
func (c *Conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.beat.pong(time.Now()); wait > 0 && c.end.reason == "" {
		c.timer.Reset(wait)
	}
}

// touch notes a packet that is neither a message nor a pong.
func (c *Conn) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat.packet(time.Now())
}
