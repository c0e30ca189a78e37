package mcp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"parlor/transport/tools"
)

// Options configure [Servers].
type Options struct {
	Servers map[string]Config

	// LookupEnv finds environment variables, as [os.LookupEnv] does.
	LookupEnv func(name string) (string, bool)

	// Owner is the path of something that only one process has, such as the data file. What
	// servers of an earlier owner have left running is ended.
	Owner string

	// Put takes the tools of a server, again and again.
	Put func(server string, list []tools.Tool)

	Logger *slog.Logger // nil discards
}

// Servers are connected, and stay so.
type Servers struct {
	list    []*server // sorted by name
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Start connects servers, and does not wait for that.
func Start(o Options) (*Servers, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Servers{stop: stop}
	log := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	mark := markOf(o.Owner)
	if n := endLeftovers(mark); n > 0 {
		log.Warn("ended processes that MCP servers had left running", "processes", n)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Servers)) {
		c, err := o.Servers[name].complete(o.LookupEnv)
		if err != nil {
			stop()
			return nil, fmt.Errorf("mcp_servers[%q]: %w", name, err)
		}
		log := log.With("server", name)
		open := func() (link, error) { return startProcess(c, append(environment(c, o.LookupEnv), mark), log) }
		if c.URL != "" {
			open = func() (link, error) { return newRemote(c), nil }
		}
		s.list = append(s.list, newServer(ctx, name, c, open, o.Put, log))
	}
	for _, one := range s.list {
		s.running.Go(one.run)
	}
	return s, nil
}

// markOf returns a variable of the environment by which an owner's servers, and what they
// have started, are known.
func markOf(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return "PARLOR_MCP=" + hex.EncodeToString(sum[:16])
}

// Close ends all sessions and processes. Calls that run fail.
func (s *Servers) Close() {
	s.stop()
	s.running.Wait()
}

// Status tells how the servers are.
func (s *Servers) Status() (list []Status) {
	for _, one := range s.list {
		list = append(list, one.status())
	}
	return list
}
