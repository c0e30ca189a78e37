package provider

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// The providers that exist.
const (
	ProviderOpenAI = "openai" // anything that speaks OpenAI's chat completions
	ProviderEliza  = "eliza"  // the embedded assistant
)

// DefaultSource is the APISource of a [Config] that names none.
const DefaultSource = "aisuite"

// sources are the values of model_api_source that clients know how to send
// to, WIRE-ASSISTANT §4.
var sources = []string{DefaultSource, "anthropic", "openai_realtime"}

// maxModelIDLen limits the names of models, in bytes.
const maxModelIDLen = 256

// A Config is one model of the configured list.
type Config struct {
	// ModelID is the name that clients use.
	ModelID string `yaml:"model_id" json:"model_id"`

	// APISource decides how clients send to the model. Empty means
	// [DefaultSource].
	APISource string `yaml:"model_api_source" json:"model_api_source,omitempty"`

	// Provider is [ProviderOpenAI] or [ProviderEliza].
	Provider string `yaml:"provider" json:"provider"`

	// DisplayName and FullName are for people. Empty means UpstreamModel, and
	// that with the provider before it.
	DisplayName string `yaml:"display_name" json:"display_name,omitempty"`
	FullName    string `yaml:"full_name" json:"full_name,omitempty"`
	Description string `yaml:"description" json:"description,omitempty"`

	// BaseURL is where an openai model answers. Empty means OPENAI_BASE_URL,
	// or else OpenAI itself.
	BaseURL string `yaml:"base_url" json:"base_url,omitempty"`

	// KeyVar names the environment variable that holds the key; the key itself
	// is never configured. Empty means OPENAI_API_KEY if BaseURL is empty too,
	// and no key for any other server.
	KeyVar string `yaml:"key_var" json:"key_var,omitempty"`

	// UpstreamModel is the provider's own name for the model. Empty means
	// ModelID without "aisuite." and "openai:" before it.
	UpstreamModel string `yaml:"upstream_model" json:"upstream_model,omitempty"`
}

// model is what clients are shown of c.
func (c Config) model() chat.Model {
	return chat.Model{
		ID:          chat.ModelID(c.ModelID),
		APISource:   cmp.Or(c.APISource, DefaultSource),
		Provider:    c.Provider,
		DisplayName: cmp.Or(c.DisplayName, c.upstream()),
		FullName:    cmp.Or(c.FullName, c.Provider+":"+c.upstream()),
		Description: c.Description,
	}
}

func (c Config) upstream() string {
	name := strings.TrimPrefix(c.ModelID, suitePrefix)
	return cmp.Or(c.UpstreamModel, strings.TrimPrefix(name, ProviderOpenAI+":"))
}

// validate returns what is wrong with the i-th entry of the list, by field.
func (c Config) validate(i int) error {
	var wrong []error
	refuse := func(field, reason string) {
		wrong = append(wrong, fmt.Errorf("models[%d] (%q): %s: %s", i, c.ModelID, field, reason))
	}
	switch {
	case c.ModelID == "":
		refuse("model_id", "is missing")
	case !validModelID(c.ModelID):
		refuse("model_id", fmt.Sprintf("must be printable, without spaces, and at most %d bytes", maxModelIDLen))
	case c.ModelID == string(ElizaID):
		refuse("model_id", "is built in and cannot be configured")
	}
	if c.APISource != "" && !slices.Contains(sources, c.APISource) {
		refuse("model_api_source", "must be one of "+strings.Join(sources, ", "))
	}
	if c.Provider != ProviderOpenAI && c.Provider != ProviderEliza {
		refuse("provider", fmt.Sprintf("must be %s or %s", ProviderOpenAI, ProviderEliza))
	}
	if c.BaseURL != "" {
		if _, err := upstream.ParseBaseURL(c.BaseURL); err != nil {
			refuse("base_url", err.Error())
		}
	}
	return errors.Join(wrong...)
}

func validModelID(id string) bool {
	return id != "" && len(id) <= maxModelIDLen &&
		!strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// validate returns all that is wrong with a list of models.
func validate(list []Config) error {
	var wrong []error
	seen := make(map[string]int)
	for i, c := range list {
		wrong = append(wrong, c.validate(i))
		if first, ok := seen[c.ModelID]; ok && c.ModelID != "" {
			wrong = append(wrong, fmt.Errorf("models[%d] (%q): model_id: is that of models[%d] already", i, c.ModelID, first))
		} else {
			seen[c.ModelID] = i
		}
	}
	return errors.Join(wrong...)
}
