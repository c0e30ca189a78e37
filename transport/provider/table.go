package provider

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"parlor/transport/provider/anthropic"
	"parlor/transport/provider/openai"
	"parlor/transport/provider/upstream"
)

// The protocols in which providers are asked.
const (
	APIOpenAI    = "openai"    // chat completions
	APIAnthropic = "anthropic" // messages
	APIResponses = "responses" // beside chat completions, see [Config.Resume]
	APIRealtime  = "realtime"  // sessions, see [chat.SourceRealtime]; what OpenAI's servers speak beside the other
)

// A ProviderConfig says how a provider is reached. For one of the table below
// it changes what it has; any other name is a provider of its own.
type ProviderConfig struct {
	// BaseURL is where its API answers.
	BaseURL string `yaml:"base_url" json:"base_url,omitempty"`

	// KeyVar names the environment variable that holds the key; the key itself
	// is never configured. Empty means that of the table, but no key at all
	// where BaseURL names another server.
	KeyVar string `yaml:"key_var" json:"key_var,omitempty"`

	// KeyHeader carries the key. Empty means as its API does it.
	KeyHeader string `yaml:"key_header" json:"key_header,omitempty"`

	// API is what it speaks. Empty means [APIOpenAI].
	API string `yaml:"api" json:"api,omitempty"`

	// Discover asks it for the models that it has, and lists them. Nil means as
	// for all, see [Options].
	Discover *bool `yaml:"discover" json:"discover,omitempty"`

	Filter `yaml:",inline"`

	// MaxStreams, FirstTokenTimeout and SilenceTimeout take the place of what
	// holds for all providers. Zero leaves that.
	MaxStreams        int      `yaml:"max_streams" json:"max_streams,omitempty"`
	FirstTokenTimeout Duration `yaml:"first_token_timeout" json:"first_token_timeout,omitzero"`
	SilenceTimeout    Duration `yaml:"silence_timeout" json:"silence_timeout,omitzero"`

	Dialect `yaml:",inline"`
}

// A Duration is written as in "90s".
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// A known provider needs nothing but a key, or not even that.
type known struct {
	ProviderConfig
	baseURLVar string // may hold the base URL
	path       string // to add to that, if it has none
	first      string // of its models is listed first, if it has that one
	local      bool   // runs on this computer; no key, since anybody may listen at its port
}

// table has the addresses and variables that the providers document.
var table = map[string]known{
	// At OpenAI max_tokens is out of date, and refused by newer models.
	ProviderOpenAI: {
		ProviderConfig: ProviderConfig{
			BaseURL: openai.DefaultBaseURL, KeyVar: "OPENAI_API_KEY", Dialect: Dialect{MaxTokensField: upstream.MaxCompletionTokens},
		},
		baseURLVar: "OPENAI_BASE_URL", first: "gpt-4o-mini",
	},
	"anthropic": {
		ProviderConfig: ProviderConfig{BaseURL: anthropic.DefaultBaseURL, KeyVar: "ANTHROPIC_API_KEY", API: APIAnthropic},
		baseURLVar:     "ANTHROPIC_BASE_URL",
	},
	"gemini":     {ProviderConfig: ProviderConfig{BaseURL: "https://generativelanguage.googleapis.com/v1beta/openai", KeyVar: "GEMINI_API_KEY"}},
	"groq":       {ProviderConfig: ProviderConfig{BaseURL: "https://api.groq.com/openai/v1", KeyVar: "GROQ_API_KEY"}},
	"xai":        {ProviderConfig: ProviderConfig{BaseURL: "https://api.x.ai/v1", KeyVar: "XAI_API_KEY"}},
	"mistral":    {ProviderConfig: ProviderConfig{BaseURL: "https://api.mistral.ai/v1", KeyVar: "MISTRAL_API_KEY", Dialect: Dialect{Usage: new(false)}}}, // it tells the usage unasked
	"deepseek":   {ProviderConfig: ProviderConfig{BaseURL: "https://api.deepseek.com/v1", KeyVar: "DEEPSEEK_API_KEY"}},
	"openrouter": {ProviderConfig: ProviderConfig{BaseURL: "https://openrouter.ai/api/v1", KeyVar: "OPENROUTER_API_KEY"}},

	// The v1 API, which wants no api-version: models are named as deployed. What it
	// lists are not the deployments but all models that one could deploy.
	"azure": {
		ProviderConfig: ProviderConfig{KeyVar: "AZURE_OPENAI_API_KEY", KeyHeader: "api-key", Discover: new(false)},
		baseURLVar:     "AZURE_OPENAI_ENDPOINT", path: "openai/v1",
	},

	"ollama":   {ProviderConfig: ProviderConfig{BaseURL: "http://127.0.0.1:11434/v1"}, local: true},
	"vllm":     {ProviderConfig: ProviderConfig{BaseURL: "http://127.0.0.1:8000/v1"}, local: true},
	"llamacpp": {ProviderConfig: ProviderConfig{BaseURL: "http://127.0.0.1:8080/v1"}, local: true},
	"lmstudio": {ProviderConfig: ProviderConfig{BaseURL: "http://127.0.0.1:1234/v1"}, local: true},
}

// aliases are other names that people write.
var aliases = map[string]string{"google": "gemini", "llama.cpp": "llamacpp"}

// Name returns the name that a provider has, of those that people write.
func Name(s string) string { return cmp.Or(aliases[s], s) }

