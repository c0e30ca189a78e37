package provider

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// The providers that are mentioned in code; the others are in the table.
const (
	ProviderOpenAI = "openai"
	ProviderEliza  = "eliza" // the embedded assistant
)

// DefaultSource is the APISource of a [Config] that names none.
const DefaultSource = "aisuite"

// sources are the values of model_api_source that clients know how to send
// to, WIRE-ASSISTANT §4.
var sources = []string{DefaultSource, "anthropic", chat.SourceRealtime}

// maxPrice limits what a million tokens may be said to cost.
const maxPrice = 1e6

// maxModelIDLen limits the names of models, in bytes.
const maxModelIDLen = 256

// A Config is one model of the configured list.
type Config struct {
	// ModelID is the name that clients use.
	ModelID string `yaml:"model_id" json:"model_id"`

	// APISource decides how clients send to the model. Empty means
	// [DefaultSource].
	APISource string `yaml:"model_api_source" json:"model_api_source,omitempty"`

	// Provider is [ProviderEliza], one of the table, or a configured one.
	Provider string `yaml:"provider" json:"provider"`

	// DisplayName and FullName are for people. Empty means UpstreamModel, and
	// that with the provider before it.
	DisplayName string `yaml:"display_name" json:"display_name,omitempty"`
	FullName    string `yaml:"full_name" json:"full_name,omitempty"`
	Description string `yaml:"description" json:"description,omitempty"`

	// BaseURL is where the model answers, if that is not where its provider does.
	BaseURL string `yaml:"base_url" json:"base_url,omitempty"`

	// KeyVar names the environment variable that holds the key; the key itself
	// is never configured. Empty means the provider's if BaseURL is empty too,
	// and no key for any other server.
	KeyVar string `yaml:"key_var" json:"key_var,omitempty"`

	// UpstreamModel is the provider's own name for the model. Empty means
	// ModelID without "aisuite." and the provider before it.
	UpstreamModel string `yaml:"upstream_model" json:"upstream_model,omitempty"`

	// Name is how people address the model among others, as @name.
	Name string `yaml:"name" json:"name,omitempty"`

	// ContextWindow and MaxTokens limit what the model is asked and what it
	// answers, in tokens. Zero means not known, and as the provider likes.
	ContextWindow int `yaml:"context_window" json:"context_window,omitempty"`
	MaxTokens     int `yaml:"max_tokens" json:"max_tokens,omitempty"`

	// Vision says whether the model sees images. Without it its name tells.
	Vision *bool `yaml:"vision" json:"vision,omitempty"`

	// SystemPrompt is what the model is told before every conversation.
	SystemPrompt string `yaml:"system_prompt" json:"system_prompt,omitempty"`

	// Hidden leaves the model out of the list. It can be asked all the same.
	Hidden bool `yaml:"hidden" json:"hidden,omitempty"`

	// Fallbacks are the models that are asked in its place, in this order, when
	// it fails before the first word. Theirs are not.
	Fallbacks []string `yaml:"fallbacks" json:"fallbacks,omitempty"`

	// Resume has the model answer by OpenAI's Responses API, in the background: a turn that
	// the end of the server has cut then reads the answer on, which is not asked for again.
	Resume bool `yaml:"resume" json:"resume,omitempty"`

	// Tools are those that the model may call: names, NAME/* for all of an MCP server, and
	// * for the others. Nil means current_time alone.
	Tools []string `yaml:"tools" json:"tools,omitempty"`

	// Approval says whether people are asked before the model's calls run. The stricter
	// one of this and the tool's own counts.
	Approval chat.Approval `yaml:"approval" json:"approval,omitempty"`

	// PromptPrice and CompletionPrice are what a million tokens cost, in the currency of the
	// server. Both zero means that nobody is told a cost.
	PromptPrice     float64 `yaml:"prompt_price" json:"prompt_price,omitempty"`
	CompletionPrice float64 `yaml:"completion_price" json:"completion_price,omitempty"`

	// Dialect is the model's own; what it leaves out is the provider's, unless
	// BaseURL names another server.
	Dialect `yaml:",inline"`
}

// model is what clients are shown of c.
func (c Config) model() chat.Model {
	return chat.Model{
		ID:            chat.ModelID(c.ModelID),
		APISource:     cmp.Or(c.APISource, DefaultSource),
		Provider:      Name(c.Provider),
		DisplayName:   cmp.Or(c.DisplayName, c.upstream()),
		FullName:      cmp.Or(c.FullName, Name(c.Provider)+":"+c.upstream()),
		Description:   c.Description,
		Name:          c.Name,
		ContextWindow: c.ContextWindow,
		MaxTokens:     c.MaxTokens,
		SystemPrompt:  c.SystemPrompt,
		Vision:        c.vision(),

		PromptPrice:     c.PromptPrice,
		CompletionPrice: c.CompletionPrice,
	}
}

