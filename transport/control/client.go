package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// ErrNoServer is returned by [Dial] if no server answers on the socket.
var ErrNoServer = errors.New("control: no server runs")

// A Client asks a running server. One goroutine uses it, and closes it.
type Client struct {
	path string
	http http.Client
}

// Dial finds out whether a server answers on the socket at path.
func Dial(ctx context.Context, path string) (*Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EINVAL):
		return nil, ErrNoServer // EINVAL: the name is too long for a socket
	case err != nil:
		return nil, fmt.Errorf("ask the server that runs: %w", err)
	}
	conn.Close()
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return &Client{path: path, http: http.Client{Transport: t}}, nil
}

// Close closes the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Backup writes a copy of the server's data file to w. After an error, what was
// written is useless.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.ask(ctx, http.MethodGet, "/backup", w)
}

// Export writes the chat of that id to w, or all chats if chat is empty.
func (c *Client) Export(ctx context.Context, w io.Writer, chat string) error {
	return c.ask(ctx, http.MethodGet, "/export?"+url.Values{"chat": {chat}}.Encode(), w)
}

// ExportUser writes what is kept of a user to w.
func (c *Client) ExportUser(ctx context.Context, w io.Writer, user string) error {
	return c.ask(ctx, http.MethodGet, "/user?"+url.Values{"user": {user}}.Encode(), w)
}

// Release ends the quarantine of a room, and reports whether it was in one.
func (c *Client) Release(ctx context.Context, room string) (was bool, err error) {
	var answer bytes.Buffer
	err = c.ask(ctx, http.MethodPost, "/release?"+url.Values{"room": {room}}.Encode(), &answer)
	return answer.String() == "true", err
}

// Account has the server carry out a command about who may sign in, and returns the result.
func (c *Client) Account(ctx context.Context, command []byte) ([]byte, error) {
	return c.command(ctx, "/account", command)
}

// Tools has the server carry out a command about tools and their servers, and returns the
// result.
func (c *Client) Tools(ctx context.Context, command []byte) ([]byte, error) {
	return c.command(ctx, "/tools", command)
}

// Encryption has the server carry out a command about the keys of the data file, and returns
// the result.
func (c *Client) Encryption(ctx context.Context, command []byte) ([]byte, error) {
	return c.command(ctx, "/encryption", command)
}

// Runtime asks the server how it is.
func (c *Client) Runtime(ctx context.Context, query []byte) ([]byte, error) {
	return c.command(ctx, "/runtime", query)
}

// Webhook has the server carry out a command about webhooks, and returns the result.
func (c *Client) Webhook(ctx context.Context, command []byte) ([]byte, error) {
	return c.command(ctx, "/webhook", command)
}

func (c *Client) command(ctx context.Context, target string, command []byte) ([]byte, error) {
	var answer bytes.Buffer
	err := c.send(ctx, http.MethodPost, target, bytes.NewReader(command), &answer)
	return answer.Bytes(), err
}

func (c *Client) ask(ctx context.Context, method, target string, w io.Writer) error {
	return c.send(ctx, method, target, nil, w)
}

func (c *Client) send(ctx context.Context, method, target string, body io.Reader, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://parlor"+target, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server that runs: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("the server says: %s", strings.TrimSpace(string(text)))
	}
	out := &destination{w: w}
	if _, err := io.Copy(out, resp.Body); err != nil {
		if out.err != nil {
			return out.err
		}
		return fmt.Errorf("the server ended in the middle of it: %w", err)
	}
	if got := resp.Trailer.Get(outcome); got != succeeded {
		return fmt.Errorf("the server says: %s", got)
	}
	return nil
}

// destination remembers the error of a write. Such an error is not the server's.
type destination struct {
	w   io.Writer
	err error
}

func (d *destination) Write(p []byte) (n int, err error) {
	n, d.err = d.w.Write(p)
	return n, d.err
}
