// Package provider knows the assistants that a chat can talk with, and
// carries a prompt to the one that it names.
//
//	models, providers, environment → New → Models
//	Prompt → Models.Stream ─┬─ configured model_id ─────┬→ guard → its client → Delta, Delta, …
//	                        ├─ [aisuite.]provider:model ┘    failed before the first word: the next of fallbacks
//	                        ├─ model_api_source openai_realtime → its guard, answer by answer → realtime.Client
//	                        └─ eliza ────────────────────→ eliza.Eliza
//
// Providers are those of a table, most of which want no more than a key in the
// environment, and those that are configured. Each has one guard, which all
// that is asked of it passes.
//
// With nothing configured and nothing found on this computer, eliza is the
// only model; it needs no account and no network.
package provider

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/anthropic"
	"parlor/transport/provider/eliza"
	"parlor/transport/provider/guard"
	"parlor/transport/provider/openai"
	"parlor/transport/provider/realtime"
	"parlor/transport/provider/responses"
	"parlor/transport/provider/upstream"
)

// ElizaID names the embedded assistant. It always answers.
const ElizaID chat.ModelID = "eliza"

// suitePrefix may stand before any provider:model name, as clients of the
// aisuite library write it.
const suitePrefix = "aisuite."

// Options configure [Models]. The zero value offers eliza alone.
type Options struct {
	// Models are listed first, in this order.
	Models []Config

	// Providers are added to those of the table, or change them, by name.
	Providers map[string]ProviderConfig

	// LookupEnv finds environment variables, as [os.LookupEnv] does. An empty
	// value counts as none. Nil finds none.
	LookupEnv func(name string) (value string, ok bool)

	// Discover asks the providers that can be reached, and the servers for language
	// models on this computer, which models they have, in the background, and lists
	// them. Providers that are configured with or without it are asked or not
	// whatever this says.
	Discover bool

	// DiscoverEvery is the time between two looks, DiscoverTimeout how long a server
	// may take for its list, DiscoverLimit how many models of one are listed. Zero
	// means the defaults. Servers on this computer are asked each minute.
	DiscoverEvery, DiscoverTimeout time.Duration
	DiscoverLimit                  int

	// Listen is our own address, which is not asked.
	Listen string

	// ModelsOnly keeps people from asking any model but those of Models and eliza,
	// and from being shown others.
	ModelsOnly bool

	// Thinking takes the place of Upstream.FirstToken for models that are known to
	// think in silence, if it is longer. Zero means [DefaultThinking].
	Thinking time.Duration

	// Upstream, Realtime and Guard are the limits of every provider, Eliza the
	// manner of the embedded assistant.
	Upstream upstream.Options
	Realtime realtime.Options
	Guard    guard.Options
	Eliza    eliza.Options

	Logger *slog.Logger // nil discards
}

func (o Options) env(name string) string {
	if o.LookupEnv == nil || name == "" {
		return ""
	}
	v, _ := o.LookupEnv(name)
	return strings.TrimSpace(v) // keys come from files, with their line end
}

// A client asks for answers in the protocol of one API.
type client interface {
	guard.Provider
	Close() error
}

// apis make the clients, by what a [ProviderConfig] calls their API.
var apis = map[string]func(at endpoint, o Options) (client, error){
	APIOpenAI: func(at endpoint, o Options) (client, error) {
		return openai.New(at.baseURL, at.key, at.limits(o.Upstream))
	},
	APIAnthropic: func(at endpoint, o Options) (client, error) {
		return anthropic.New(at.baseURL, at.key, at.limits(o.Upstream))
	},
	APIResponses: func(at endpoint, o Options) (client, error) {
		return responses.New(at.baseURL, at.key, at.limits(o.Upstream))
	},
	APIRealtime: func(at endpoint, o Options) (client, error) {
		limits := o.Realtime
		limits.KeyHeader = at.keyHeader
		limits.FirstToken, limits.Silence = cmp.Or(at.firstToken, limits.FirstToken), cmp.Or(at.silence, limits.Silence)
		return realtime.New(at.baseURL, at.key, limits)
	},
}

// An endpoint is what models share a client of: the connections to it.
type endpoint struct {
	api, baseURL, key, keyHeader string
	firstToken, silence          time.Duration // zero means as for all
	dialect                      upstream.Dialect
}

