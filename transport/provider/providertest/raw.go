package providertest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Heads of responses with an event stream. Without a length, the end of the
// connection ends the body; that is the case in which a cut looks like an end.
const (
	EventStream   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
	chunkedStream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// A Handler is a server on one connection, which it reads and writes byte by
// byte. The connection is closed when it returns.
type Handler func(conn net.Conn)

// Serve listens on loopback and answers each connection with handle, in a
// goroutine of its own. It returns the URL of the server. The test waits for
// all of them.
func Serve(t testing.TB, handle Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return "http://" + ln.Addr().String()
}

// A Dialer opens connections, as in [net.Dialer.DialContext].
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Pipe returns a dialer to a server that answers each connection with handle,
// in a goroutine of its own. Both ends may live in a bubble, and a write is
// read as it was written. The test waits for all of them.
func Pipe(t testing.TB, handle Handler) Dialer {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		wg.Go(func() {
			defer server.Close()
			handle(server)
		})
		return client, nil
	}
}

// Answer returns a handler that reads one request and writes each segment at
// once. It leaves the connection open after, if open is true, until the client
// closes it.
func Answer(open bool, segments ...string) Handler {
	return func(conn net.Conn) {
		if _, err := ReadRequest(conn); err != nil {
			return
		}
		for _, segment := range segments {
			if _, err := io.WriteString(conn, segment); err != nil {
				return
			}
		}
		if open {
			UntilClosed(conn)
		}
	}
}

// ReadRequest reads one request off conn, and returns its body.
func ReadRequest(conn net.Conn) ([]byte, error) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(req.Body)
}

// UntilClosed waits until the client has closed conn.
func UntilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
