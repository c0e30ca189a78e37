package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// maxRefusal is how much of a refusal is read.
	maxRefusal = 8 << 10

	// writeTimeout limits each write to the provider.
	writeTimeout = 5 * time.Second
)

// A conn is one connection. Its own goroutine reads it into events, of which
// the last one has an error; everything else is done by the session.
type conn struct {
	ws     *websocket.Conn
	opened time.Time
	events chan received
	closed chan struct{}
	ended  chan struct{}
	unhook func() bool
}

// received is what the provider sent, or why nothing will follow.
type received struct {
	serverEvent
	err error
}

// dial opens a connection. It is closed when ctx ends.
func (c *Client) dial(ctx context.Context, model string) (*conn, error) {
	u := *c.base
	q := u.Query()
	q.Set("model", model)
	u.RawQuery = q.Encode()
	limited, cancel := context.WithTimeout(ctx, c.opts.Connect)
	defer cancel()
	ws, resp, err := c.dialer.DialContext(limited, u.String(), c.header)
	switch {
	case ctx.Err() != nil:
		if ws != nil {
			ws.Close()
		}
		return nil, context.Cause(ctx)
	case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return nil, c.explain.Refused(resp, body)
	case err != nil:
		return nil, c.explain.Unreachable(err)
	}
	conn := &conn{
		ws: ws, opened: time.Now(),
		events: make(chan received), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	ws.SetReadLimit(c.opts.MaxEvent)
	alive := func() error { return ws.SetReadDeadline(time.Now().Add(2 * c.opts.Heartbeat)) }
	ws.SetPongHandler(func(string) error { return alive() })
	conn.unhook = context.AfterFunc(ctx, func() { ws.Close() })
	go conn.read(alive)
	return conn, nil
}

// read passes on what comes, until nothing does.
func (c *conn) read(alive func() error) {
	defer close(c.ended)
	for {
		r := c.next(alive)
		select {
		case c.events <- r:
		case <-c.closed:
			return
		}
		if r.err != nil {
			return
		}
	}
}

func (c *conn) next(alive func() error) (r received) {
	if r.err = alive(); r.err != nil {
		return r
	}
	_, data, err := c.ws.ReadMessage()
	if err == nil {
		err = json.Unmarshal(data, &r.serverEvent)
	}
	r.err = err
	return r
}

// send writes an event. An error is also an end of the connection, which the
// reader will find.
func (c *conn) send(e clientEvent) {
	if c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil || c.ws.WriteJSON(e) != nil {
		c.ws.Close()
	}
}

// ping asks for a sign of life.
func (c *conn) ping() {
	if c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
		c.ws.Close()
	}
}

// close ends the connection and waits for its goroutine.
func (c *conn) close() {
	c.unhook()
	close(c.closed)
	c.ws.Close()
	<-c.ended
}
