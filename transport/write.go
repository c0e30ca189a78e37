package transport

import (
	"time"

	"github.com/gorilla/websocket"
)

// wakeLocked starts the writer unless it runs.
func (c *Conn) wakeLocked() {
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// write sends what is queued until nothing is and, if the connection ends, the
// farewell. Only wakeLocked starts it.
func (c *Conn) write() {
	for {
		c.wire.cork()
		err := c.writeQueued()
		if flushErr := c.wire.flush(); err == nil {
			err = flushErr
		}
		if err != nil {
			c.abort(ReasonTransportError)
		}
		if done, end := c.rest(); done {
			c.farewell(end)
			return
		}
	}
}

// writeQueued writes everything that is queued.
func (c *Conn) writeQueued() error {
	for {
		kind, payload, ok := c.pop()
		if !ok {
			return nil
		}
		if err := c.ws.WriteMessage(kind, payload); err != nil {
			return err
		}
	}
}

// pop returns what is to be written next, as a WebSocket message.
func (c *Conn) pop() (kind int, payload []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wsPong != nil {
		payload, c.wsPong = c.wsPong, nil
		return websocket.PongMessage, payload, true
	}
	f, ok := c.out.pop()
	if f.Binary {
		return websocket.BinaryMessage, f.Data, ok
	}
	return websocket.TextMessage, f.Data, ok
}

// rest reports whether the writer is done because nothing is queued, and how
// the connection ends if it does. In that case there will be no writer again.
func (c *Conn) rest() (done bool, end ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.out.empty() || c.wsPong != nil {
		return false, ending{}
	}
	c.writing = c.end.reason != ""
	return true, c.end
}

// farewell says the last words of a connection that ends. The peer answers a
// close frame and the end of the stream by closing, see linger.
func (c *Conn) farewell(end ending) {
	if end.reason == "" {
		return
	}
	if !end.cut {
		// This fails if the WebSocket has already closed for a violation.
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(end.code, ""), time.Time{})
		c.wire.closeWrite()
	}
	close(c.flushed)
}

// answerPing answers a WebSocket ping, which no Engine.IO client needs. Of
// several that wait only the last is answered (RFC 6455, section 5.5.3), so a
// storm of them does not pile up.
func (c *Conn) answerPing(payload string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.reason == "" {
		c.wsPong = []byte(payload)
		c.wakeLocked()
	}
	return nil
}
