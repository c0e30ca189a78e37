package main

import (
	"net/http"

	"parlor/actors/completion"
	"parlor/protocol/chat"
	"parlor/transport/openai"
)

// addOpenAI serves OpenAI's API.
func (s *server) addOpenAI(mux *http.ServeMux) {
	completions := s.newCompletions()
	s.parts.add("completions", completions.Close)
	server := openai.New(openai.Options{
		Rooms: noted{s.rooms}, Follower: s.follower, Completer: completions, Models: s.models, Streams: s.streams,
		SignIn: s.verifier.SignIn, Protect: s.api.Protect, Limits: s.limits, Logger: s.log,
		MaxBytes: int(s.MaxPromptBytes), TurnPolicy: chat.Policy(s.TurnPolicy),
	})
	for _, base := range s.bases() {
		server.Register(mux, base+"/v1")
	}
}

// newCompletions asks models outside of any room.
func (s *server) newCompletions() *completion.Completions {
	return completion.New(completion.Options{
		Provider: s.asked(), Models: s.models, Log: s.store, Ledger: s.budgets, Logger: s.log, SystemPrompt: s.SystemPrompt,
		PerUser: s.MaxCompletionsPerUser, MaxAnswerBytes: int(s.MaxAnswerBytes), Timeout: s.TurnTimeout,
	})
}
