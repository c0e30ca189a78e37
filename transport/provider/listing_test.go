package provider

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// answers returns a handler that sends a body for a path, and 404 for any other.
func answers(path, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, body)
	}
}

// keys are what is in the environment of somebody who has keys, for servers that a
// test can reach.
var keys = map[string]string{
	"OPENAI_API_KEY": "openai-key", "OPENAI_BASE_URL": "http://10.0.0.5/v1",
	"ANTHROPIC_API_KEY": "anthropic-key", "ANTHROPIC_BASE_URL": "http://10.0.0.6",
}

const (
	openAIList = `{"object":"list","data":[{"id":"gpt-4.1","object":"model"},{"id":"text-embedding-3-small"},{"id":"whisper-1"},{"id":"gpt-4o-mini"},
		{"id":"tts-1-hd"},{"id":"gpt-4o-realtime-preview"},{"id":"dall-e-3"},{"id":"omni-moderation-latest"},{"id":"gpt-image-1"},{"id":"o3"}]}`
	anthropicList = `{"data":[{"type":"model","id":"claude-opus-4-1","display_name":"Claude Opus 4.1","created_at":"2025-08-05T00:00:00Z"},
		{"type":"model","id":"claude-3-haiku","display_name":"Claude Haiku 3"}],"has_more":false,"first_id":"a","last_id":"b"}`
)

// start makes models in a bubble with the servers of keys.
func start(t *testing.T, n *network, o Options) *Models {
	t.Helper()
	n.serve("10.0.0.5:80", answers("/v1/models", openAIList))
	n.serve("10.0.0.6:80", answers("/v1/models", anthropicList))
	o.Discover = true
	if o.LookupEnv == nil {
		o.LookupEnv = env(keys)
	}
	m := newModels(t, n.options(o))
	synctest.Wait()
	return m
}

