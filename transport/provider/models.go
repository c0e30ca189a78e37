// Package provider knows the assistants that a chat can talk with, and
// carries a prompt to the one that it names.
//
//	Config list, OPENAI_API_KEY, OPENAI_BASE_URL → New → Models
//	Prompt → Models.Stream ─┬─ configured model_id ───────→ openai.Client or eliza.Eliza → Delta, Delta, …
//	                        ├─ [aisuite.]openai:MODEL ────→ openai.Client
//	                        └─ eliza ─────────────────────→ eliza.Eliza
//
// With nothing configured, eliza is the only model; it needs no account and
// no network.
package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/provider/eliza"
	"parlor/transport/provider/openai"
	"parlor/transport/provider/upstream"
)

// ElizaID names the embedded assistant. It always answers and is listed last.
const ElizaID chat.ModelID = "eliza"

// defaultModel is listed when OpenAI can be reached but no list is configured.
const defaultModel = "aisuite.openai:gpt-4o-mini"

// suitePrefix may stand before any provider:model name, as clients of the
// aisuite library write it.
const suitePrefix = "aisuite."

// The variables that are enough to reach OpenAI.
const (
	keyVar     = "OPENAI_API_KEY"
	baseURLVar = "OPENAI_BASE_URL"
)

// Options configure [Models]. The zero value offers eliza alone.
type Options struct {
	// Models are listed first, in this order.
	Models []Config

	// LookupEnv finds environment variables, as [os.LookupEnv] does. An empty
	// value counts as none. Nil finds none.
	LookupEnv func(name string) (value string, ok bool)

	// OpenAI and Eliza are the limits and the manner of the assistants.
	OpenAI openai.Options
	Eliza  eliza.Options
}

func (o Options) env(name string) string {
	if o.LookupEnv == nil {
		return ""
	}
	v, _ := o.LookupEnv(name)
	return strings.TrimSpace(v) // keys come from files, with their line end
}