// limits returns those of all providers, with what is the endpoint's own.
func (at endpoint) limits(o upstream.Options) upstream.Options {
	o.KeyHeader, o.Dialect = at.keyHeader, at.dialect
	o.FirstToken, o.Silence = cmp.Or(at.firstToken, o.FirstToken), cmp.Or(at.silence, o.Silence)
	return o
}

// An entry is a model and who answers for it.
type entry struct {
	model     chat.Model
	backend   guard.Provider // nil in one that was found by provider:model, see [Models.asked]
	at        endpoint       // where it is then
	upstream  chat.ModelID   // the backend's own name for the model
	identity  chat.ModelID   // see [Models.Identity]; of those that are configured
	guard     *guard.Guard   // nil for one that cannot fail
	fallbacks []chat.ModelID
}

// shown is the model as clients see it now.
func (e entry) shown() chat.Model {
	if e.guard != nil {
		e.model.State = e.guard.HealthOf(e.upstream).State
	}
	return e.model
}

// Models are the assistants that can be asked. But for those that providers say
// they have they do not change.
//
// All methods may be called from any goroutine. Who called [New] calls Close.
type Models struct {
	opts       Options
	order      []chat.ModelID // of the configured models that are listed
	hasDefault bool           // see [Models.wantsDefault]
	placed     bool           // eliza's place in the list is configured, or that she has none
	entries    map[chat.ModelID]entry
	spelled    map[chat.ModelID]chat.ModelID // ids of entries, by [OneName]
	known      map[chat.ModelID]bool         // what entries are to their providers, see [Models.Identity]
	names      map[string]chat.ModelID       // folded, of the entries that have one; what is found has none
	hosts      map[string]host
	clients    map[endpoint]client
	found      *discovery

	mu     sync.Mutex
	guards map[string]*guard.Guard // made when they are needed
}