// A key alone fills the list, with what its provider has and people can talk with.
func TestKeysFillTheList(t *testing.T) {
	for _, test := range []struct {
		name string
		opts Options
		want []chat.ModelID
	}{
		{"keys alone", Options{}, []chat.ModelID{"anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "openai:gpt-4o-mini", "openai:gpt-4.1", "openai:o3", "eliza"}},
		{"what is configured comes first", Options{Models: []Config{{ModelID: "best", Provider: "openai", UpstreamModel: "gpt-4.1"}, {ModelID: "eliza"}}},
			[]chat.ModelID{"best", "eliza", "anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "openai:gpt-4o-mini", "openai:o3"}},
		{"what is hidden is not listed by its other name", Options{Models: []Config{{ModelID: "aisuite.openai:O3", Provider: "openai", Hidden: true}, {ModelID: "eliza", Hidden: true}}},
			[]chat.ModelID{"anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "openai:gpt-4o-mini", "openai:gpt-4.1"}},
		{"a limit", Options{DiscoverLimit: 1}, []chat.ModelID{"anthropic:claude-opus-4-1", "openai:gpt-4o-mini", "eliza"}},
		{"a limit of one", Options{Providers: map[string]ProviderConfig{"openai": {Filter: Filter{Limit: 2}}}},
			[]chat.ModelID{"openai:gpt-4o-mini", "openai:gpt-4.1", "anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "eliza"}},
		{"a filter", Options{Providers: map[string]ProviderConfig{"openai": {Filter: Filter{Only: []string{"GPT-4*", "text-*"}, Except: []string{"*-mini", "*realtime*"}}}}},
			[]chat.ModelID{"openai:gpt-4.1", "openai:text-embedding-3-small", "anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "eliza"}},
		{"not asked", Options{Providers: map[string]ProviderConfig{"openai": {Discover: new(false)}}}, []chat.ModelID{"anthropic:claude-opus-4-1", "anthropic:claude-3-haiku", "eliza"}},
		{"only what is configured", Options{ModelsOnly: true, Models: []Config{{ModelID: "best", Provider: "openai", UpstreamModel: "gpt-4.1"}}}, []chat.ModelID{"best", "eliza"}},
		{"nothing is configured", Options{ModelsOnly: true}, []chat.ModelID{"eliza"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := start(t, newNetwork(), test.opts)
				defer m.Close()
				list := m.List()
				if diff := cmp.Diff(test.want, ids(list)); diff != "" {
					t.Errorf("list (-want +got):\n%s", diff)
				}
				for _, want := range list {
					if got, ok := m.Model(want.ID); !ok || got != want {
						t.Errorf("Model(%q) = %+v, listed as %+v", want.ID, got, want)
					}
				}
			})
		})
	}
}

// Each API is asked with its own path, version and header, and shows its own names.
func TestAnthropicList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		asked := make(chan *http.Request, 10)
		m := start(t, n, Options{DiscoverEvery: time.Minute})
		defer m.Close()
		n.serve("10.0.0.6:80", func(w http.ResponseWriter, r *http.Request) { asked <- r; io.WriteString(w, anthropicList) })
		time.Sleep(time.Minute)
		synctest.Wait()
		r := <-asked
		if h := r.Header; h.Get("X-Api-Key") != "anthropic-key" || h.Get("Authorization") != "" || h.Get("Anthropic-Version") == "" || r.URL.RequestURI() != "/v1/models?limit=1000" {
			t.Errorf("asked %s with %v", r.URL.RequestURI(), h)
		}
		want := chat.Model{
			ID: "anthropic:claude-3-haiku", APISource: "aisuite", Provider: "anthropic", DisplayName: "Claude Haiku 3",
			FullName: "anthropic:claude-3-haiku", Vision: true, State: chat.ProviderClosed,
		}
		if diff := cmp.Diff(want, m.List()[1]); diff != "" {
			t.Errorf("model (-want +got):\n%s", diff)
		}
	})
}

// Servers agree on little more than the id.
func TestShapesOfLists(t *testing.T) {
	for body, want := range map[string][]chat.ModelID{
		`[{"id":"a/b"},{"id":"c"}]`: {"p:a/b", "p:c"},
		`{"data":[{"id":"a","context_length":1000,"architecture":{"output_modalities":["text"]}},{"id":"b","architecture":{"output_modalities":["image"]}}]}`:                                                    {"p:a"},
		`{"object":"list","data":[{"id":"models/gemini-2.5-flash"},{"id":"models/text-embedding-004"}]}`:                                                                                                         {"p:gemini-2.5-flash"},
		`{"object":"list","data":[{"id":"mistral-large-latest","capabilities":{"completion_chat":true}},{"id":"mistral-x","capabilities":{"completion_chat":false}}]}`:                                           {"p:mistral-large-latest"},
		`{"data":["a",null,7,{"id":8},{"id":"b","capabilities":["completion"]},{"id":"c","architecture":"llama","name":5},{"capabilities":[],"id":"d"},{"id":"e","architecture":{"output_modalities":"text"}}]}`: {"p:b", "p:c", "p:d", "p:e"},
		`{"object":"list","data":[]}`:          {},
		`{"data":[{"id":"nomic-embed-text"}]}`: {},
		`{"models":[]}`:                        nil,
		`"no"`:                                 nil,
		`{"data":{"id":"a"}}`:                  nil,
	} {
		got, err := host{name: "p", filter: Filter{}.compile(10)}.decodeModels(strings.NewReader(body))
		if !slices.Equal(ids(got), want) || (err != nil) != (want == nil) {
			t.Errorf("%s: got %v, %v, want %v", body, ids(got), err, want)
		}
	}
}

// A base URL stands for whatever is there: nothing is listed that it does not name,
// also if it names nothing, and anything can be asked.
func TestNothingIsListedThatTheServerDoesNotName(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"nobody": nil, "no list": http.NotFound, "an empty one": answers("/v1/models", `{"object":"list","data":[]}`)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.serve("10.0.0.5:80", h)
				m := newModels(t, n.options(Options{Discover: true, LookupEnv: env(map[string]string{"OPENAI_BASE_URL": "http://10.0.0.5/v1"})}))
				defer m.Close()
				for range 2 {
					if diff := cmp.Diff([]chat.ModelID{"eliza"}, ids(m.List())); diff != "" {
						t.Errorf("list (-want +got):\n%s", diff)
					}
					if refusal := m.Refusal("openai:typed"); refusal != nil {
						t.Error(refusal)
					}
					synctest.Wait()
				}
			})
		})
	}
}

