package transport

import (
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// A Receiver takes what one client sends.
type Receiver interface {
	// Receive takes the next message, which it owns. It is called by one
	// goroutine at a time. While it blocks nothing more is read from the
	// client. If it panics the connection ends.
	Receive(m engineio.Message)

	// Closed is called once, after the last Receive has returned, with the
	// reason why the connection ended: one of the Reason constants, or what
	// was passed to [Conn.Close].
	Closed(reason string)
}

type discard struct{}

func (discard) Receive(engineio.Message) {}
func (discard) Closed(string)            {}

// handle does what a packet asks for. It reports over if nothing may follow.
func (c *Conn) handle(p engineio.Packet) (end ending, over bool) {
	switch p.Type {
	case engineio.TypeMessage:
		over := !c.deliver(engineio.Message{Data: p.Data, Binary: p.Binary})
		return ending{reason: ReasonForcedClose, code: websocket.CloseInternalServerErr}, over
	case engineio.TypePong:
		c.pong()
	case engineio.TypePing: // the heartbeat's direction is ours
		return ending{reason: ReasonTransportError, code: websocket.CloseProtocolError}, true
	case engineio.TypeClose:
		return ending{reason: ReasonTransportClose, code: websocket.CloseNormalClosure}, true
	default: // open, upgrade and noop have no meaning here, and do no harm
		c.touch()
	}
	return ending{}, false
}

// deliver hands a message to the Receiver. It reports false if the connection
// is ending or has to.
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

// receive calls the Receiver. A panic there costs this connection and not the
// process: it may be one that the client knows how to provoke.
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

// pong takes an Engine.IO pong.
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
