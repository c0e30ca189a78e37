package provider

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"parlor/protocol/chat"
	"parlor/transport/provider/eliza"
	"parlor/transport/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is a lookup in a fixed environment.
func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func newModels(t *testing.T, o Options) *Models {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func ids(list []chat.Model) []chat.ModelID {
	var all []chat.ModelID
	for _, m := range list {
		all = append(all, m.ID)
	}
	return all
}

func TestList(t *testing.T) {
	configured := []Config{
		{ModelID: "local", Provider: ProviderOpenAI, BaseURL: "http://localhost:1/v1"},
		{ModelID: "doctor", Provider: ProviderEliza},
	}
	for _, test := range []struct {
		name   string
		models []Config
		env    map[string]string
		want   []chat.ModelID
	}{
		{"nothing", nil, nil, []chat.ModelID{"eliza"}},
		{"empty variables", nil, map[string]string{"OPENAI_API_KEY": "", "OPENAI_BASE_URL": " "}, []chat.ModelID{"eliza"}},
		{"a key", nil, map[string]string{"OPENAI_API_KEY": "k"}, []chat.ModelID{"aisuite.openai:gpt-4o-mini", "eliza"}},
		{"a base URL", nil, map[string]string{"OPENAI_BASE_URL": "http://localhost:1"}, []chat.ModelID{"eliza"}},
		{"eliza in her place", []Config{{ModelID: "eliza"}, {ModelID: "doctor", Provider: ProviderEliza}}, nil, []chat.ModelID{"eliza", "doctor"}},
		{"eliza hidden", []Config{{ModelID: "doctor", Provider: ProviderEliza}, {ModelID: "eliza", Hidden: true}}, nil, []chat.ModelID{"doctor"}},
		{"eliza alone, hidden", []Config{{ModelID: "eliza", Provider: ProviderEliza, Hidden: true}}, nil, nil},
		{"another one hidden", []Config{{ModelID: "doctor", Provider: ProviderEliza, Hidden: true}}, nil, []chat.ModelID{"eliza"}},
		{"eliza in her place, and a key", []Config{{ModelID: "eliza"}}, map[string]string{"OPENAI_API_KEY": "k"}, []chat.ModelID{"eliza", "aisuite.openai:gpt-4o-mini"}},
		{"a list", configured, nil, []chat.ModelID{"local", "doctor", "eliza"}},
		{"a list and a key", configured, map[string]string{"OPENAI_API_KEY": "k"}, []chat.ModelID{"local", "doctor", "eliza"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newModels(t, Options{Models: test.models, LookupEnv: env(test.env)})
			list := m.List()
			if diff := cmp.Diff(test.want, ids(list)); diff != "" {
				t.Errorf("list differs (-want +got):\n%s", diff)
			}
			for _, want := range list {
				if got, ok := m.Model(want.ID); !ok || got != want {
					t.Errorf("Model(%q) = %+v, %t", want.ID, got, ok)
				}
			}
		})
	}
}

func TestListBelongsToTheCaller(t *testing.T) {
	m := newModels(t, Options{})
	m.List()[0].ID = "changed"
	if got := m.List()[0].ID; got != ElizaID {
		t.Errorf("the list begins with %q", got)
	}
}

func TestModel(t *testing.T) {
	full := Config{
		ModelID: "a", APISource: "anthropic", Provider: ProviderOpenAI, DisplayName: "A", FullName: "Model A",
		Description: "for tests", BaseURL: "http://localhost:1/v1", UpstreamModel: "up",
		Name: "ann", ContextWindow: 1000, MaxTokens: 100, SystemPrompt: "Be A.",
	}
	m := newModels(t, Options{
		Models:    []Config{full, {ModelID: "openai:b", Provider: ProviderOpenAI}, {ModelID: "aisuite.gemini:flash", Provider: "google"}},
		LookupEnv: env(map[string]string{"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}),
	})
	for _, want := range []chat.Model{
		{ID: "a", APISource: "anthropic", Provider: "openai", DisplayName: "A", FullName: "Model A", Description: "for tests",
			Name: "ann", ContextWindow: 1000, MaxTokens: 100, SystemPrompt: "Be A.", State: chat.ProviderClosed},
		{ID: "openai:b", APISource: "aisuite", Provider: "openai", DisplayName: "b", FullName: "openai:b", State: chat.ProviderClosed},
		{ID: "aisuite.gemini:flash", APISource: "aisuite", Provider: "gemini", DisplayName: "flash", FullName: "gemini:flash", State: chat.ProviderClosed},
		{ID: "aisuite.openai:gpt-4o", APISource: "aisuite", Provider: "openai", DisplayName: "gpt-4o", FullName: "openai:gpt-4o", Vision: true, State: chat.ProviderClosed},
		{ID: "openai:ft:gpt-4o:me", APISource: "aisuite", Provider: "openai", DisplayName: "ft:gpt-4o:me", FullName: "openai:ft:gpt-4o:me", Vision: true, State: chat.ProviderClosed},
		elizaModel,
	} {
		got, ok := m.Model(want.ID)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("Model(%q), %t, differs (-want +got):\n%s", want.ID, ok, diff)
		}
	}
	for _, id := range []chat.ModelID{
		"", "b", "gpt-4o", "openai", "openai:", "aisuite.openai:", "aisuite.eliza", "anthropic:claude", "aisuite.aisuite.openai:x",
		"openai:two words", "openai:\x00", chat.ModelID("openai:" + strings.Repeat("x", maxModelIDLen)),
	} {
		if got, ok := m.Model(id); ok {
			t.Errorf("Model(%q) = %+v", id, got)
		}
	}
}

func TestAnyOpenAIModelNeedsTheVariables(t *testing.T) {
	m := newModels(t, Options{Models: []Config{{ModelID: "local", Provider: ProviderOpenAI, BaseURL: "http://localhost:1/v1"}}})
	if got, ok := m.Model("openai:gpt-4o"); ok {
		t.Errorf("got %+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	const secret = "sk-secret"
	for _, test := range []struct {
		name   string
		models []Config
		env    map[string]string
		want   []string
	}{
		{"no id", []Config{{Provider: "eliza"}}, nil, []string{`models[0] (""): model_id: is missing`}},
		{"bad id", []Config{{ModelID: "a b", Provider: "eliza"}}, nil, []string{`models[0] ("a b"): model_id: must be printable`}},
		{"built-in model", []Config{{ModelID: "eliza", Name: "doctor"}}, nil, []string{`models[0] ("eliza"): model_id: is built in`}},
		{"built-in id", []Config{{ModelID: "eliza", Provider: "openai"}}, nil, []string{`models[0] ("eliza"): model_id: is built in`}},
		{"twice", []Config{{ModelID: "a", Provider: "eliza"}, {ModelID: "b", Provider: "eliza"}, {ModelID: "a", Provider: "eliza"}}, nil, []string{`models[2] ("a"): model_id: is that of models[0] already`}},
		{"provider", []Config{{ModelID: "a", Provider: "nobody"}}, nil, []string{`models[0] ("a"): provider: must be eliza, one of anthropic, azure, `}},
		{"no provider", []Config{{ModelID: "a"}}, nil, []string{`models[0] ("a"): provider: must be eliza, one of anthropic, azure, `}},
		{"name", []Config{{ModelID: "a", Provider: "eliza", Name: "Ann"}}, nil, []string{`models[0] ("a"): name: must be made of a-z`}},
		{"name with an @", []Config{{ModelID: "a", Provider: "eliza", Name: "@ann"}}, nil, []string{`models[0] ("a"): name: must`}},
		{"built-in name", []Config{{ModelID: "a", Provider: "eliza", Name: "eliza"}}, nil, []string{`models[0] ("a"): name: must`}},
		{"name twice", []Config{{ModelID: "a", Provider: "eliza", Name: "ann"}, {ModelID: "b", Provider: "eliza", Name: "ann"}}, nil, []string{`models[1] ("b"): name: is that of models[0] already`}},
		{"window", []Config{{ModelID: "a", Provider: "eliza", ContextWindow: -1}}, nil, []string{`models[0] ("a"): context_window: must not`}},
		{"tokens", []Config{{ModelID: "a", Provider: "eliza", MaxTokens: -1}}, nil, []string{`models[0] ("a"): max_tokens: must not`}},
		{"fallback to itself", []Config{{ModelID: "a", Provider: "eliza", Fallbacks: []string{"a"}}}, nil, []string{`models[0] ("a"): fallbacks[0] ("a"): is the model itself`}},
		{"fallback twice", []Config{{ModelID: "a", Provider: "eliza", Fallbacks: []string{"eliza", "eliza"}}}, nil, []string{`fallbacks[1] ("eliza"): is there already`}},
		{"fallback to nothing", []Config{{ModelID: "a", Provider: "eliza", Fallbacks: []string{"nobody:x"}}}, nil, []string{`fallbacks[0] ("nobody:x"): is not a model`}},
		{"fallback to a session", []Config{{ModelID: "a", Provider: "eliza", Fallbacks: []string{"b"}}, {ModelID: "b", Provider: "openai", APISource: "openai_realtime"}}, nil,
			[]string{`models[0] ("a"): fallbacks[0] ("b"): is not a model`}},
		{"no runs", []Config{{ModelID: "a", Provider: "eliza", Resume: true}}, nil, []string{`models[0] ("a"): resume: only`}},
		{"no runs in another protocol", []Config{{ModelID: "a", Provider: "anthropic", Resume: true}}, map[string]string{"ANTHROPIC_API_KEY": "k"}, []string{`models[0] ("a"): resume: only`}},
		{"no runs in sessions", []Config{{ModelID: "a", Provider: "openai", APISource: "openai_realtime", Resume: true}}, map[string]string{"OPENAI_API_KEY": "k"}, []string{`models[0] ("a"): resume: only`}},
		{"no key for a provider", []Config{{ModelID: "a", Provider: "groq"}}, nil, []string{`models[0] ("a"): provider: groq cannot be asked: GROQ_API_KEY is not set`}},
		{"no URL for azure", []Config{{ModelID: "a", Provider: "azure"}}, map[string]string{"AZURE_OPENAI_API_KEY": "k"}, []string{`AZURE_OPENAI_ENDPOINT is not set`}},
		{"bad AZURE_OPENAI_ENDPOINT", nil, map[string]string{"AZURE_OPENAI_ENDPOINT": "azure/" + secret}, []string{"AZURE_OPENAI_ENDPOINT: "}},
		{"source", []Config{{ModelID: "a", Provider: "eliza", APISource: "x"}}, nil, []string{`models[0] ("a"): model_api_source: must be one of aisuite, anthropic, openai_realtime`}},
		{"base URL", []Config{{ModelID: "a", Provider: "openai", BaseURL: "http://u:" + secret + "@h/"}}, nil, []string{`models[0] ("a"): base_url: `}},
		{"key variable unset", []Config{{ModelID: "a", Provider: "openai", KeyVar: secret}}, nil, []string{`models[0] ("a"): key_var: the environment variable that it names is not set`}},
		{"key variable empty", []Config{{ModelID: "a", Provider: "openai", KeyVar: "K"}}, map[string]string{"K": ""}, []string{`models[0] ("a"): key_var: `}},
		{"no key for OpenAI", []Config{{ModelID: "a", Provider: "openai"}}, nil, []string{`models[0] ("a"): provider: openai cannot be asked: OPENAI_API_KEY is not set`}},
		{"no endpoint for Azure", []Config{{ModelID: "a", Provider: "azure"}}, map[string]string{"AZURE_OPENAI_API_KEY": "k"}, []string{`models[0] ("a"): provider: azure cannot be asked: AZURE_OPENAI_ENDPOINT is not set`}},
		{"bad key", []Config{{ModelID: "a", Provider: "openai", KeyVar: "K"}}, map[string]string{"K": secret + "\n" + secret}, []string{`models[0] ("a"): key_var: `}},
		{"bad OPENAI_API_KEY", nil, map[string]string{"OPENAI_API_KEY": secret + "\x00"}, []string{"OPENAI_API_KEY: "}},
		{"bad OPENAI_BASE_URL", nil, map[string]string{"OPENAI_BASE_URL": "localhost/" + secret}, []string{"OPENAI_BASE_URL: "}},
		{"all at once", []Config{{Provider: "x", APISource: "y", BaseURL: "z"}, {ModelID: "b"}}, nil,
			[]string{"models[0] (\"\"): model_id", "models[0] (\"\"): provider", "models[0] (\"\"): model_api_source", "models[0] (\"\"): base_url", `models[1] ("b"): provider`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := New(Options{Models: test.models, LookupEnv: env(test.env)})
			if err == nil || m != nil {
				t.Fatalf("got %v, %v", m, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error %q holds a secret", err)
			}
		})
	}
}

// TestConfigTags checks that a file has the names that the documentation has,
// in both formats.
func TestConfigTags(t *testing.T) {
	const file = `{model_id: a, model_api_source: b, provider: c, display_name: d, full_name: e, description: f,
		base_url: g, key_var: h, upstream_model: i, name: j, context_window: 1, max_tokens: 2, vision: true, system_prompt: k, hidden: true, fallbacks: [l], resume: true, tools: ["*"], approval: ask, prompt_price: 2.5, completion_price: 10,
		system: fold, usage: false, max_tokens_field: max_tokens, finish: lenient}`
	want := Config{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", 1, 2, new(true), "k", true, []string{"l"}, true, []string{"*"}, chat.ApprovalAsk, 2.5, 10, Dialect{"fold", new(false), "max_tokens", "lenient"}}
	var got Config
	if err := yaml.Unmarshal([]byte(file), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("yaml (-want +got):\n%s", diff)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != f.Tag.Get("yaml") || name == "" {
			t.Errorf("%s is %q in JSON and %q in YAML", f.Name, name, f.Tag.Get("yaml"))
		}
	}
}

// echo is a provider whose answer says who was asked, and with which key.
func echo(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Model string }
		json.NewDecoder(r.Body).Decode(&req)
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"choices":[{"delta":{"content":"`+name+" "+req.Model+" "+key+`"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// An answer that is to be read on is not asked for anew, of whomever.
func TestRunOfAnotherBackend(t *testing.T) {
	m := newModels(t, Options{
		Models:    []Config{{ModelID: "a", Provider: "mine", Fallbacks: []string{"eliza"}}},
		Providers: map[string]ProviderConfig{"mine": {BaseURL: echo(t, "mine")}},
	})
	prompt := chat.Prompt{Model: "a", Run: &chat.Run{ID: "resp_1", Model: "a"}, Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hi"}}}
	for d, err := range m.Stream(t.Context(), prompt) {
		if !errors.Is(err, chat.ErrRunGone) {
			t.Errorf("got %+v, %v", d, err)
		}
	}
	if err := m.CancelRun(t.Context(), *prompt.Run); err != nil {
		t.Error(err)
	}
}

func said(t *testing.T, answer iter.Seq2[chat.Delta, error]) string {
	t.Helper()
	text := ""
	for d, err := range answer {
		if err != nil {
			t.Fatal(err)
		}
		text += d.Text
	}
	return text
}

// TestStream checks where a prompt goes, under which name and with which key.
func TestStream(t *testing.T) {
	general, other := echo(t, "general"), echo(t, "other")
	m := newModels(t, Options{
		LookupEnv: env(map[string]string{"OPENAI_API_KEY": "general-key\n", "OPENAI_BASE_URL": general, "OTHER_KEY": "other-key"}),
		Eliza:     eliza.Options{Delay: -1},
		Upstream:  upstream.Options{MaxEvent: 4096},
		Models: []Config{
			{ModelID: "plain", Provider: ProviderOpenAI},
			{ModelID: "aisuite.openai:suite", Provider: ProviderOpenAI},
			{ModelID: "llama3:8b", Provider: ProviderOpenAI, BaseURL: other},
			{ModelID: "keyed", Provider: ProviderOpenAI, BaseURL: other, KeyVar: "OTHER_KEY"},
			{ModelID: "renamed", Provider: ProviderOpenAI, KeyVar: "OTHER_KEY", UpstreamModel: "openai:up"},
			{ModelID: "doctor", Provider: ProviderEliza},
		},
	})
	for id, want := range map[chat.ModelID]string{
		"plain":                     "general plain general-key",
		"aisuite.openai:suite":      "general suite general-key",
		"aisuite.openai:unlisted:1": "general unlisted:1 general-key",
		"openai:unlisted":           "general unlisted general-key",
		"llama3:8b":                 "other llama3:8b ",
		"keyed":                     "other keyed other-key",
		"renamed":                   "general openai:up other-key",
	} {
		p := chat.Prompt{Model: id, Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}
		if got := said(t, m.Stream(t.Context(), p)); got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	for _, id := range []chat.ModelID{"eliza", "doctor"} {
		if got := said(t, m.Stream(t.Context(), chat.Prompt{Model: id})); got == "" {
			t.Errorf("%s: no answer", id)
		}
	}
}

func TestConnectionsAreShared(t *testing.T) {
	m := newModels(t, Options{
		LookupEnv: env(map[string]string{"OPENAI_API_KEY": "k"}),
		Models: []Config{
			{ModelID: "a", Provider: ProviderOpenAI},
			{ModelID: "b", Provider: ProviderOpenAI, BaseURL: "http://localhost:1"},
			{ModelID: "c", Provider: ProviderOpenAI, BaseURL: "http://localhost:1"},
		},
	})
	n := 0
	for at := range m.clients {
		if at.key == "k" || at.baseURL == "http://localhost:1" {
			n++
		}
	}
	if n != 3 { // openai has a second one, for models that think in silence
		t.Errorf("%d clients, want 3", n)
	}
}

func TestStreamOfUnknownModel(t *testing.T) {
	m := newModels(t, Options{})
	n := 0
	for d, err := range m.Stream(t.Context(), chat.Prompt{Model: "openai:gpt-4o"}) {
		if e := chat.AsError(err); n > 0 || e == nil || e.Code != chat.CodeNotFound {
			t.Errorf("got %+v, %v", d, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("yielded %d times", n)
	}
}

// A model of the realtime family is asked in sessions, at its provider's
// address and with its key.
func TestRealtimeModels(t *testing.T) {
	asked := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization") + " " + r.Header.Get("Upgrade") + " " + r.URL.RequestURI()
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer srv.Close()
	m := newModels(t, Options{
		Models:    []Config{{ModelID: "openai:gpt-realtime", Provider: ProviderOpenAI, APISource: chat.SourceRealtime}},
		LookupEnv: env(map[string]string{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": srv.URL + "/v1"}),
	})
	if model, ok := m.Model("openai:gpt-realtime"); !ok || !model.Duplex() {
		t.Errorf("the model is %+v", model)
	}
	input := make(chan chat.Input, 1)
	input <- chat.Ask{Answer: "a", Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hello"}}}
	for d, err := range m.Stream(t.Context(), chat.Prompt{Model: "openai:gpt-realtime", Input: input}) {
		if err != nil || d.Ended == nil || d.Ended.Error == nil {
			t.Errorf("got %+v, %v", d, err)
		}
		break
	}
	if got, want := <-asked, "Bearer k websocket /v1/realtime?model=gpt-realtime"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}

	_, err := New(Options{Models: []Config{{ModelID: "x", Provider: ProviderEliza, APISource: chat.SourceRealtime}}})
	if err == nil || !strings.Contains(err.Error(), "model_api_source: the provider holds no sessions") {
		t.Errorf("eliza as a model that listens: %v", err)
	}
}

func TestOneName(t *testing.T) {
	for id, want := range map[chat.ModelID]chat.ModelID{
		"openai:a:b": "openai:a:b", "aisuite.openai:a:b": "openai:a:b", "aisuite.google:c": "gemini:c", "best": "best", "aisuite.best": "aisuite.best", "*": "*", "": "",
	} {
		if got := OneName(id); got != want {
			t.Errorf("OneName(%q) = %q, want %q", id, got, want)
		}
	}
}