// A provider that was reached keeps its models while it is away, is asked again
// soon, and else at the times that are configured.
func TestListsAreRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		m := start(t, n, Options{DiscoverEvery: time.Hour})
		defer m.Close()
		time.Sleep(time.Hour - time.Minute)
		for range 10 { // nobody who lists models has other computers asked
			m.List()
			time.Sleep(time.Second)
		}
		if got := n.times("10.0.0.5:80"); got != 1 {
			t.Errorf("asked %d times in an hour", got)
		}
		n.serve("10.0.0.5:80", nil)
		time.Sleep(80 * time.Second)
		away := m.List()
		if got := n.times("10.0.0.5:80"); got != 2 || len(away) != 6 {
			t.Errorf("asked %d times, lists %v", got, ids(away))
		}
		n.serve("10.0.0.5:80", models("new"))
		time.Sleep(2 * time.Minute)
		if got := ids(m.List()); !slices.Contains(got, "openai:new") || slices.Contains(got, "openai:o3") {
			t.Errorf("lists %v", got)
		}
	})
}

// A log is what the operator reads.
type safeLog struct {
	mu sync.Mutex
	strings.Builder
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *safeLog) lines() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.String()) {
		_, line, _ = strings.Cut(line, "level=")
		all = append(all, strings.TrimSpace(line))
	}
	slices.Sort(all)
	return all
}

