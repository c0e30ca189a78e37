package provider

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/guard"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// Models that are known to think in silence may take longer for their first word,
// unless the operator has said how long it may take.
func TestThinkersMayTakeLonger(t *testing.T) {
	const short, long, own = 20 * time.Second, 90 * time.Second, 30 * time.Second
	for model, want := range map[chat.ModelID]time.Duration{
		"openai:gpt-4o-mini": short, "openai:o3": long, "openai:o4-mini-2025-04-16": long, "openai:gpt-5-nano": long, "openai:gpt-4o": short,
		"openai:omni-1": short, "openai:pro1": short,
		"gemini:gemini-2.5-flash": short, "gemini:gemini-2.5-pro": long, "mine:org/deepseek-r1:14b": long, "mine:qwen3-30b-a3b-thinking": long,
		"mine:llama3": short, "deepseek:deepseek-chat": long, "openrouter:meta-llama/llama-3.3-70b": long, "deepseek:deepseek-reasoner": long,
		"own:o3": own, "own:llama3": own, "best": long, "anthropic:claude-sonnet-4-5": short,
	} {
		t.Run(string(model), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModels(t, Options{
					LookupEnv: env(map[string]string{"OPENAI_API_KEY": "k", "DEEPSEEK_API_KEY": "k", "OPENROUTER_API_KEY": "k", "GEMINI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}),
					Providers: map[string]ProviderConfig{
						"mine": {BaseURL: "http://mine.example/v1"}, "own": {BaseURL: "http://own.example/v1", FirstTokenTimeout: Duration(own)},
						"openai": {BaseURL: "http://x.example"}, "gemini": {BaseURL: "http://x.example"}, "anthropic": {BaseURL: "http://x.example"},
						"deepseek": {BaseURL: "http://api.deepseek.com"}, "openrouter": {BaseURL: "http://openrouter.ai/api"},
					},
					Models:   []Config{{ModelID: "best", Provider: "mine", UpstreamModel: "o1-pro"}},
					Thinking: long, Guard: guard.Options{Retries: -1},
					Upstream: upstream.Options{FirstToken: short, DialContext: providertest.Pipe(t, func(conn net.Conn) {
						providertest.ReadRequest(conn)
						providertest.UntilClosed(conn)
					})},
				})
				start := time.Now()
				for _, err := range m.Stream(t.Context(), chat.Prompt{Model: model, Messages: []chat.PromptMessage{{Role: chat.RoleUser, Content: "hi"}}}) {
					if e := chat.AsError(err); e == nil || e.Code != chat.CodeProviderTimeout {
						t.Errorf("got %v", e)
					}
				}
				if got := time.Since(start); got != want {
					t.Errorf("it may take %v, want %v", got, want)
				}
			})
		})
	}
}
