package sse

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"

	"github.com/tmaxmax/go-sse"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// The names of the encoders that rooms need: of those who follow one chat, and of those
// who follow all of theirs.
const (
	OneChat  = "sse"
	AllChats = "sse.all"
)

// An Encoder gives notices the form of server-sent events: those of the documented dialect,
// under the same names, but without the id of the room.
type Encoder struct {
	dialect *assistant.Encoder
	chat    json.RawMessage // that events carry the id of; nil if they carry none
}

// NewEncoder returns an encoder for those who follow one chat, and NewAllEncoder one for
// those who follow several.
func NewEncoder() *Encoder { return &Encoder{dialect: assistant.NewEncoder(assistant.Documented)} }

func NewAllEncoder(id chat.ID) *Encoder {
	e := NewEncoder()
	e.chat = assistant.Encode(id)
	return e
}

// An event is one server-sent event, which is shared by all who are told it. It has no id
// yet.
type event struct {
	message sse.Message
	digest  string // tells the events of one record apart
}

// Encode returns the events of a notice, or nil.
func (e *Encoder) Encode(id chat.RoomID, n chat.Notice) any {
	if a, ok := n.(chat.Announcement); ok {
		return e.announcement(a)
	}
	var events []event
	if e.chat != nil {
		events = []event{} // also of a record that has no form, past which the cursor moves
	}
	for _, frame := range e.dialect.Frames(id, n) {
		word, arg := assistant.Plain(frame)
		events = append(events, newEvent(word, e.named(arg)))
	}
	if events == nil {
		return nil
	}
	return events
}

// announcement has one argument as its data, or the array of several.
func (e *Encoder) announcement(a chat.Announcement) any {
	kind, err := sse.NewType(a.Event)
	if err != nil || kind.String() == "" {
		return nil // the name has several lines
	}
	data := json.RawMessage(assistant.Encode(a.Args))
	if len(a.Args) == 1 {
		data = a.Args[0]
	}
	return []event{newEvent(kind.String(), e.named(data))}
}

// named adds the id of the chat to an object.
func (e *Encoder) named(object json.RawMessage) []byte {
	if e.chat == nil || len(object) == 0 || object[0] != '{' {
		return object
	}
	b := append([]byte(`{"chat_id":`), e.chat...)
	if string(object) != "{}" {
		b = append(b, ',')
	}
	return append(b, object[1:]...)
}

func newEvent(word string, data []byte) event {
	e := event{digest: digest(word, data)}
	e.message.Type = sse.Type(word)
	e.message.AppendData(string(data))
	return e
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func digest(word string, data []byte) string {
	sum := crc32.Update(crc32.Checksum([]byte(word), castagnoli), castagnoli, data)
	return base64.RawURLEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