// headerPattern leaves out what nobody uses in the name of a header.
var headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// isProvider reports whether there is a provider of that name.
func isProvider(name string, configured map[string]ProviderConfig) bool {
	_, inTable := table[name]
	_, inConfig := configured[name]
	return inTable || inConfig
}

// allProviders returns the names of all providers, sorted.
func allProviders(configured map[string]ProviderConfig) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(table)), maps.Keys(configured))
	slices.Sort(names)
	return slices.Compact(names)
}

// validateProvider returns what is wrong with an entry, by field.
func validateProvider(name string, c ProviderConfig) error {
	var wrong []error
	refuse := func(field, reason string) {
		wrong = append(wrong, fmt.Errorf("providers[%q]: %s%s", name, field, reason))
	}
	at := table[name]
	switch {
	case !namePattern.MatchString(name):
		refuse("", "is a name that no model could be asked by: use a-z, 0-9, _ and -")
	case name == ProviderEliza:
		refuse("", "is built in and cannot be configured")
	case aliases[name] != "":
		refuse("", "is called "+aliases[name])
	case c.BaseURL == "" && at.BaseURL == "" && at.baseURLVar == "":
		refuse("base_url: ", "is missing")
	}
	if c.BaseURL != "" {
		if _, err := upstream.ParseBaseURL(c.BaseURL); err != nil {
			refuse("base_url: ", err.Error())
		}
	}
	c.validateAPI(cmp.Or(c.API, at.API, APIOpenAI), refuse)
	c.Filter.validate(func(field, reason string) { refuse(field+": ", reason) })
	c.Dialect.validate(func(field, reason string) { refuse(field+": ", reason) })
	if c.KeyHeader != "" && !headerPattern.MatchString(c.KeyHeader) {
		refuse("key_header: ", "must be the name of an HTTP header")
	}
	for field, v := range map[string]int64{
		"max_streams: ": int64(c.MaxStreams), "first_token_timeout: ": int64(c.FirstTokenTimeout), "silence_timeout: ": int64(c.SilenceTimeout),
	} {
		if v < 0 {
			refuse(field, "must not be less than 0")
		}
	}
	return errors.Join(wrong...)
}

func (c ProviderConfig) validateAPI(api string, refuse func(field, reason string)) {
	if _, ok := apis[api]; !ok {
		refuse("api: ", "must be one of "+strings.Join(slices.Sorted(maps.Keys(apis)), ", "))
	}
	if c.Discover != nil && *c.Discover && !lists(api) {
		refuse("discover: ", "is possible with the APIs "+APIOpenAI+" and "+APIAnthropic+" only")
	}
}

// A host is a provider as it is reached.
type host struct {
	name     string
	at       endpoint
	streams  int
	unset    string // why it is not reachable; empty if it is
	local    bool   // of the table, and need not be there
	explicit bool   // the operator has named it
	discover *bool
	dialect  Dialect
	filter
}

// newHost returns the provider name, with what is configured for it.
func newHost(name string, o Options) (host, error) {
	c, explicit := o.Providers[name]
	at := table[name]
	h := host{
		name: name, local: at.local, explicit: explicit, streams: c.MaxStreams, dialect: c.Dialect,
		discover: cmp.Or(c.Discover, at.Discover), filter: c.Filter.compile(cmp.Or(o.DiscoverLimit, DefaultDiscoverLimit)),
	}
	h.at = endpoint{
		api:        cmp.Or(c.API, at.API, APIOpenAI),
		baseURL:    c.BaseURL,
		keyHeader:  c.KeyHeader,
		firstToken: time.Duration(c.FirstTokenTimeout), silence: time.Duration(c.SilenceTimeout),
	}
	keyVar, optional := c.KeyVar, false
	if c.BaseURL == "" { // the key of the table goes nowhere else
		given, err := at.givenURL(o)
		if err != nil {
			return host{}, err
		}
		h.at.baseURL, h.at.keyHeader = cmp.Or(given, at.BaseURL), cmp.Or(c.KeyHeader, at.KeyHeader)
		keyVar = cmp.Or(c.KeyVar, at.KeyVar)
		if given == "" {
			h.dialect = c.Dialect.or(at.Dialect)
		}
		optional = c.KeyVar == "" && given != "" && at.BaseURL != ""
	}
	h.at.dialect = h.dialect.upstream()
	h.at.key = o.env(keyVar)
	switch {
	case h.at.baseURL == "":
		h.unset = at.baseURLVar + " is not set"
	case h.at.key != "" || keyVar == "" || optional:
	case c.KeyVar != "":
		// Not naming it: somebody may have put the key itself there.
		h.unset = "the environment variable that its key_var names is not set"
	default:
		h.unset = keyVar + " is not set"
	}
	return h, nil
}

// givenURL returns the base URL that the environment has for k, if any.
func (k known) givenURL(o Options) (string, error) {
	given := o.env(k.baseURLVar)
	if k.baseURLVar == "" || given == "" {
		return "", nil
	}
	u, err := upstream.ParseBaseURL(given)
	if err != nil {
		return "", fmt.Errorf("%s: %w", k.baseURLVar, err)
	}
	if strings.Trim(u.Path, "/") == "" && k.path != "" {
		return u.JoinPath(k.path).String(), nil
	}
	return given, nil
}

// hostOf returns the host of a base URL, which is valid.
func hostOf(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil {
		return ""
	}
	return u.Host
}
