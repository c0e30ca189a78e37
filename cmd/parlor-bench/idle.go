package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/transport/auth"
	"parlor/transport/client"
)

const (
	// warmUp is how many clients come and go before memory is measured, so
	// that what a server allocates once is not counted as a connection's.
	warmUp = 100

	// dialling is how many clients connect, or close, at once.
	dialling = 32

	// spareFiles are file descriptors that a process needs besides those of
	// the connections.
	spareFiles = 200

	dialTimeout = time.Minute
)

// idleCmd measures what a connection costs that does nothing but answer pings.
type idleCmd struct {
	Connections int           `default:"10000" help:"Connections to each server."`
	Parlor      string        `default:"bin/parlor" type:"existingfile" help:"The parlor to measure."`
	Reference   string        `default:"cmd/parlor-bench/reference" type:"existingdir" help:"The Node reference server, installed with npm ci."`
	Settle      time.Duration `default:"60s" help:"Idle time before memory is read. A round of heartbeats takes 25s, and parlor gives memory back after 15s to 30s without work."`
}

// Help implements [kong.HelpProvider].
func (*idleCmd) Help() string {
	return `Each client has a user and a token of its own, connects over WebSocket to /assistant/realtime, and then only answers pings. Memory is VmRSS of the server's process after all have settled, less that after a warm-up, by the number of connections.`
}

// A subject is a server that is measured.
type subject struct {
	name    string
	command func() *exec.Cmd
}

// A measurement is what the connections of one subject cost, in bytes.
type measurement struct {
	name          string
	before, after int64
	connections   int
}

func (m measurement) each() float64 { return float64(m.after-m.before) / float64(m.connections) }

// Run prints the table.
func (c *idleCmd) Run(ctx context.Context) error {
	if err := checkFiles(c.Connections); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "parlor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	secret := rand.Text() + rand.Text()
	var all []measurement
	for _, s := range c.subjects(dir, secret) {
		m, err := c.measure(ctx, s, secret)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.1f KB\n", s.name, m.each()/1000)
		all = append(all, m)
	}
	return report(os.Stdout, all)
}

// subjects returns parlor, and then what it is compared with.
func (c *idleCmd) subjects(dir, secret string) []subject {
	environ := append(os.Environ(), "PARLOR_JWT_SECRET="+secret)
	run := func(name string, args ...string) func() *exec.Cmd {
		return func() *exec.Cmd {
			cmd := exec.Command(name, args...)
			cmd.Env = environ
			return cmd
		}
	}
	server := filepath.Join(c.Reference, "server.mjs")
	return []subject{
		{"parlor", run(c.Parlor, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "parlor.db"))},
		{"socket.io", run("node", server)},
		{"socket.io, recovery", run("node", server, "--recovery")},
	}
}

// measure starts a server, loads it and stops it.
func (c *idleCmd) measure(ctx context.Context, s subject, secret string) (m measurement, err error) {
	p, err := start(ctx, s.command())
	if err != nil {
		return m, err
	}
	defer p.stop()

	warm := crowd{url: p.url, secret: secret, prefix: "warm"}
	err = warm.connect(ctx, min(warmUp, c.Connections))
	warm.close()
	if err != nil {
		return m, fmt.Errorf("warm up: %w\n%s", err, &p.log)
	}
	m = measurement{name: s.name, connections: c.Connections}
	if m.before, err = p.settled(ctx, c.Settle/6, allMemory); err != nil {
		return m, err
	}

	idlers := crowd{url: p.url, secret: secret, prefix: "user"}
	defer idlers.close()
	if err := idlers.connect(ctx, c.Connections); err != nil {
		return m, fmt.Errorf("%w\n%s", err, &p.log)
	}
	if m.after, err = p.settled(ctx, c.Settle, allMemory); err != nil {
		return m, err
	}
	if n := idlers.lost.Load(); n > 0 {
		return m, fmt.Errorf("%d connections were lost\n%s", n, &p.log)
	}
	return m, nil
}

// settled returns the resident memory after a while.
func (p *process) settled(ctx context.Context, after time.Duration, kind string) (int64, error) {
	select {
	case <-time.After(after):
		return p.resident(kind)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// A crowd is clients of one server, each another user.
type crowd struct {
	url, secret, prefix string

	lost atomic.Int64 // connections that ended by themselves

	mu      sync.Mutex
	clients []*client.Client
}

// connect adds n clients. After an error there may be fewer.
func (c *crowd) connect(ctx context.Context, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each(n, func(i int) {
		if ctx.Err() != nil {
			return
		}
		if err := c.dial(ctx, fmt.Sprintf("%s-%d", c.prefix, i)); err != nil {
			cancel(err)
		}
	})
	return context.Cause(ctx)
}

// each calls f for the numbers below n, some at once, and waits.
func each(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(dialling, n) {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f(int(i - 1))
			}
		})
	}
	wg.Wait()
}

func (c *crowd) dial(ctx context.Context, user string) error {
	token, err := auth.Sign(auth.Options{Secret: c.secret}, chat.User{ID: chat.UserID(user)}, time.Hour)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	one, err := client.Dial(ctx, client.Options{
		URL: c.url, Namespace: assistant.Namespace, Auth: map[string]string{"token": token}, Closed: c.closed,
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, one)
	return nil
}

func (c *crowd) closed(reason error) {
	if !errors.Is(reason, client.ErrClosed) {
		c.lost.Add(1)
	}
}

// close closes all clients and waits for that.
func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	each(len(c.clients), func(i int) { c.clients[i].Close() })
	c.clients = nil
}

// checkFiles makes sure that this process and those that it starts may have as
// many connections.
func checkFiles(connections int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	// The runtimes of Go and Node raise what is in force to the maximum.
	if need := uint64(connections) + spareFiles; limit.Max < need {
		return fmt.Errorf("%d connections need %d open files in each process, and ulimit -Hn is %d: raise it, or pass fewer --connections",
			connections, need, limit.Max)
	}
	return nil
}

// report prints the table. The first measurement is what the others are
// compared with.
func report(w io.Writer, all []measurement) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "server\tconnections\tbefore MB\tafter MB\tKB/connection\tby parlor's\t")
	for _, m := range all {
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.2f\t\n",
			m.name, m.connections, float64(m.before)/1e6, float64(m.after)/1e6, m.each()/1e3, m.each()/all[0].each())
	}
	return table.Flush()
}
