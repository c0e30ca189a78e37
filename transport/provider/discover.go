package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// Limits of looking for models.
const (
	discoverEvery    = time.Minute
	discoverPause    = 5 * time.Second // between two looks, however often models are listed
	discoverTimeout  = 2 * time.Second
	maxDiscoverBytes = 4 << 20 // OpenRouter's list is long
	maxDiscovered    = 200     // models of one server
	maxWindow        = 1 << 30 // tokens; what a server claims is calculated with
)

// A discovery keeps the list of the models that servers say they have.
//
//	every minute, or when models are listed → GET {base}/models, all at once → found
//
// All methods may be called from any goroutine, also on nil, which finds
// nothing; none but close waits.
type discovery struct {
	servers []host
	http    *http.Client
	log     *slog.Logger
	wanted  chan struct{} // holds one wish
	cancel  context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex // guards changes of found
	found atomic.Pointer[findings]
}

// findings are what the looks have found so far. They are not changed: another
// look makes new ones.
type findings struct {
	looks   int
	models  map[string][]chat.Model // by provider; those that were never reached are not in it
	windows map[chat.ModelID]int    // context windows, of models that tell theirs
}

// discover starts to look for models of those hosts that should be asked. It
// returns nil if there are none.
func discover(hosts map[string]host, o Options) *discovery {
	var servers []host
	for _, h := range hosts {
		if h.asked(o) {
			servers = append(servers, h)
		}
	}
	if len(servers) == 0 {
		return nil
	}
	slices.SortFunc(servers, func(a, b host) int { return strings.Compare(a.name, b.name) })
	ctx, cancel := context.WithCancel(context.Background())
	d := &discovery{
		servers: servers, log: o.Logger, cancel: cancel,
		wanted: make(chan struct{}, 1), done: make(chan struct{}),
		http: &http.Client{
			Timeout:       discoverTimeout,
			Transport:     &http.Transport{DialContext: o.Upstream.DialContext},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	d.found.Store(new(findings))
	go d.run(ctx)
	return d
}

// asked reports whether h is asked for its models: if the operator says so, or
// says nothing and it is a server on this computer that is not this one.
func (h host) asked(o Options) bool {
	switch {
	case h.unset != "" || h.at.api != APIOpenAI || h.discover != nil && !*h.discover:
		return false
	case h.discover != nil:
		return true
	}
	u, err := url.Parse(h.at.baseURL)
	return err == nil && o.Discover && h.local && thisComputer(u.Hostname()) && !serves(o.Listen, u)
}

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

// look asks all servers at once, and waits for those that are slow.
func (d *discovery) look(ctx context.Context) {
	var wg sync.WaitGroup
	for _, h := range d.servers {
		wg.Go(func() {
			models, err := d.ask(ctx, h)
			if ctx.Err() == nil {
				d.note(h, models, err)
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

// note keeps what a server has, and logs when it comes and goes.
func (d *discovery) note(h host, models []chat.Model, err error) {
	d.change(func(f *findings) {
		had, known := f.models[h.name]
		switch {
		case err == nil || known:
			f.set(h.name, models)
		case h.discover != nil && f.looks == 0: // or it need not be there
			d.log.Warn("the models of a provider cannot be listed", "provider", h.name, "err", err)
		}
		if len(had) != len(models) {
			d.log.Info("local models", "provider", h.name, "models", len(models))
		}
	})
}

// set notes the models of a provider, none if it is gone.
func (f *findings) set(provider string, models []chat.Model) {
	if f.models == nil {
		f.models = make(map[string][]chat.Model)
	}
	f.models[provider] = models
	f.windows = make(map[chat.ModelID]int)
	for _, models := range f.models {
		for _, m := range models {
			if m.ContextWindow > 0 {
				f.windows[m.ID] = m.ContextWindow
			}
		}
	}
}

// ask returns the models of one server. An address where something else
// answers is like one where nobody does.
func (d *discovery) ask(ctx context.Context, h host) ([]chat.Model, error) {
	base, err := url.Parse(h.at.baseURL)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("models").String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "parlor")
	h.at.limits(upstream.Options{}).SetKey(req.Header, "Authorization", "Bearer ", h.at.key)
	resp, err := d.http.Do(req)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, whose query may hold a key
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return h.decodeModels(io.LimitReader(resp.Body, maxDiscoverBytes))
}

// decodeModels reads OpenAI's list of models. Some, as OpenRouter, do not call
// it a list; whoever answers at a usual port is a stranger and has to.
func (h host) decodeModels(body io.Reader) ([]chat.Model, error) {
	var list struct {
		Object string `json:"object"`
		Data   []struct {
			ID     string `json:"id"`
			Window int    `json:"max_model_len"` // vLLM's
		} `json:"data"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return nil, err
	}
	if list.Object != "list" && (h.discover == nil || list.Data == nil) {
		return nil, errors.New("it is no list of models")
	}
	models, listed := []chat.Model{}, make(map[string]bool)
	for _, m := range list.Data {
		id := h.name + ":" + m.ID
		if m.ID == "" || !validModelID(id) || listed[id] {
			continue
		}
		if len(models) == maxDiscovered {
			break
		}
		listed[id] = true
		models = append(models, chat.Model{ID: chat.ModelID(id), ContextWindow: min(max(0, m.Window), maxWindow)})
	}
	return models, nil
}

// list returns what was found, and has it looked for again.
func (d *discovery) list() (ids []chat.ModelID) {
	if d == nil {
		return nil
	}
	select {
	case d.wanted <- struct{}{}:
	default: // somebody has wished for it
	}
	found := d.found.Load()
	for _, h := range d.servers {
		for _, m := range found.models[h.name] {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// reaches reports whether a server was there once; until the first look is
// over, it may be.
func (d *discovery) reaches(provider string) bool {
	if d == nil || !slices.ContainsFunc(d.servers, func(h host) bool { return h.name == provider }) {
		return false
	}
	found := d.found.Load()
	_, was := found.models[provider]
	return was || found.looks == 0
}

// window returns the context window of a model that was found, or 0. Its name is
// provider:model, see [OneName].
func (d *discovery) window(id chat.ModelID) int {
	if d == nil {
		return 0
	}
	return d.found.Load().windows[id]
}

// close stops looking and waits for that.
func (d *discovery) close() {
	if d != nil {
		d.cancel()
		<-d.done
	}
}
