package assistant

import (
	"slices"
	"strings"
)

// words are the first words of all events that clients are told.
var words = []string{
	"activity", "approval", "assistant", "audio", "branch", "error", "event_error", "event_received", "function_call", "function_error", "function_progress", "function_result", "function_run", "invite", "members", "message",
	"message_error", "message_sent", "offer", "presence", "receive_message", "resumed", "room_created", "room_error",
	"room_found", "room_join_error", "room_joined", "room_left", "room_not_found", "room_updated", "stream_chunk", "stream_end",
	"stream_error", "stream_start", "stream_thought", "turn", "withdrawn",
}

// Reserved reports whether an event of that name is one of this wire, in either direction,
// so that nobody else may send it to clients.
func Reserved(event string) bool {
	word, _, _ := strings.Cut(event, " ")
	return slices.Contains(words, word) || decoders[word] != nil
}
