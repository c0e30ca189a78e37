package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/provider/anthropic"
	"parlor/transport/provider/upstream"
)

// Limits of a list of models.
const (
	maxListBytes = 4 << 20 // OpenRouter's list is long
	maxWindow    = 1 << 30 // tokens; what a server claims is calculated with
)

// errNoAnswer is why a server that was not reached has no models. It holds no URL,
// whose query may have a key.
type errNoAnswer struct{ error }

// ask returns the models of one server. An address where something else
// answers is like one where nobody does.
func (d *discovery) ask(ctx context.Context, h host) ([]chat.Model, error) {
	timeout := d.timeout
	if h.local && !h.explicit {
		timeout = min(timeout, discoverTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := h.listRequest(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := d.http.Do(req)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if err != nil {
		return nil, errNoAnswer{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return h.decodeModels(io.LimitReader(resp.Body, maxListBytes))
}

// listRequest asks for the list of models, in the protocol of the host's API.
func (h host) listRequest(ctx context.Context) (*http.Request, error) {
	base, err := url.Parse(h.at.baseURL)
	if err != nil {
		return nil, err
	}
	at, header, prefix := base.JoinPath("models"), "Authorization", "Bearer "
	if h.at.api == APIAnthropic {
		at, header, prefix = base.JoinPath("v1/models"), "X-Api-Key", ""
		q := at.Query()
		q.Set("limit", "1000") // a page
		at.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "parlor")
	if h.at.api == APIAnthropic {
		req.Header.Set("Anthropic-Version", anthropic.Version)
	}
	h.at.limits(upstream.Options{}).SetKey(req.Header, header, prefix, h.at.key)
	return req, nil
}

// A listed model is what servers say of one. They agree on its id alone.
type listed struct {
	ID          string `json:"id"`
	Name        string `json:"name"`         // OpenRouter's, for people
	DisplayName string `json:"display_name"` // Anthropic's

	// How much it can read: vLLM, OpenRouter, Groq, Mistral, Anthropic.
	MaxModelLen      number `json:"max_model_len"`
	ContextLength    number `json:"context_length"`
	ContextWindow    number `json:"context_window"`
	MaxContextLength number `json:"max_context_length"`
	MaxInputTokens   number `json:"max_input_tokens"`

	// Whether it can be talked with: Mistral, OpenRouter.
	Capabilities struct {
		Chat *bool `json:"completion_chat"`
	} `json:"capabilities"`
	Architecture struct {
		Output []string `json:"output_modalities"`
	} `json:"architecture"`
}

// A number that is none is 0: it is not to cost the list.
type number int

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(raw []byte) error {
	var f float64
	if json.Unmarshal(raw, &f) == nil && f > 0 {
		*n = number(min(f, maxWindow))
	}
	return nil
}

func (m listed) window() int {
	return int(cmp.Or(m.MaxModelLen, m.ContextLength, m.ContextWindow, m.MaxContextLength, m.MaxInputTokens))
}

// talks reports whether the model can be talked with, as far as its server says.
func (m listed) talks() bool {
	chats, output := m.Capabilities.Chat, m.Architecture.Output
	return (chats == nil || *chats) && (len(output) == 0 || slices.Contains(output, "text"))
}

// decodeModels reads a list of models: OpenAI's, of which some servers leave out
// what it is, or a bare one. A stranger who answers at a usual port has to say that
// it is a list.
func (h host) decodeModels(body io.Reader) ([]chat.Model, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var list struct {
		Object string            `json:"object"`
		Data   []json.RawMessage `json:"data"`
	}
	stranger := h.local && !h.explicit
	switch bare := bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")); {
	case bare && !stranger:
		err = json.Unmarshal(raw, &list.Data)
	default:
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("it is no list of models: %w", err)
	}
	if list.Object != "list" && (stranger || list.Data == nil) {
		return nil, errors.New("it is no list of models")
	}
	return h.models(list.Data), nil
}

// models returns those of a list that are wanted, up to the limit.
func (h host) models(data []json.RawMessage) []chat.Model {
	models, seen := []chat.Model{}, make(map[string]bool)
	for _, raw := range data {
		var m listed
		_ = json.Unmarshal(raw, &m)                // a field of another kind is left out, and must not cost the model
		m.ID = strings.TrimPrefix(m.ID, "models/") // Gemini's
		id := h.name + ":" + m.ID
		if m.ID == "" || !validModelID(id) || seen[id] || !m.talks() || !h.wants(m.ID) {
			continue
		}
		seen[id] = true
		c := Config{ModelID: id, Provider: h.name, UpstreamModel: m.ID, DisplayName: chat.OneLine(cmp.Or(m.DisplayName, m.Name)), ContextWindow: m.window()}
		models = append(models, c.model())
	}
	first := chat.ModelID(h.name + ":" + table[h.name].first)
	if i := slices.IndexFunc(models, func(m chat.Model) bool { return m.ID == first }); i > 0 {
		preferred := models[i]
		models = slices.Insert(slices.Delete(models, i, i+1), 0, preferred)
	}
	return models[:min(len(models), h.limit)]
}

// report logs how a host fares that is not asked for its models.
func (h host) report(log *slog.Logger) {
	if h.unset != "" {
		log.Info("provider", "provider", h.name, "key", h.unset)
		return
	}
	log.Info("provider", "provider", h.name, "key", h.keyState(), "reachable", "not asked")
}

// keyState says whether there is a key, and not which.
func (h host) keyState() string {
	if h.at.key != "" {
		return "found"
	}
	return "none"
}

// report logs how the server fares, unless the log has been told so.
func (s *server) report(log *slog.Logger, models int, err error) {
	said := fmt.Sprint(models, err)
	if said == s.said {
		return
	}
	s.said = said
	level, reachable := slog.LevelInfo, "yes"
	if _, away := err.(errNoAnswer); away {
		reachable = "no"
	}
	attrs := []any{"provider", s.name, "key", s.keyState(), "reachable", reachable, "models", models}
	if err != nil {
		attrs = append(attrs, "err", err)
		if s.rank() < 2 { // or it need not be there
			level = slog.LevelWarn
		}
	}
	log.Log(context.Background(), level, "provider", attrs...)
}
