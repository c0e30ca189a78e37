package provider

import (
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// TestDialects checks what clients are told of a server: by the table, by its
// provider and by a model there.
func TestDialects(t *testing.T) {
	keys := map[string]string{"OPENAI_API_KEY": "k", "MISTRAL_API_KEY": "k", "GROQ_API_KEY": "k"}
	m := newModels(t, Options{
		LookupEnv: env(keys),
		Providers: map[string]ProviderConfig{
			"groq": {Dialect: Dialect{System: "fold", Usage: new(false), Finish: "lenient"}},
			"mine": {BaseURL: "http://localhost:1", Dialect: Dialect{System: "none"}},
		},
		Models: []Config{
			{ModelID: "own", Provider: "groq", Dialect: Dialect{System: "send", MaxTokensField: "max_completion_tokens", Finish: "strict"}},
			{ModelID: "as-provider", Provider: "groq"},
			{ModelID: "elsewhere", Provider: "groq", BaseURL: "http://localhost:2", Dialect: Dialect{Usage: new(true)}},
		},
	})
	for id, want := range map[chat.ModelID]upstream.Dialect{
		"openai:gpt-4o": {MaxTokensField: "max_completion_tokens"},
		"mistral:small": {NoUsage: true},
		"groq:gemma":    {System: "fold", NoUsage: true, LenientFinish: true},
		"mine:m":        {System: "none"},
		"as-provider":   {System: "fold", NoUsage: true, LenientFinish: true},
		"own":           {System: "send", NoUsage: true, MaxTokensField: "max_completion_tokens"},
		"elsewhere":     {},
	} {
		e, refusal := m.find(id)
		if refusal != nil {
			t.Fatalf("%s: %v", id, refusal)
		}
		for at, c := range m.clients {
			if c == e.backend && at.dialect != want {
				t.Errorf("%s: %+v, want %+v", id, at.dialect, want)
			}
		}
	}

	keys["OPENAI_BASE_URL"] = "http://localhost:3/v1"
	if got := newModels(t, Options{LookupEnv: env(keys)}).hosts["openai"].at.dialect; got != (upstream.Dialect{}) {
		t.Errorf("another server than OpenAI's: %+v", got)
	}
}
