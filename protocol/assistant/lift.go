package assistant

import (
	"encoding/json"

	"parlor/protocol/socketio"
)

// longObject is from how many bytes on it is worth the trouble to [lift] something.
const longObject = 1 << 10

// lift takes what is long out of an object, before encoding/json reads that: it reads an
// argument twice at each level, byte by byte. For each member, take returns what is left
// of the value: all, less, or nil if it has taken all of it. A short object is returned as
// it is, so what take looks for may still be in it. The object must be valid, without
// space around it.
func lift(object json.RawMessage, take func(name string, value json.RawMessage) json.RawMessage) json.RawMessage {
	if len(object) < longObject || object[0] != '{' {
		return object
	}
	rest := []byte{'{'}
	for name, value := range socketio.Members(object) {
		if value = take(string(name[1:len(name)-1]), value); value == nil {
			continue
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(append(rest, name...), ':'), value...)
	}
	return append(rest, '}')
}

// liftText takes the text if the value is one.
func liftText(value json.RawMessage, text *string) json.RawMessage {
	if value[0] != '"' {
		return value // encoding/json says what is wrong with it
	}
	*text = socketio.Text(value)
	return nil
}
