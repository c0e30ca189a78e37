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
	"strings"
	"sync"

	"parlor/protocol/chat"
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

	// Grants are what those have who have signed in to servers. Nil has none.
	Grants Grants

	// Put takes the tools of a server, again and again.
	Put func(server string, list []tools.Tool)

	Logger *slog.Logger // nil discards
}

// Grants know who has signed in to servers. Their methods may be called from any goroutine.
type Grants interface {
	// Token returns a token for requests of a user, or of the operator if the user is empty.
	// It is empty if nobody has signed in. Refused is one that the server has refused.
	Token(ctx context.Context, server string, user chat.UserID, refused string) (string, error)

	// Has reports whether the user has signed in, and Latest returns who did so last, or "".
	Has(server string, user chat.UserID) bool
	Latest(server string) chat.UserID
}

// Servers are connected, and stay so.
type Servers struct {
	list    []*server           // sorted by name
	members map[string]*members // those to which members sign in
	callers map[string]caller   // of all
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Start connects servers, and does not wait for that.
func Start(o Options) (*Servers, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Servers{members: make(map[string]*members), callers: make(map[string]caller), stop: stop}
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
		switch {
		case c.Auth == AuthMember && o.Grants != nil:
			m := newMembers(ctx, name, c, o.Grants, o.Put, log)
			s.members[name], s.callers[name] = m, m.within
			continue
		case c.URL != "":
			open = func() (link, error) { return newRemote(c, o.tokens(name, c, "")), nil }
		}
		one := newServer(ctx, name, c, open, o.Put, log)
		s.list = append(s.list, one)
		s.callers[name] = one.within
	}
	for _, m := range s.members {
		m.start()
	}
	for _, one := range s.list {
		s.running.Go(one.run)
	}
	return s, nil
}

// tokens returns the tokens of a user for a server.
func (o Options) tokens(server string, c Config, user chat.UserID) tokenSource {
	if o.Grants == nil || !c.SignsIn() {
		return noToken
	}
	return func(ctx context.Context, refused string) (string, error) {
		return o.Grants.Token(ctx, server, user, refused)
	}
}

// SignedIn takes in that a user, or the operator if that is empty, has signed in to a server
// or has revoked that. It does not block.
func (s *Servers) SignedIn(server string, user chat.UserID) {
	if m := s.members[server]; m != nil {
		m.signedIn(user)
	}
	for _, one := range s.list {
		if one.name == server && user == "" {
			one.signedIn()
		}
	}
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
	for _, m := range s.members {
		m.running.Wait()
	}
}

// Status tells how the servers are.
func (s *Servers) Status() (list []Status) {
	for _, one := range s.list {
		list = append(list, one.status())
	}
	for _, m := range s.members {
		list = append(list, m.status())
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Server, b.Server) })
	return list
}
