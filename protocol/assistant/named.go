package assistant

import (
	"bytes"
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/protocol/socketio"
)

// A Named is an event of the documented dialect for wires that name the room elsewhere.
type Named struct {
	Event string // without the id of the room
	Body  json.RawMessage
}

// HookEvents are the names of the events that [NamedEvents] returns.
var HookEvents = []string{
	"message", "withdrawn", "turn", "stream_start", "stream_error", "stream_end", "function_call", "members", "offer", "invite", "room_updated",
}

// NamedEvents returns what the record is told as. The last chunk of an answer is left out:
// the answer is in a message.
func NamedEvents(room chat.RoomID, r chat.Record) (all []Named) {
	head := len(socketio.EventFrame(Namespace, "").Data) - len(`""]`)
	for _, frame := range recorded(Documented, room, r) {
		quoted, rest, _ := bytes.Cut(frame.Data[head:], []byte(`",`))
		event, _, _ := bytes.Cut(quoted[1:], []byte(" "))
		if string(event) != streamChunk {
			all = append(all, Named{string(event), json.RawMessage(bytes.TrimSuffix(rest, []byte("]")))})
		}
	}
	return all
}
