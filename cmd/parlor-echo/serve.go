package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"parlor/actors/recovery"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
	"parlor/transport"
)

// Limits that cannot be set by flags.
const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 32 << 10
	// requestTimeout is how long a request may take to arrive, and its answer to
	// leave, besides the time that a poll is held.
	requestTimeout = 30 * time.Second
	// stopTimeout is how long clients may take to see that the server stops.
	stopTimeout = 2 * time.Second
	// queuePayloads is how many of the largest payloads may wait for a client. A client
	// gets back what it sends, and may send several payloads before it reads.
	queuePayloads = 8
	// strangerPayload and strangerBytes limit clients that have joined no namespace.
	strangerPayload = 64 << 10
	strangerBytes   = 32 << 20
)

// serve runs the server until ctx ends.
func serve(ctx context.Context, f flags, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	listener, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return err
	}
	seats, err := openSeats(f.Recovery)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer seats.Close()
	engine := transport.NewServer(f.options(log, func(c *transport.Conn) transport.Receiver { return echo{c} }))
	sessions := session.New(system.New(log), session.Options{
		Namespaces: namespaces(seats), ConnectTimeout: f.ConnectTimeout, Logger: log,
		MaxPacketBytes: max(f.MaxPayload, socketio.DefaultMaxBytes),
	})
	options := f.options(log, func(c *transport.Conn) transport.Receiver { return sessions.Open(c) })
	options.StrangerPayload, options.StrangerBytes = strangerPayload, strangerBytes
	sockets := transport.NewServer(options)

	timeout := f.PingInterval + f.PingTimeout + requestTimeout
	server := &http.Server{
		Handler:           routes(engine, sockets),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: timeout, WriteTimeout: timeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())

	select {
	case err = <-served:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, s := range []*transport.Server{engine, sockets} { // before the HTTP server, which waits for their polls
		_ = s.Shutdown(ctx) // an error means that connections were cut off
	}
	if server.Shutdown(ctx) != nil {
		return errors.Join(err, server.Close())
	}
	return err
}

// openSeats returns nil if clients that lost their connection begin anew.
func openSeats(wanted bool) (*recovery.Table, error) {
	if !wanted {
		return nil, nil
	}
	return recovery.Open(recovery.Options{Store: recovery.NewMemory(), Window: recoveryTime, MaxSeats: recoverySeats, MaxSeatsPerUser: recoverySeats})
}

func (f *flags) options(log *slog.Logger, accept func(*transport.Conn) transport.Receiver) transport.Options {
	return transport.Options{
		Accept: accept, AllowedOrigins: f.CORSOrigins, Logger: log,
		PingInterval: f.PingInterval, PingTimeout: f.PingTimeout,
		MaxPayload: f.MaxPayload, QueueBytes: max(queuePayloads*f.MaxPayload, transport.DefaultQueueBytes),
	}
}

func routes(engine, sockets http.Handler) http.Handler {
	mux := http.NewServeMux()
	for path, handler := range map[string]http.Handler{"/engine.io": engine, "/socket.io": sockets} {
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	return mux
}

// echo answers every message with itself.
type echo struct{ conn *transport.Conn }

// Receive implements transport.Receiver.
func (e echo) Receive(m engineio.Message) {
	p := engineio.Packet{Type: engineio.TypeMessage, Data: m.Data, Binary: m.Binary}
	_ = e.conn.Send(p.Frame()) // after an error the connection closes by itself
}

// Closed implements transport.Receiver.
func (echo) Closed(string) {}
