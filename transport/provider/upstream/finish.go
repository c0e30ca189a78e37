package upstream

import (
	"strings"

	"parlor/protocol/chat"
)

// finishes are the words that providers have for why an answer ends, of all
// protocols.
var finishes = map[string]chat.Finish{
	"length":         chat.FinishLength,
	"max_tokens":     chat.FinishLength,
	"max_length":     chat.FinishLength,
	"max_new_tokens": chat.FinishLength,

	"max_output_tokens":     chat.FinishLength,
	"max_completion_tokens": chat.FinishLength,

	"content_filter":     chat.FinishFilter,
	"content_filtered":   chat.FinishFilter,
	"safety":             chat.FinishFilter,
	"recitation":         chat.FinishFilter,
	"blocklist":          chat.FinishFilter,
	"prohibited_content": chat.FinishFilter,
	"spii":               chat.FinishFilter,
	"sensitive":          chat.FinishFilter,
	"error_toxic":        chat.FinishFilter,

	"guardrail_intervened": chat.FinishFilter,

	"refusal": chat.FinishRefusal,

	"tool_calls":    chat.FinishToolCalls,
	"tool_call":     chat.FinishToolCalls,
	"tool_use":      chat.FinishToolCalls,
	"function_call": chat.FinishToolCalls,

	"model_context_window_exceeded": chat.FinishContext,
	"context_window_exceeded":       chat.FinishContext,
	"context_length_exceeded":       chat.FinishContext,
	"context_length":                chat.FinishContext,
	"context_full":                  chat.FinishContext,
	"model_length":                  chat.FinishContext,

	"pause_turn": chat.FinishPause,
	"pause":      chat.FinishPause,
}

// FinishOf returns what a provider's reason for the end of an answer means. One
// that nobody knows is an end all the same. Some servers say "null" for as long
// as there is none.
func FinishOf(reason string) chat.Finish {
	reason = strings.ToLower(strings.TrimSpace(reason))
	if reason == "" || reason == "null" || reason == "none" {
		return ""
	}
	before, _, _ := strings.Cut(reason, ":") // as in "content_filter: recitation"
	if f, ok := finishes[before]; ok {
		return f
	}
	return chat.FinishStop
}
