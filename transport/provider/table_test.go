package provider

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"parlor/protocol/chat"
)

// TestTable checks for every provider of the table what is enough to reach it,
// and where its key goes.
func TestTable(t *testing.T) {
	type want struct{ baseURL, keyHeader string }
	variables := map[string]map[string]string{
		"openai":     {"OPENAI_API_KEY": "k"},
		"anthropic":  {"ANTHROPIC_API_KEY": "k"},
		"gemini":     {"GEMINI_API_KEY": "k"},
		"groq":       {"GROQ_API_KEY": "k"},
		"xai":        {"XAI_API_KEY": "k"},
		"mistral":    {"MISTRAL_API_KEY": "k"},
		"deepseek":   {"DEEPSEEK_API_KEY": "k"},
		"openrouter": {"OPENROUTER_API_KEY": "k"},
		"azure":      {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://us.openai.azure.com/"},
	}
	wants := map[string]want{
		"openai":     {"https://api.openai.com/v1", ""},
		"anthropic":  {"https://api.anthropic.com", ""},
		"gemini":     {"https://generativelanguage.googleapis.com/v1beta/openai", ""},
		"groq":       {"https://api.groq.com/openai/v1", ""},
		"xai":        {"https://api.x.ai/v1", ""},
		"mistral":    {"https://api.mistral.ai/v1", ""},
		"deepseek":   {"https://api.deepseek.com/v1", ""},
		"openrouter": {"https://openrouter.ai/api/v1", ""},
		"azure":      {"https://us.openai.azure.com/openai/v1", "api-key"},
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		id := chat.ModelID("aisuite." + name + ":some/model:free")
		m := newModels(t, Options{LookupEnv: env(variables[name])})
		e, refusal := m.find(id)
		if refusal != nil || e.upstream != "some/model:free" || e.model.Provider != name || e.model.FullName != name+":some/model:free" {
			t.Errorf("%s: got %+v, %v", name, e.model, refusal)
		}
		at := m.hosts[name].at
		if got := (want{at.baseURL, at.keyHeader}); got != wants[name] || at.key != "k" {
			t.Errorf("%s: got %+v with key %q, want %+v", name, got, at.key, wants[name])
		}
		for other, h := range m.hosts {
			if other != name && h.at.key != "" {
				t.Errorf("%s has the key of %s", other, name)
			}
		}
		if refusal := newModels(t, Options{}).Refusal(id); refusal == nil || !strings.Contains(refusal.Message, " is not set") {
			t.Errorf("%s without variables: got %v", name, refusal)
		}
	}
	for name, k := range table {
		switch {
		case variables[name] == nil && !k.local:
			t.Errorf("%s is not tested", name)
		case k.local && k.KeyVar != "":
			t.Errorf("a key goes to whoever listens at the port of %s", name)
		}
	}
}

func TestAliases(t *testing.T) {
	m := newModels(t, Options{
		LookupEnv: env(map[string]string{"GEMINI_API_KEY": "k"}),
		Providers: map[string]ProviderConfig{"llamacpp": {}},
	})
	for id, want := range map[chat.ModelID]string{"google:g": "gemini", "aisuite.google:g": "gemini", "llama.cpp:l": "llamacpp"} {
		if got, _ := m.Model(id); got.Provider != want {
			t.Errorf("%s: provider %q, want %q", id, got.Provider, want)
		}
	}
}

// TestProviders checks where prompts go whose provider is configured, and with
// which key.
func TestProviders(t *testing.T) {
	one, two := echo(t, "one"), echo(t, "two")
	vars := map[string]string{"OPENAI_API_KEY": "openai-key", "GROQ_API_KEY": "groq-key", "MINE": "my-key"}
	m := newModels(t, Options{LookupEnv: env(vars), Providers: map[string]ProviderConfig{
		"openai": {BaseURL: one},
		"groq":   {BaseURL: two, KeyVar: "MINE"},
		"mine":   {BaseURL: one + "/deep/", KeyVar: "MINE"},
		"bare":   {BaseURL: two},
		"ollama": {BaseURL: one},
		"azure":  {BaseURL: two, KeyVar: "MINE", KeyHeader: "Authorization"},
	}})
	for id, want := range map[chat.ModelID]string{
		"openai:m":           "one m ", // not the key of OpenAI itself
		"groq:m":             "two m my-key",
		"aisuite.mine:a:b":   "one a:b my-key",
		"bare:m":             "two m ",
		"ollama:llama3.2:3b": "one llama3.2:3b ",
		"azure:deployed":     "two deployed my-key",
	} {
		if got := said(t, m.Stream(t.Context(), chat.Prompt{Model: id})); got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

func TestKeyHeader(t *testing.T) {
	got := make(chan http.Header, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer s.Close()
	m := newModels(t, Options{Guard: never, LookupEnv: env(map[string]string{"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": s.URL})})
	for range m.Stream(t.Context(), chat.Prompt{Model: "azure:m"}) {
	}
	if h := <-got; h.Get("api-key") != "k" || h.Get("Authorization") != "" {
		t.Errorf("got headers %v", h)
	}
}

// TestAnthropic checks that Claude is asked in its own protocol.
func TestAnthropic(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		said := r.URL.Path + " " + r.Header.Get("X-Api-Key") + r.Header.Get("Authorization")
		io.WriteString(w, `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`+said+`"}}`+"\n\n"+
			`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}`+"\n\n"+`data: {"type":"message_stop"}`+"\n\n")
	}))
	defer s.Close()
	m := newModels(t, Options{LookupEnv: env(map[string]string{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": s.URL})})
	p := chat.Prompt{Model: "aisuite.anthropic:claude", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}
	if got, want := said(t, m.Stream(t.Context(), p)), "/v1/messages k"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnreachableProviders(t *testing.T) {
	const secret = "sk-secret"
	m := newModels(t, Options{Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://localhost:1", KeyVar: secret}}})
	for id, want := range map[chat.ModelID]string{
		"nobody:m": "there is no such model",
		"groq:m":   "the provider groq cannot be asked: GROQ_API_KEY is not set",
		"azure:m":  "the provider azure cannot be asked: AZURE_OPENAI_ENDPOINT is not set",
		"mine:m":   "the provider mine cannot be asked: the environment variable that its key_var names is not set",
		"ollama:m": "the provider ollama was not found on the server's computer",
	} {
		_, ok := m.Model(id)
		if got := m.Refusal(id); ok || got == nil || got.Message != want || got.Code != chat.CodeNotFound {
			t.Errorf("%s: got %v, want %q", id, got, want)
		}
		for _, err := range m.Stream(t.Context(), chat.Prompt{Model: id}) {
			if got := chat.AsError(err); got == nil || got.Message != want {
				t.Errorf("%s: streamed %v, want %q", id, err, want)
			}
		}
	}
	if got := m.Refusal("eliza"); got != nil {
		t.Errorf("eliza: %v", got)
	}
}

func TestProvidersRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		c    ProviderConfig
		want string
	}{
		{"mine", ProviderConfig{}, `providers["mine"]: base_url: is missing`},
		{"mine", ProviderConfig{BaseURL: "localhost"}, `providers["mine"]: base_url: `},
		{"mine", ProviderConfig{BaseURL: "http://h", API: "smoke"}, `providers["mine"]: api: must be one of `},
		{"mine", ProviderConfig{BaseURL: "http://h", KeyHeader: "a: b"}, `providers["mine"]: key_header: must be`},
		{"mine", ProviderConfig{BaseURL: "http://h", MaxStreams: -1}, `providers["mine"]: max_streams: must not`},
		{"mine", ProviderConfig{BaseURL: "http://h", SilenceTimeout: -1}, `providers["mine"]: silence_timeout: must not`},
		{"mine", ProviderConfig{BaseURL: "http://h", Dialect: Dialect{System: "bend"}}, `providers["mine"]: system: must be one of send, fold, none`},
		{"mine", ProviderConfig{BaseURL: "http://h", Dialect: Dialect{MaxTokensField: "limit"}}, `providers["mine"]: max_tokens_field: must be one of max_tokens, `},
		{"mine", ProviderConfig{BaseURL: "http://h", Dialect: Dialect{Finish: "maybe"}}, `providers["mine"]: finish: must be one of strict, lenient`},
		{"openai", ProviderConfig{API: APIRealtime, Discover: new(true)}, `providers["openai"]: discover: is possible with`},
		{"openai", ProviderConfig{Filter: Filter{Only: []string{"a", " "}}}, `providers["openai"]: discover_only: has an empty pattern`},
		{"openai", ProviderConfig{Filter: Filter{Limit: -1}}, `providers["openai"]: discover_limit: must not be less than 0`},
		{"Mine", ProviderConfig{BaseURL: "http://h"}, `providers["Mine"]: is a name that no model`},
		{"eliza", ProviderConfig{BaseURL: "http://h"}, `providers["eliza"]: is built in`},
		{"google", ProviderConfig{}, `providers["google"]: is called gemini`},
	} {
		_, err := New(Options{Providers: map[string]ProviderConfig{test.name: test.c}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %+v: got %v, want %q", test.name, test.c, err, test.want)
		}
	}
	_, err := New(Options{
		Providers: map[string]ProviderConfig{"mine": {BaseURL: "http://h", KeyVar: "K"}},
		LookupEnv: env(map[string]string{"K": "a\x00b"}),
	})
	if err == nil || !strings.HasPrefix(err.Error(), `providers["mine"]: key_var: `) || strings.Contains(err.Error(), "\x00") {
		t.Errorf("a bad key: got %v", err)
	}
}

func TestProviderTags(t *testing.T) {
	const file = `{base_url: a, key_var: b, key_header: c, api: d, discover: true, discover_only: [o], discover_except: [e], discover_limit: 5, max_streams: 1, first_token_timeout: 2m, silence_timeout: 3s,
		system: fold, usage: true, max_tokens_field: max_tokens, finish: lenient}`
	yes := true
	want := ProviderConfig{"a", "b", "c", "d", &yes, Filter{[]string{"o"}, []string{"e"}, 5}, 1, Duration(120e9), Duration(3e9), Dialect{"fold", &yes, "max_tokens", "lenient"}}
	var got ProviderConfig
	if err := yaml.Unmarshal([]byte(file), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("yaml (-want +got):\n%s", diff)
	}
}
