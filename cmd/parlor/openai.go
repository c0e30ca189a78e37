package main

import (
	"log/slog"
	"net/http"

	"parlor/actors/completion"
	"parlor/actors/ledger"
	"parlor/persistence"
	"parlor/protocol/chat"
	"parlor/transport/openai"
	"parlor/transport/provider"
)

// addOpenAI serves OpenAI's API.
func addOpenAI(mux *http.ServeMux, s Settings, o openai.Options) {
	o.MaxBytes, o.TurnPolicy = int(s.MaxPromptBytes), chat.Policy(s.TurnPolicy)
	server := openai.New(o)
	for _, base := range s.bases() {
		server.Register(mux, base+"/v1")
	}
}

// newCompletions asks models outside of any room.
func newCompletions(s Settings, models *provider.Models, store *persistence.Store, budgets *ledger.Ledger, log *slog.Logger) *completion.Completions {
	return completion.New(completion.Options{
		Provider: models, Models: models, Log: store, Ledger: budgets, Logger: log, SystemPrompt: s.SystemPrompt,
		PerUser: s.MaxCompletionsPerUser, MaxAnswerBytes: int(s.MaxAnswerBytes), Timeout: s.TurnTimeout,
	})
}
