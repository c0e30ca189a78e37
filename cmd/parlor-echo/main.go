// Command parlor-echo is a minimal application of parlor's Socket.IO server: the
// one that the public conformance suites ask for, and the one that servers are
// compared with. It is also the example of how to write one.
//
//	/engine.io/  transport.Server → echo
//	/socket.io/  transport.Server → session.Sessions → application, one for each namespace
//	                                                      ↓
//	                                  client → history → session.Groups → all that are to get it
//
// It knows no users and keeps nothing but, with --recovery, the last two
// minutes in memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// The exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// flags are the command line. The defaults are the reference implementation's.
type flags struct {
	Listen         string        `default:"127.0.0.1:8080" help:"Address and port. Port 0 picks a free one."`
	PingInterval   time.Duration `default:"25s" help:"Time between heartbeats."`
	PingTimeout    time.Duration `default:"20s" help:"Longest wait for the answer to a heartbeat."`
	MaxPayload     int           `default:"1000000" help:"Most bytes of one message or poll from a client."`
	ConnectTimeout time.Duration `default:"45s" help:"Longest time from opening a connection to joining a namespace."`
	Recovery       bool          `help:"Let clients that reconnect within two minutes have what they missed."`
	CORSOrigins    []string      `name:"cors-origins" default:"*" placeholder:"ORIGIN" help:"Other origins whose pages may use this server. Any, unless given: the suites run in pages, and there is nothing here to protect."`
}

// Validate implements kong's check: to the server a zero would mean its default.
func (f *flags) Validate() error {
	if min(f.PingInterval, f.PingTimeout, f.ConnectTimeout) <= 0 || f.MaxPayload <= 0 {
		return errors.New("durations and --max-payload must be more than 0")
	}
	return nil
}

// run carries out a command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f flags
	helped := false
	parser := kong.Must(&f, kong.Name("parlor-echo"), kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }),
		kong.Description("A minimal application of parlor's Socket.IO server, for conformance suites and benchmarks."))
	_, err := parser.Parse(args)
	if helped {
		return 0
	}
	status := exitUsage
	if err == nil {
		status, err = exitFailure, serve(ctx, f, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "parlor-echo: %v\n", err)
		return status
	}
	return 0
}
