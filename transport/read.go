package transport

import (
	"bytes"
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

// spareBuffer is the size up to which a message's buffer is used again.
const spareBuffer = 64 << 10

// buffers hold messages while they arrive, so that an idle connection does not.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read hands on what the client sends, until something ends that.
func (c *Conn) read() ending {
	for {
		p, err := c.readPacket()
		if err != nil {
			return c.failed(err)
		}
		if end, over := c.handle(p); over {
			return end
		}
	}
}

// readPacket reads the next packet. Its data is a copy if it is a message, and
// nothing otherwise.
func (c *Conn) readPacket() (engineio.Packet, error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return engineio.Packet{}, err
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= spareBuffer {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(r); err != nil {
		return engineio.Packet{}, err
	}
	p, err := engineio.Decode(buf.Bytes(), kind == websocket.BinaryMessage)
	if p.Type == engineio.TypeMessage {
		p.Data = bytes.Clone(p.Data)
	} else {
		p.Data = nil
	}
	return p, err
}

// failed returns the ending that follows from an error of readPacket. Where the
// connection is ending already it does not matter.
func (c *Conn) failed(err error) ending {
	var goodbye *websocket.CloseError
	switch {
	case errors.As(err, &goodbye) && goodbye.Code != websocket.CloseAbnormalClosure:
		return ending{reason: ReasonTransportClose, code: goodbye.Code, left: true}
	case errors.Is(err, websocket.ErrReadLimit):
		return ending{reason: ReasonTransportError, code: websocket.CloseMessageTooBig}
	case errors.Is(err, engineio.ErrUnknownType):
		return ending{reason: ReasonParseError, code: websocket.CloseProtocolError}
	case errors.Is(err, engineio.ErrEncoding):
		return ending{reason: ReasonTransportError, code: websocket.CloseInvalidFramePayloadData}
	case c.wire.readErr != nil:
		return ending{reason: ReasonTransportClose, cut: true}
	}
	return ending{reason: ReasonTransportError, code: websocket.CloseProtocolError}
}

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

// linger waits until the farewell is written and the client has closed, then
// closes the network connection. To close it before, with bytes of the client
// unread, would make the kernel drop what is still on its way to the client.
func (c *Conn) linger(end ending) {
	<-c.flushed
	if !end.cut && !end.left {
		_ = c.wire.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, c.wire.Conn) // ended by the client, or by tick
	}
	c.timer.Stop()
	_ = c.wire.Close()
}