// A backend answers prompts whose Model is its own name for the model.
type backend interface {
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// An entry is a model and who answers for it.
type entry struct {
	model    chat.Model
	backend  backend
	upstream chat.ModelID
}

// Models are the assistants that can be asked. They do not change.
//
// All methods may be called from any goroutine. Who called [New] calls Close.
type Models struct {
	listed  []chat.Model
	entries map[chat.ModelID]entry
	general *openai.Client // answers for every openai:MODEL; nil without OPENAI_…
	clients map[endpoint]*openai.Client
}

// An endpoint is what clients share: the connections to it.
type endpoint struct{ baseURL, key string }

// New returns the configured models. Its error lists everything that is wrong
// with them, each with the entry and the field, and holds no key.
func New(o Options) (*Models, error) {
	m := &Models{entries: make(map[chat.ModelID]entry), clients: make(map[endpoint]*openai.Client)}
	if err := m.reachOpenAI(o); err != nil {
		return nil, err
	}
	list := o.Models
	if len(list) == 0 && m.general != nil {
		list = []Config{{ModelID: defaultModel, Provider: ProviderOpenAI}}
	}
	if err := validate(list); err != nil {
		return nil, err
	}
	doctor := eliza.New(o.Eliza)
	var wrong []error
	for i, c := range list {
		if err := m.add(c, doctor, o); err != nil {
			wrong = append(wrong, fmt.Errorf("models[%d] (%q): %w", i, c.ModelID, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	m.list(entry{elizaModel, doctor, ElizaID})
	return m, nil
}

var elizaModel = chat.Model{
	ID:          ElizaID,
	APISource:   DefaultSource,
	Provider:    ProviderEliza,
	DisplayName: "ELIZA",
	FullName:    "ELIZA, the embedded assistant",
	Description: "Weizenbaum's method of 1966: it listens and asks back. Needs no key and no network.",
}

// reachOpenAI makes the client for models that nobody configured.
func (m *Models) reachOpenAI(o Options) (err error) {
	key, base := o.env(keyVar), o.env(baseURLVar)
	if base != "" {
		if _, err := upstream.ParseBaseURL(base); err != nil {
			return fmt.Errorf("%s: %w", baseURLVar, err)
		}
	}
	if key == "" && base == "" {
		return nil
	}
	m.general, err = m.client(base, key, o.OpenAI)
	if err != nil {
		return fmt.Errorf("%s: %w", keyVar, err)
	}
	return nil
}

// add lists c, which is valid.
func (m *Models) add(c Config, doctor *eliza.Eliza, o Options) error {
	if c.Provider == ProviderEliza {
		m.list(entry{c.model(), doctor, ElizaID})
		return nil
	}
	client, err := m.configured(c, o)
	if err != nil {
		return err
	}
	m.list(entry{c.model(), client, chat.ModelID(c.upstream())})
	return nil
}

func (m *Models) list(e entry) {
	m.entries[e.model.ID] = e
	m.listed = append(m.listed, e.model)
}

// configured returns the client for c. The key of OPENAI_API_KEY goes only
// where the operator did not name another server.
func (m *Models) configured(c Config, o Options) (*openai.Client, error) {
	base, key := c.BaseURL, o.env(c.KeyVar)
	switch {
	case c.KeyVar != "" && key == "":
		// Not naming it: somebody may have put the key itself there.
		return nil, errors.New("key_var: the environment variable that it names is not set")
	case c.KeyVar == "" && base == "" && m.general == nil:
		return nil, fmt.Errorf("key_var: is missing, and neither %s nor %s is set", keyVar, baseURLVar)
	case c.KeyVar == "" && base == "":
		return m.general, nil
	case base == "":
		base = o.env(baseURLVar)
	}
	client, err := m.client(base, key, o.OpenAI)
	if err != nil {
		return nil, fmt.Errorf("key_var: %w", err)
	}
	return client, nil
}

func (m *Models) client(baseURL, key string, o openai.Options) (*openai.Client, error) {
	at := endpoint{baseURL, key}
	if c, ok := m.clients[at]; ok {
		return c, nil
	}
	c, err := openai.New(baseURL, key, o)
	if err != nil {
		return nil, err
	}
	m.clients[at] = c
	return c, nil
}

// List returns the models that clients may choose from: those configured, in
// their order, then eliza. The caller owns the slice.
func (m *Models) List() []chat.Model { return slices.Clone(m.listed) }

// Model returns the model named id, if it can be asked. That may be one that
// is not listed: [aisuite.]openai:MODEL when OpenAI can be reached.
func (m *Models) Model(id chat.ModelID) (chat.Model, bool) {
	e, ok := m.find(id)
	return e.model, ok
}

func (m *Models) find(id chat.ModelID) (entry, bool) {
	if e, ok := m.entries[id]; ok {
		return e, true
	}
	name, ok := openAIName(id)
	if !ok || m.general == nil {
		return entry{}, false
	}
	c := Config{ModelID: string(id), Provider: ProviderOpenAI, UpstreamModel: name}
	return entry{c.model(), m.general, chat.ModelID(name)}, true
}

// openAIName returns MODEL of [aisuite.]openai:MODEL.
func openAIName(id chat.ModelID) (name string, ok bool) {
	provider, name, ok := strings.Cut(strings.TrimPrefix(string(id), suitePrefix), ":")
	return name, ok && provider == ProviderOpenAI && name != "" && validModelID(string(id))
}

// Stream asks the model that p names and yields the answer piece by piece.
//
// It ends after the last piece or after one error: a [*chat.Error] in the
// chain ([chat.CodeNotFound] for a model that is not here, else
// [chat.CodeProviderError] or [chat.CodeProviderTimeout]), or the cause of
// ctx when that ended. It blocks in the yield for as long as the consumer
// does, and reads no further meanwhile.
func (m *Models) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	e, ok := m.find(p.Model)
	if !ok {
		return func(yield func(chat.Delta, error) bool) {
			yield(chat.Delta{}, chat.Refuse(chat.CodeNotFound, "there is no such model"))
		}
	}
	p.Model = e.upstream
	return e.backend.Stream(ctx, p)
}

// Close closes the connections that no stream uses. Streams that run go on.
func (m *Models) Close() error {
	var errs []error
	for _, c := range m.clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