// New returns the configured models. Its error lists everything that is wrong
// with them, each with the entry and the field, and holds no key.
func New(o Options) (*Models, error) {
	if err := Validate(o.Models, o.Providers); err != nil {
		return nil, err
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Upstream.Logger = cmp.Or(o.Upstream.Logger, o.Logger)
	m := &Models{
		opts: o, entries: make(map[chat.ModelID]entry), names: make(map[string]chat.ModelID), hosts: make(map[string]host),
		spelled: make(map[chat.ModelID]chat.ModelID), known: make(map[chat.ModelID]bool),
		clients: make(map[endpoint]client), guards: make(map[string]*guard.Guard),
	}
	if err := m.reach(); err != nil {
		return nil, err
	}
	doctor := eliza.New(o.Eliza)
	m.enter(entry{model: elizaModel, backend: doctor, upstream: ElizaID, identity: ElizaID})
	var wrong []error
	for i, c := range o.Models {
		if err := m.add(c, doctor); err != nil {
			wrong = append(wrong, fmt.Errorf("models[%d] (%q): %w", i, c.ModelID, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	m.hasDefault = m.wantsDefault()
	m.found = discover(m.hosts, m.known, o)
	return m, nil
}

var elizaModel = chat.Model{
	ID:          ElizaID,
	APISource:   DefaultSource,
	Provider:    ProviderEliza,
	Name:        ProviderEliza,
	DisplayName: "ELIZA",
	FullName:    "ELIZA, the embedded assistant",
	Description: "Weizenbaum's method of 1966: it listens and asks back. Needs no key and no network.",
}

// reach finds out which providers can be asked, and makes their clients.
func (m *Models) reach() error {
	var wrong []error
	for _, name := range allProviders(m.opts.Providers) {
		h, err := newHost(name, m.opts)
		if err == nil && h.unset == "" {
			_, err = m.client(h.at)
		}
		if err == nil && h.unset == "" {
			_, err = m.client(h.at.patient(m.opts))
		}
		if err != nil {
			wrong = append(wrong, m.blame(name, err))
		}
		m.hosts[name] = h
	}
	return errors.Join(wrong...)
}

// blame says of which provider, and of what there, err tells.
func (m *Models) blame(name string, err error) error {
	switch {
	case !errors.Is(err, upstream.ErrKey):
		return err
	case m.opts.Providers[name].KeyVar != "":
		return fmt.Errorf("providers[%q]: key_var: %w", name, err)
	}
	return fmt.Errorf("%s: %w", table[name].KeyVar, err)
}

// add lists c, which is valid.
func (m *Models) add(c Config, doctor *eliza.Eliza) error {
	if !c.Hidden {
		m.order = append(m.order, chat.ModelID(c.ModelID))
	}
	if c.ModelID == string(ElizaID) {
		m.placed = true
		return nil
	}
	e := entry{model: c.model(), upstream: chat.ModelID(c.upstream())}
	for _, id := range c.Fallbacks {
		e.fallbacks = append(e.fallbacks, chat.ModelID(id))
	}
	if c.Provider == ProviderEliza {
		switch {
		case c.APISource == chat.SourceRealtime:
			return errNoSessions
		case c.Resume:
			return errNoRuns
		}
		e.backend, e.upstream, e.identity = doctor, ElizaID, ElizaID
	} else {
		h, err := m.hostFor(c)
		if err != nil {
			return err
		}
		if c.APISource == chat.SourceRealtime {
			if h.at.api != APIOpenAI && h.at.api != APIRealtime {
				return errNoSessions
			}
			h.at.api = APIRealtime
		}
		if c.Resume {
			if h.at.api != APIOpenAI {
				return errNoRuns
			}
			h.at.api = APIResponses
		}
		if e.backend, err = m.client(h.at.forModel(e.upstream, m.opts)); err != nil {
			return fmt.Errorf("key_var: %w", err)
		}
		e.guard, e.identity = m.guard(h), h.identity(e.upstream)
		m.known[e.identity] = c.APISource != chat.SourceRealtime
	}
	m.enter(e)
	return nil
}

// enter has a model be found by its id and by its name.
func (m *Models) enter(e entry) {
	m.entries[e.model.ID] = e
	m.spelled[OneName(e.model.ID)] = e.model.ID
	if e.model.Name != "" {
		m.names[chat.Folded(e.model.Name)] = e.model.ID
	}
}

var (
	errNoSessions = errors.New("model_api_source: the provider holds no sessions")
	errNoRuns     = errors.New("resume: only OpenAI's Responses API has answers that go on by themselves")
)

// hostFor returns the provider of a model, as that model wants it. The
// provider's key goes only where the model does not name another server.
func (m *Models) hostFor(c Config) (host, error) {
	h := m.hosts[Name(c.Provider)]
	key := m.opts.env(c.KeyVar)
	switch {
	case c.KeyVar != "" && key == "":
		// Not naming it: somebody may have put the key itself there.
		return host{}, errors.New("key_var: the environment variable that it names is not set")
	case c.KeyVar == "" && c.BaseURL == "" && h.unset != "":
		return host{}, fmt.Errorf("provider: %s cannot be asked: %s", h.name, h.unset)
	case c.BaseURL == "" && h.at.baseURL == "":
		return host{}, errors.New("base_url: is missing, and " + h.unset)
	}
	if c.BaseURL != "" {
		h.name += "@" + hostOf(c.BaseURL)
		h.at.baseURL, h.at.key, h.dialect = c.BaseURL, "", Dialect{}
	}
	h.at.dialect = c.Dialect.or(h.dialect).upstream()
	if c.KeyVar != "" {
		h.at.key = key
	}
	return h, nil
}

// client returns the one client of an endpoint.
func (m *Models) client(at endpoint) (client, error) {
	if c, ok := m.clients[at]; ok {
		return c, nil
	}
	c, err := apis[at.api](at, m.opts)
	if err != nil {
		return nil, err
	}
	m.clients[at] = c
	return c, nil
}

// guard returns the one guard of a provider.
func (m *Models) guard(h host) *guard.Guard {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g, ok := m.guards[h.name]; ok {
		return g
	}
	o := m.opts.Guard
	o.Streams = cmp.Or(h.streams, o.Streams)
	o.Wait = cmp.Or(h.at.firstToken, o.Wait)
	o.Logger = cmp.Or(o.Logger, m.opts.Logger)
	o.Shown, _, _ = strings.Cut(h.name, "@") // addresses are not for everybody
	g := guard.New(h.name, o)
	m.guards[h.name] = g
	return g
}

// Close stops looking for models, and closes the connections that no stream
// uses. Streams that run go on.
func (m *Models) Close() error {
	m.found.close()
	var errs []error
	for _, c := range m.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