func (c Config) vision() bool {
	switch {
	case c.Vision != nil:
		return *c.Vision
	case c.APISource == chat.SourceRealtime, Name(c.Provider) == ProviderEliza:
		return false
	}
	return sees(c.upstream())
}

func (c Config) upstream() string {
	name := strings.TrimPrefix(c.ModelID, suitePrefix)
	if provider, model, ok := suiteName(chat.ModelID(c.ModelID)); ok && provider == Name(c.Provider) {
		name = model
	}
	return cmp.Or(c.UpstreamModel, name)
}

// Validate returns all that is wrong with the two lists, each with the entry
// and the field. Whether the keys that they name are set is for [New] to say.
func Validate(models []Config, providers map[string]ProviderConfig) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		wrong = append(wrong, validateProvider(name, providers[name]))
	}
	first := make(map[string]int) // by what has to be unique
	for i, c := range models {
		refuse := func(field, reason string) {
			wrong = append(wrong, fmt.Errorf("models[%d] (%q): %s: %s", i, c.ModelID, field, reason))
		}
		c.validate(providers, refuse)
		for field, value := range map[string]string{"model_id": c.ModelID, "name": c.Name} {
			if value == "" {
				continue
			}
			if other, taken := first[field+value]; taken {
				refuse(field, fmt.Sprintf("is that of models[%d] already", other))
			} else {
				first[field+value] = i
			}
		}
		for j, id := range c.Fallbacks {
			if reason := c.validateFallback(j, models, providers); reason != "" {
				refuse(fmt.Sprintf("fallbacks[%d] (%q)", j, id), reason)
			}
		}
	}
	return errors.Join(wrong...)
}

// namePattern is what can be found behind an @, and before a colon.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

func (c Config) validate(providers map[string]ProviderConfig, refuse func(field, reason string)) {
	switch {
	case c.ModelID == "":
		refuse("model_id", "is missing")
	case !validModelID(c.ModelID):
		refuse("model_id", fmt.Sprintf("must be printable, without spaces, and at most %d bytes", maxModelIDLen))
	case c.ModelID == string(ElizaID):
		if !reflect.DeepEqual(c, Config{ModelID: c.ModelID, Provider: c.Provider, Hidden: c.Hidden}) || c.Provider != "" && c.Provider != ProviderEliza {
			refuse("model_id", "is built in: only its place in the list and hidden can be configured")
		}
		return
	}
	if c.APISource != "" && !slices.Contains(sources, c.APISource) {
		refuse("model_api_source", "must be one of "+strings.Join(sources, ", "))
	}
	if c.Provider != ProviderEliza && !isProvider(Name(c.Provider), providers) {
		refuse("provider", "must be eliza, one of "+strings.Join(allProviders(providers), ", ")+", or be configured in providers")
	}
	if c.BaseURL != "" {
		if _, err := upstream.ParseBaseURL(c.BaseURL); err != nil {
			refuse("base_url", err.Error())
		}
	}
	if c.Name != "" && (!namePattern.MatchString(c.Name) || c.Name == ProviderEliza) {
		refuse("name", "must be made of a-z, 0-9, _ and -, begin with a letter or digit, and not be eliza, who is built in")
	}
	c.Dialect.validate(refuse)
	if c.Approval != "" && !c.Approval.Valid() {
		refuse("approval", "must be always, ask or never")
	}
	if c.ContextWindow < 0 {
		refuse("context_window", "must not be less than 0")
	}
	if c.MaxTokens < 0 {
		refuse("max_tokens", "must not be less than 0")
	}
	for field, price := range map[string]float64{"prompt_price": c.PromptPrice, "completion_price": c.CompletionPrice} {
		if !(price >= 0 && price <= maxPrice) {
			refuse(field, "must be what a million tokens cost, from 0 to 1000000")
		}
	}
}

// validateFallback returns what is wrong with the j-th fallback.
func (c Config) validateFallback(j int, models []Config, providers map[string]ProviderConfig) string {
	id := c.Fallbacks[j]
	name, _, suite := suiteName(chat.ModelID(id))
	switch {
	case id == c.ModelID:
		return "is the model itself"
	case slices.Contains(c.Fallbacks[:j], id):
		return "is there already"
	case c.APISource == chat.SourceRealtime:
		return "cannot be, since the model is asked in sessions"
	case id == string(ElizaID), slices.ContainsFunc(models, func(o Config) bool { return o.ModelID == id && o.APISource != chat.SourceRealtime }):
		return ""
	case suite && isProvider(name, providers):
		return ""
	}
	return "is not a model that can be asked for an answer"
}

func validModelID(id string) bool {
	return id != "" && len(id) <= maxModelIDLen &&
		!strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// suiteName takes apart [aisuite.]provider:model, at the first colon.
func suiteName(id chat.ModelID) (provider, model string, ok bool) {
	provider, model, ok = strings.Cut(strings.TrimPrefix(string(id), suitePrefix), ":")
	return Name(provider), model, ok && provider != "" && model != "" && validModelID(string(id))
}
