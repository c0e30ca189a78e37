package provider

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
)

// Limits of looking for models.
const (
	discoverEvery   = time.Minute     // on this computer, and where it failed
	discoverPause   = 5 * time.Second // between two looks, however often models are listed
	discoverTimeout = 2 * time.Second // on this computer
)

// The defaults of [Options].
const (
	DefaultDiscoverEvery   = 10 * time.Minute
	DefaultDiscoverTimeout = 10 * time.Second
	DefaultDiscoverLimit   = 200
)

// A discovery keeps the list of the models that servers say they have.
//
//	at the start, and now and then ────────┐
//	models are listed (on this computer) ──┴→ GET {base}/models, all at once → found
//
// All methods may be called from any goroutine, also on nil, which finds
// nothing; none but close waits.
type discovery struct {
	servers    []*server
	configured map[chat.ModelID]bool // by identity
	http       *http.Client
	log        *slog.Logger
	every      time.Duration // of servers on other computers
	timeout    time.Duration // of those
	wanted     chan struct{} // holds one wish
	cancel     context.CancelFunc
	done       chan struct{}

	mu    sync.Mutex // guards changes of found
	found atomic.Pointer[findings]
}

// A server is a host that is asked for its models. Looks are made one after
// another, and one goroutine of each look uses it.
type server struct {
	host
	due  time.Time // for the next look
	said string    // what the log was told last
}

// findings are what the looks have found so far. They are not changed: another
// look makes new ones.
type findings struct {
	looks  int
	models map[string][]chat.Model     // by provider; those that were never reached are not in it
	byID   map[chat.ModelID]chat.Model // all of them
}

// discover starts to look for models of those hosts that should be asked. It
// returns nil if there are none. The log is told of each host how it fares, in
// one line: of those that are asked, when that is known. Models that are configured
// are listed already, and left out.
func discover(hosts map[string]host, configured map[chat.ModelID]bool, o Options) *discovery {
	var servers []*server
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		if h := hosts[name]; h.asked(o) {
			servers = append(servers, &server{host: h})
		} else {
			h.report(o.Logger)
		}
	}
	if len(servers) == 0 {
		return nil
	}
	slices.SortStableFunc(servers, func(a, b *server) int { return a.rank() - b.rank() })
	ctx, cancel := context.WithCancel(context.Background())
	d := &discovery{
		servers: servers, configured: configured, log: o.Logger, cancel: cancel,
		every: cmp.Or(o.DiscoverEvery, DefaultDiscoverEvery), timeout: cmp.Or(o.DiscoverTimeout, DefaultDiscoverTimeout),
		wanted: make(chan struct{}, 1), done: make(chan struct{}),
		http: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: o.Upstream.DialContext, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	d.found.Store(new(findings))
	go d.run(ctx)
	return d
}

// rank is the host's place in the list: those that the operator has named, those
// with a key, those that happen to be here.
func (h host) rank() int {
	switch {
	case h.explicit:
		return 0
	case !h.local:
		return 1
	}
	return 2
}

// asked reports whether h is asked for its models: if the operator says so, or
// says nothing and it is not this server itself, taken for another on this computer.
func (h host) asked(o Options) bool {
	switch {
	case h.unset != "" || !lists(h.at.api) || h.discover != nil && !*h.discover:
		return false
	case h.discover != nil:
		return true
	}
	u, err := url.Parse(h.at.baseURL)
	return err == nil && o.Discover && !(h.local && thisComputer(u.Hostname()) && serves(o.Listen, u))
}

// lists reports whether servers of an API say which models they have.
func lists(api string) bool { return api == APIOpenAI || api == APIAnthropic }

// thisComputer reports whether host means this computer wherever it is said.
func thisComputer(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// serves reports whether a server that listens on address is what u, on this
// computer, leads to.
func serves(address string, u *url.URL) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != u.Port() {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || thisComputer(host) || ip.IsUnspecified()
}

func (d *discovery) run(ctx context.Context) {
	defer close(d.done)
	defer d.http.CloseIdleConnections()
	for {
		d.look(ctx)
		select {
		case <-time.After(discoverPause):
		case <-ctx.Done():
			return
		}
		select {
		case <-d.wanted:
		case <-time.After(discoverEvery - discoverPause):
		case <-ctx.Done():
			return
		}
	}
}

// look asks at once all servers whose time has come, and waits for those that
// are slow.
func (d *discovery) look(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range d.servers {
		if time.Now().Before(s.due) {
			continue
		}
		wg.Go(func() {
			models, err := d.ask(ctx, s.host)
			if ctx.Err() == nil {
				d.note(s, models, err)
			}
		})
	}
	wg.Wait()
	d.change(func(f *findings) { f.looks++ })
}

// change replaces what was found by a copy that f has changed.
func (d *discovery) change(f func(*findings)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := *d.found.Load()
	next.models = maps.Clone(next.models)
	f(&next)
	d.found.Store(&next)
}

// note keeps what a server has, and logs it if it is news. A server on another
// computer that fails keeps its models: it is asked again soon.
func (d *discovery) note(s *server, models []chat.Model, err error) {
	s.due = time.Now()
	switch {
	case s.local:
	case err == nil:
		s.due = s.due.Add(d.every - discoverPause)
	default:
		s.due = s.due.Add(min(d.every, discoverEvery) - discoverPause)
	}
	s.report(d.log, len(models), err)
	d.change(func(f *findings) {
		if _, known := f.models[s.name]; err == nil || known && s.local {
			f.set(s.name, slices.DeleteFunc(models, func(m chat.Model) bool { return d.configured[s.identity(chat.ModelID(upstreamName(m)))] }))
		}
	})
}

// set notes the models of a provider, none if it is gone.
func (f *findings) set(provider string, models []chat.Model) {
	if f.models == nil {
		f.models = make(map[string][]chat.Model)
	}
	f.models[provider] = models
	f.byID = make(map[chat.ModelID]chat.Model)
	for _, models := range f.models {
		for _, m := range models {
			f.byID[m.ID] = m
		}
	}
}

// list returns what was found, and has it looked for again.
func (d *discovery) list() (all []chat.Model) {
	if d == nil {
		return nil
	}
	select {
	case d.wanted <- struct{}{}:
	default: // somebody has wished for it
	}
	found := d.found.Load()
	for _, s := range d.servers {
		all = append(all, found.models[s.name]...)
	}
	return all
}

// reaches reports whether a server was there once; until the first look is
// over, it may be.
func (d *discovery) reaches(provider string) bool {
	if d == nil || !slices.ContainsFunc(d.servers, func(s *server) bool { return s.name == provider }) {
		return false
	}
	return d.lists(provider) || d.found.Load().looks == 0
}

// lists reports whether a provider has said which models it has.
func (d *discovery) lists(provider string) bool {
	if d == nil {
		return false
	}
	_, known := d.found.Load().models[provider]
	return known
}

// model returns a model that was found. Its name is provider:model, see [OneName].
func (d *discovery) model(id chat.ModelID) (m chat.Model, ok bool) {
	if d == nil {
		return m, false
	}
	m, ok = d.found.Load().byID[id]
	return m, ok
}

// close stops looking and waits for that.
func (d *discovery) close() {
	if d != nil {
		d.cancel()
		<-d.done
	}
}
