// Package client is a Socket.IO client for load generators and test harnesses:
// thousands of them fit into one process.
//
//	Dial → WebSocket → open packet → CONNECT → confirmation → [Client]
//	in   WebSocket → reader → pings answered, packets decoded → [Options].Event, or the Call that waits
//	out  [Client.Call] → one WebSocket message
//
// Unlike an official client it uses nothing but WebSocket, one namespace and
// arguments without binary data, acknowledges no events, and does not come back
// by itself. To have its state recovered, dial again with the old PID as pid and
// the last offset, which is the last argument of an event, as offset in Auth; if
// it was recovered, the new client has the same PID.
//
// # Slow readers
//
// An idle Client has one goroutine. While [Options].Event blocks, or between
// [Client.Pause] and [Client.Resume], it does not read, and answers no pings.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

const (
	// writeTimeout is how long the server may take to read a message.
	writeTimeout = 10 * time.Second

	// closeTimeout is how long the server may take to answer a Close.
	closeTimeout = 5 * time.Second
)

// The reasons why a Client is closed, besides errors of the network. Calls
// that have no answer by then, and later ones, return the reason.
var (
	ErrClosed       = errors.New("client: closed")
	ErrDisconnected = errors.New("client: disconnected by the server")
)

// A Client is connected to one namespace. Its methods may be called by several
// goroutines at once.
//
// Whoever dialled it closes it, also if the server has closed it before.
type Client struct {
	ws        *websocket.Conn
	namespace string
	event     func(name string, args []json.RawMessage)
	closed    func(reason error)
	sid, pid  string
	silence   time.Duration // without a ping, after which the server is taken for dead

	decoder socketio.Decoder // of the reader
	done    chan struct{}    // closed when the reader has returned

	writing sync.Mutex // held while a message is written

	mu       sync.Mutex
	calls    map[uint64]chan<- []json.RawMessage // by acknowledgement id
	lastCall uint64
	gate     chan struct{} // not nil while paused, closed by Resume
	end      error         // nil while open
	ended    chan struct{} // closed with end
}

// SID returns the id by which the namespace knows the client.
func (c *Client) SID() string { return c.sid }

// PID returns the private id by which the connection state can be recovered.
// It is empty if the server does not do that, and the one that was sent in Auth
// if it has.
func (c *Client) PID() string { return c.pid }

// Call sends an event and returns the arguments of its acknowledgement. It must
// not be called by Event, which would wait for itself.
//
// An acknowledgement that was read before the Client closed, or before ctx
// ended, is returned: whoever gets an error has not been told anything.
func (c *Client) Call(ctx context.Context, name string, args ...any) ([]json.RawMessage, error) {
	data, err := encode(name, args)
	if err != nil {
		return nil, err
	}
	id, answer := c.expect()
	defer c.forget(id)
	err = c.send(socketio.Packet{Type: socketio.Event, Namespace: c.namespace, ID: id, HasID: true, Data: data})
	if err != nil {
		return nil, err
	}
	select {
	case args := <-answer:
		return args, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.ended:
		err = c.reason()
	}
	c.forget(id) // from here on no answer can come
	select {
	case args := <-answer:
		return args, nil
	default:
		return nil, err
	}
}

// Pause stops the reading until Resume is called. What is being read is kept
// until then.
func (c *Client) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate == nil {
		c.gate = make(chan struct{})
	}
}

// Resume undoes a Pause.
func (c *Client) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gate != nil {
		close(c.gate)
		c.gate = nil
	}
}

// Close leaves the namespace and closes the connection: the server takes the
// client as gone for good. Event is not called any more.
//
// Close and Abort wait for calls of Event and Closed to return, so these must
// not call them.
func (c *Client) Close() {
	cut := time.AfterFunc(closeTimeout, c.cut)
	defer cut.Stop()
	if c.finish(ErrClosed) {
		_ = c.write(socketio.DisconnectFrame(c.namespace))
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(closeTimeout))
	}
	<-c.done
}

// Abort cuts the network connection without a word, as the end of the client's
// process would.
func (c *Client) Abort() {
	c.finish(ErrClosed)
	c.cut()
	<-c.done
}

// cut closes the network connection, which ends the reader.
func (c *Client) cut() { _ = c.ws.Close() }

// finish makes reason the one for which the Client is closed. It reports
// whether it was the first.
func (c *Client) finish(reason error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return false
	}
	c.end = reason
	close(c.ended)
	return true
}

// reason returns why the Client is closed, nil if it is open.
func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// expect returns an acknowledgement id, and the channel for its answer.
func (c *Client) expect() (uint64, <-chan []json.RawMessage) {
	answer := make(chan []json.RawMessage, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = make(map[uint64]chan<- []json.RawMessage)
	}
	c.lastCall++
	c.calls[c.lastCall] = answer
	return c.lastCall, answer
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// send sends a packet of the caller's, unless the Client is closed.
func (c *Client) send(p socketio.Packet) error {
	if reason := c.reason(); reason != nil {
		return reason
	}
	return c.write(p.Frames()[0])
}

// write writes one packet. After an error the reader fails as well.
func (c *Client) write(f engineio.Frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := c.ws.WriteMessage(websocket.TextMessage, f.Data); err != nil {
		c.cut()
		return fmt.Errorf("client: write: %w", err)
	}
	return nil
}

// encode returns the data of an event.
func encode(name string, args []any) (json.RawMessage, error) {
	encoded := make([]json.RawMessage, len(args))
	for i, arg := range args {
		var err error
		if encoded[i], err = json.Marshal(arg); err != nil {
			return nil, fmt.Errorf("client: argument of %q: %w", name, err)
		}
	}
	return socketio.EventData(name, encoded...), nil
}
