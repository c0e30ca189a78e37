// Package client is a Socket.IO client for load generators and test harnesses.
// Thousands of clients fit into one process.
//
//	Dial → WebSocket → open packet → CONNECT → confirmation → [Client]
//	in   WebSocket → reader → pings answered, packets decoded → [Options].Event, or the Call that waits
//	out  [Client.Call] → one WebSocket message
//
// Unlike an official client it speaks WebSocket only, uses one namespace, sends
// no binary data, acknowledges no events, and does not reconnect. To recover the
// state of a connection, dial again with pid and offset in Auth: the old PID, and
// the last argument of the last event. If the state was recovered, the new client
// has the same PID.
//
// # Slow readers
//
// An idle Client has one goroutine. It does not read, and answers no pings, while
// [Options].Event blocks and between [Client.Pause] and [Client.Resume].
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

// Why a Client is closed, besides network errors. A Call that has no answer by
// then returns this reason, and so does each later Call.
var (
	ErrClosed       = errors.New("client: closed")
	ErrDisconnected = errors.New("client: disconnected by the server")
)

// A Client is connected to one namespace. Several goroutines may call its methods
// at once.
//
// The caller of [Dial] closes the Client, even if the server has closed the
// connection.
type Client struct {
	ws        *websocket.Conn
	namespace string
	event     func(name string, args []json.RawMessage)
	closed    func(reason error)
	sid, pid  string
	silence   time.Duration // how long the server may send no ping

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

// PID returns the private id with which the connection state can be recovered.
// It is empty if the server recovers no state. It is the pid that was sent in
// Auth if the server has recovered that state.
func (c *Client) PID() string { return c.pid }

// Call sends an event and returns the arguments of its acknowledgement. Event must
// not use Call: the reader, which calls Event, would wait for itself.
//
// Call returns an acknowledgement that was read before the Client closed or ctx
// ended. After an error, no acknowledgement was read.
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

// Pause stops the reader until Resume is called. A packet that has been read by
// then is handled after Resume.
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

// Close leaves the namespace and closes the connection, so the server keeps no
// state for the client to come back to. Event is not called any more.
//
// Close and Abort wait until running calls of Event and Closed have returned, so
// Event and Closed must not call them.
func (c *Client) Close() {
	cut := time.AfterFunc(closeTimeout, c.cut)
	defer cut.Stop()
	if c.finish(ErrClosed) {
		_ = c.write(socketio.DisconnectFrame(c.namespace))
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(closeTimeout))
	}
	<-c.done
}

// Abort closes the network connection without a message, as the death of the
// client's process would.
func (c *Client) Abort() {
	c.finish(ErrClosed)
	c.cut()
	<-c.done
}

// cut closes the network connection, which ends the reader.
func (c *Client) cut() { _ = c.ws.Close() }

// finish records reason as why the Client is closed. It reports false if the
// Client was closed before.
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

// send sends a packet, unless the Client is closed.
func (c *Client) send(p socketio.Packet) error {
	if reason := c.reason(); reason != nil {
		return reason
	}
	return c.write(p.Frames()[0])
}

// write writes one packet. After an error it closes the connection, so the reader
// fails too.
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
