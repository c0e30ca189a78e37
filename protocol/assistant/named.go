package assistant

import (
	"encoding/json"

	"parlor/protocol/chat"
)

// A Named is an event of the documented dialect for wires that name the room elsewhere.
type Named struct {
	Event string // without the id of the room
	Body  json.RawMessage
}

// HookEvents are the names of the events that [NamedEvents] returns.
var HookEvents = []string{
	"message", "withdrawn", "turn", "stream_start", "stream_error", "stream_end", "function_call", "function_result", "approval", "members", "offer", "invite", "room_updated",
}

// NamedEvents returns what the record is told as. The last chunk of an answer is left out:
// the answer is in a message.
func NamedEvents(room chat.RoomID, r chat.Record) (all []Named) {
	for _, frame := range recorded(Documented, room, r) {
		if event, body := Plain(frame); event != streamChunk {
			all = append(all, Named{event, body})
		}
	}
	return all
}
