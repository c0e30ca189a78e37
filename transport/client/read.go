package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

var pongFrame = engineio.Packet{Type: engineio.TypePong}.Frame()

// run is the reader. It handles packets until the connection ends.
func (c *Client) run(early []socketio.Packet) {
	defer close(c.done)
	c.finish(c.read(early))
	c.cut()
	if c.closed != nil {
		c.closed(c.reason())
	}
}

// read handles packets, and returns why it cannot read more.
func (c *Client) read(early []socketio.Packet) error {
	for _, p := range early {
		c.pass()
		if err := c.handle(p); err != nil {
			return err
		}
	}
	for {
		p, err := c.next()
		if err != nil {
			return err
		}
		if err := c.handle(p); err != nil {
			return err
		}
	}
}

// next returns the next Socket.IO packet. It handles all other packets itself.
func (c *Client) next() (socketio.Packet, error) {
	for {
		m, err := c.receive()
		if err != nil {
			return socketio.Packet{}, err
		}
		switch m.Type {
		case engineio.TypePing:
			if err := c.write(pongFrame); err != nil {
				return socketio.Packet{}, err
			}
		case engineio.TypeClose:
			return socketio.Packet{}, ErrDisconnected
		case engineio.TypeMessage:
			p, complete, err := c.decoder.Decode(engineio.Message{Data: m.Data, Binary: m.Binary})
			if complete || err != nil {
				return p, err
			}
		}
	}
}

// receive reads the next Engine.IO packet, which the caller owns. The limit for
// the server's silence applies only while receive waits.
func (c *Client) receive() (engineio.Packet, error) {
	if c.silence > 0 {
		_ = c.ws.SetReadDeadline(time.Now().Add(c.silence))
	}
	kind, data, err := c.ws.ReadMessage()
	if err != nil {
		return engineio.Packet{}, fmt.Errorf("client: read: %w", err)
	}
	c.pass()
	return engineio.Decode(data, kind == websocket.BinaryMessage)
}

// pass waits while the Client is paused, unless it is closed.
func (c *Client) pass() {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-c.ended:
	}
}

// handle handles a packet of the namespace. It returns an error if that packet
// was the last.
func (c *Client) handle(p socketio.Packet) error {
	switch {
	case p.Namespace != c.namespace || c.reason() != nil:
	case p.Type == socketio.Event, p.Type == socketio.BinaryEvent:
		name, args := p.Event()
		if c.event != nil {
			c.event(name, args)
		}
	case p.Type == socketio.Ack, p.Type == socketio.BinaryAck:
		c.answered(p.ID, p.Args())
	case p.Type == socketio.Disconnect:
		return ErrDisconnected
	}
	return nil
}

// answered gives an acknowledgement to the Call that waits for it.
func (c *Client) answered(id uint64, args []json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.calls[id]; ok {
		answer <- args // has room for the one answer
		delete(c.calls, id)
	}
}
