package assistant

import (
	"bytes"
	"encoding/json"
	"strings"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// entered encodes how a room stands, for a client that joins otherwise than by an event.
func entered(d Dialect, room chat.RoomID, n chat.Entered) (f frames) {
	if d != SPA {
		f.emit("room_joined", string(room), ShowEntered(n))
	}
	return f
}

// eventHead begins every event of the namespace, before its name.
var eventHead = []byte(`42` + Namespace + `,["`)

// Plain returns what an event of one argument says, for wires that carry events in another
// form: the word of its name, without the id behind it, and the argument, which shares the
// bytes of the frame.
func Plain(event engineio.Frame) (word string, arg json.RawMessage) {
	rest := bytes.TrimPrefix(event.Data, eventHead)
	name, arg, _ := bytes.Cut(rest, []byte(`",`))
	word, _, _ = strings.Cut(string(name), " ")
	return word, bytes.TrimSuffix(arg, []byte("]"))
}
