package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// DefaultReadBuffer is the size of a Client's read buffer, which it keeps while
// it is idle.
const DefaultReadBuffer = 512

// writeBufferBytes is the size of a write buffer. A Client has one only while it
// writes.
const writeBufferBytes = 1024

var writeBuffers sync.Pool

// Options say what to dial and how. URL has no default.
type Options struct {
	// URL is that of the server: http, https, ws or wss. Its path is
	// /socket.io/ if it has none.
	URL string

	// Namespace is the one to connect to. Empty means "/".
	Namespace string

	// Auth is sent to the namespace, encoded as a JSON object. Nil sends none.
	Auth any

	// Event is called for each event, one at a time and in order. The first
	// calls may come before Dial has returned. Event owns args. Nil drops all
	// events.
	Event func(name string, args []json.RawMessage)

	// Closed is called once, after the last Event, with the reason why the
	// Client is closed. It is not called if Dial fails. Nil is not called.
	Closed func(reason error)

	// ReadBuffer is the size of the read buffer, in bytes. Zero means
	// DefaultReadBuffer.
	ReadBuffer int

	// NetDial opens the network connection. Nil means DialContext of a
	// net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A RefusedError says why a namespace has not admitted the client.
type RefusedError struct {
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"` // nil if there is none
}

// Error implements error.
func (e *RefusedError) Error() string { return "client: refused: " + e.Message }

// Dial connects to a namespace. It returns a *RefusedError if the namespace does
// not admit the client. When ctx ends Dial fails, but a Client that it has
// returned goes on.
func Dial(ctx context.Context, o Options) (*Client, error) {
	auth, err := encodeAuth(o.Auth)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	cut := context.AfterFunc(ctx, c.cut)
	early, err := c.connect(auth)
	if !cut() {
		err = cmp.Or(ctx.Err(), err)
	}
	if err != nil {
		c.cut()
		return nil, err
	}
	go c.run(early)
	return c, nil
}

// encodeAuth returns nil if auth is nil.
func encodeAuth(auth any) (json.RawMessage, error) {
	if auth == nil {
		return nil, nil
	}
	data, err := json.Marshal(auth)
	if err != nil {
		return nil, fmt.Errorf("client: auth: %w", err)
	}
	return data, nil
}

// open opens the WebSocket.
func open(ctx context.Context, o Options) (*Client, error) {
	address, err := endpoint(o.URL)
	if err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{
		NetDialContext:  o.NetDial,
		ReadBufferSize:  cmp.Or(o.ReadBuffer, DefaultReadBuffer),
		WriteBufferSize: writeBufferBytes,
		WriteBufferPool: &writeBuffers,
	}
	ws, response, err := dialer.DialContext(ctx, address, nil)
	switch {
	case response != nil && err != nil:
		return nil, fmt.Errorf("client: dial: %w: %s", err, response.Status)
	case err != nil:
		return nil, fmt.Errorf("client: dial: %w", err)
	}
	return &Client{
		ws: ws, namespace: cmp.Or(o.Namespace, "/"), event: o.Event, closed: o.Closed,
		done: make(chan struct{}), ended: make(chan struct{}),
	}, nil
}

// endpoint returns the address of the WebSocket.
func endpoint(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	if scheme, ok := strings.CutPrefix(u.Scheme, "http"); ok {
		u.Scheme = "ws" + scheme
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/socket.io/"
	}
	query := u.Query()
	query.Set("EIO", engineio.Protocol)
	query.Set("transport", "websocket")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// connect reads the open packet and enters the namespace. It returns the packets
// that came before the confirmation: there, some servers send what a client has
// missed.
func (c *Client) connect(auth json.RawMessage) (early []socketio.Packet, err error) {
	if err := c.opened(); err != nil {
		return nil, err
	}
	err = c.send(socketio.Packet{Type: socketio.Connect, Namespace: c.namespace, Data: auth})
	if err != nil {
		return nil, err
	}
	for {
		p, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case p.Namespace != c.namespace:
		case p.Type == socketio.Connect:
			return early, c.confirmed(p.Data)
		case p.Type == socketio.ConnectError:
			return nil, refused(p.Data)
		default:
			early = append(early, p)
		}
	}
}

// opened reads the open packet.
func (c *Client) opened() error {
	_, data, err := c.ws.ReadMessage()
	if err != nil {
		return fmt.Errorf("client: read: %w", err)
	}
	var handshake struct{ PingInterval, PingTimeout int64 } // in milliseconds
	p, err := engineio.Decode(data, false)
	if err == nil && p.Type == engineio.TypeOpen {
		err = json.Unmarshal(p.Data, &handshake)
	}
	if err != nil || p.Type != engineio.TypeOpen {
		return errors.Join(errors.New("client: not an open packet"), err)
	}
	c.silence = time.Duration(handshake.PingInterval+handshake.PingTimeout) * time.Millisecond
	return nil
}

func (c *Client) confirmed(data json.RawMessage) error {
	var ids struct{ SID, PID string }
	if err := json.Unmarshal(data, &ids); err != nil {
		return fmt.Errorf("client: confirmation: %w", err)
	}
	c.sid, c.pid = ids.SID, ids.PID
	return nil
}

func refused(data json.RawMessage) error {
	e := new(RefusedError)
	if err := json.Unmarshal(data, e); err != nil {
		return fmt.Errorf("client: refusal: %w", err)
	}
	return e
}