// The start says of each provider, in one line, whether there is a key, whether it
// can be reached, and how many models it has. It waits for none of them.
func TestProvidersAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.serve("10.0.0.7:80", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		n.serve("10.0.0.8:80", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		n.serve("127.0.0.1:11434", models("llama3"))
		log := new(safeLog)
		begin := time.Now()
		m := start(t, n, Options{
			Logger: slog.New(slog.NewTextHandler(log, nil)),
			Providers: map[string]ProviderConfig{
				"wrong": {BaseURL: "http://10.0.0.7/v1"}, "hangs": {BaseURL: "http://10.0.0.8/v1?key=secret"}, "away": {BaseURL: "http://10.0.0.9/v1"},
				"keyless": {BaseURL: "http://10.0.0.9/v1", KeyVar: "MINE"}, "groq": {Discover: new(false)},
			},
			LookupEnv: env(map[string]string{
				"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://10.0.0.5/v1", "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://10.0.0.6", "GROQ_API_KEY": "k",
			}),
		})
		defer m.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("the start took %v", took)
		}
		time.Sleep(10 * time.Minute)
		want := []string{
			`INFO msg=provider provider=anthropic key=found reachable=yes models=2`,
			`INFO msg=provider provider=azure key="AZURE_OPENAI_ENDPOINT is not set"`,
			`INFO msg=provider provider=deepseek key="DEEPSEEK_API_KEY is not set"`,
			`INFO msg=provider provider=gemini key="GEMINI_API_KEY is not set"`,
			`INFO msg=provider provider=groq key=found reachable="not asked"`,
			`INFO msg=provider provider=keyless key="the environment variable that its key_var names is not set"`,
			`INFO msg=provider provider=llamacpp key=none reachable=no models=0 err="connection refused"`,
			`INFO msg=provider provider=lmstudio key=none reachable=no models=0 err="connection refused"`,
			`INFO msg=provider provider=mistral key="MISTRAL_API_KEY is not set"`,
			`INFO msg=provider provider=ollama key=none reachable=yes models=1`,
			`INFO msg=provider provider=openai key=found reachable=yes models=3`,
			`INFO msg=provider provider=openrouter key="OPENROUTER_API_KEY is not set"`,
			`INFO msg=provider provider=vllm key=none reachable=no models=0 err="connection refused"`,
			`INFO msg=provider provider=xai key="XAI_API_KEY is not set"`,
			`WARN msg=provider provider=away key=none reachable=no models=0 err="connection refused"`,
			`WARN msg=provider provider=hangs key=none reachable=no models=0 err="context deadline exceeded"`,
			`WARN msg=provider provider=wrong key=none reachable=yes models=0 err="status 401"`,
		}
		if diff := cmp.Diff(want, log.lines()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// With models-only nobody has the operator's key ask any other model, however it is
// written. What the operator has named, as a fallback, is asked.
func TestModelsOnly(t *testing.T) {
	url, _ := answering(t)
	m := newModels(t, Options{
		Guard: never, ModelsOnly: true,
		Providers: map[string]ProviderConfig{"mine": {BaseURL: url}},
		Models:    []Config{{ModelID: "best", Provider: "mine", UpstreamModel: "fails", Fallbacks: []string{"mine:well"}}, {ModelID: "mine:other", Provider: "mine"}},
	})
	for id, want := range map[chat.ModelID]bool{
		"best": true, "mine:other": true, "aisuite.mine:other": true, "eliza": true,
		"mine:well": false, "aisuite.mine:well": false, "mine:fails": false, "mine:Other": false, "mine:other:latest": false, "nobody": false,
	} {
		_, ok := m.Model(id)
		refusal := m.Refusal(id)
		if ok != want || (refusal == nil) != want {
			t.Errorf("%s: %t, %v", id, ok, refusal)
		}
	}
	if got := said(t, m.Stream(t.Context(), chat.Prompt{Model: "best"})); got != "word" {
		t.Errorf("got %q of the fallback", got)
	}
}

func TestIdentity(t *testing.T) {
	m := newModels(t, Options{
		LookupEnv: env(keys),
		Providers: map[string]ProviderConfig{
			"mine": {BaseURL: "http://10.0.0.9/v1"}, "again": {BaseURL: "http://10.0.0.9/V1/"}, "ollama": {}, "other": {BaseURL: "http://10.0.0.8/v1"},
			"port": {BaseURL: "HTTP://10.0.0.9:80//v1"}, "query": {BaseURL: "http://10.0.0.9/v1?key=x"}, "tls": {BaseURL: "https://10.0.0.9/v1"}, "port81": {BaseURL: "http://10.0.0.9:81/v1"},
			"here": {BaseURL: "http://localhost:9000/v1"}, "here4": {BaseURL: "http://127.0.0.1:9000/v1"}, "here6": {BaseURL: "http://[::1]:9000/v1"},
			"name": {BaseURL: "https://llm.example.com/v1"}, "dot": {BaseURL: "https://LLM.example.com.:443/v1/"},
		},
		Models: []Config{
			{ModelID: "best", Provider: "mine", UpstreamModel: "big-model"}, {ModelID: "elsewhere", Provider: "mine", UpstreamModel: "big-model", BaseURL: "http://10.0.0.7"},
			{ModelID: "doctor", Provider: "eliza"}, {ModelID: "hears", Provider: "openai", UpstreamModel: "gpt-realtime", APISource: chat.SourceRealtime},
		},
	})
	for _, same := range [][]chat.ModelID{
		{"best", "mine:big-model", "aisuite.mine:big-model", "mine:Big-Model", "mine:BIG-MODEL:latest", "again:big-model", "port:big-model", "query:big-model"},
		{"tls:big-model"}, {"port81:big-model"}, {"here:m", "here4:m", "here6:m"}, {"name:m", "dot:m"},
		{"elsewhere"}, {"other:big-model"}, {"mine:big-model-2"}, {"eliza", "doctor"},
		{"ollama:llama3", "ollama:llama3:latest", "ollama:library/llama3", "ollama:registry.ollama.ai/library/llama3:latest"}, {"ollama:llama3:8b"},
		{"gemini:gemini-2.5-pro", "google:models/gemini-2.5-pro"}, {"openrouter:openai/gpt-4o", "openrouter:openai/gpt-4o:nitro", "openrouter:openai/gpt-4o:online:nitro", "openrouter:openai/gpt-4o:nitro:online"}, {"openrouter:openai/gpt-4o:free"},
		{"hears", "openai:gpt-realtime"}, {"nobody:x"}, {"nobody"}, {""}, {"*"},
	} {
		provider, want := m.Identity(same[0])
		for _, id := range same[1:] {
			if p, got := m.Identity(id); got != want || p != provider && strings.HasPrefix(string(id), string(provider)+":") {
				t.Errorf("%s is %q of %q, %s is %q of %q", id, got, p, same[0], want, provider)
			}
		}
		for _, id := range []chat.ModelID{"best", "elsewhere", "other:big-model", "tls:big-model", "port81:big-model", "here:m", "name:m", "mine:big-model-2", "eliza", "ollama:llama3:8b", "openrouter:openai/gpt-4o:free", "nobody:x", "", "*"} {
			if _, got := m.Identity(id); got == want && !slices.Contains(same, id) {
				t.Errorf("%s is the same as %s", id, same[0])
			}
		}
	}
}
