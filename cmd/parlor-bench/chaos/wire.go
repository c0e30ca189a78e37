package chaos

import (
	"encoding/json"
	"strings"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// An event is one that the server has sent: "WORD ROOM" and a body.
type event struct {
	word string
	room chat.RoomID
	body body
	raw  json.RawMessage
}

// body is the union of what the events carry.
type body struct {
	Room      chat.RoomID       `json:"room_id"`
	Seq       uint64            `json:"seq"`
	MessageID chat.MessageID    `json:"message_id"`
	ClientID  chat.ClientID     `json:"client_message_id"`
	TurnID    chat.TurnID       `json:"turn_id"`
	State     chat.State        `json:"state"`
	Attempt   int               `json:"attempt"`
	Content   string            `json:"content"`
	Offset    int               `json:"offset"`
	Done      bool              `json:"done"`
	Steered   []chat.MessageID  `json:"steered"`
	CallID    string            `json:"call_id"`
	Decision  string            `json:"decision"`
	Code      chat.Code         `json:"code"`
	Message   assistant.Message `json:"message"`
}

// message returns the message of the event, with its fields that the wire
// has moved.
func (e event) message() chat.Message { return e.body.Message.Message }

func parse(name string, args []json.RawMessage) (e event, err error) {
	word, room, _ := strings.Cut(name, " ")
	e = event{word: word, room: chat.RoomID(room)}
	if len(args) > 0 {
		e.raw = args[0]
	}
	switch word {
	case "message", "turn", "stream_start", "stream_chunk", "stream_end", "message_sent", "room_left",
		"function_call", "function_result", "approval", "room_updated":
		err = json.Unmarshal(e.raw, &e.body)
	case "error":
		var refusal assistant.Refusal
		err = json.Unmarshal(e.raw, &refusal)
		e.body.Code = refusal.Code
	}
	return e, err
}

// answer is an acknowledgement.
type answer struct {
	OK        bool           `json:"ok"`
	Error     *chat.Error    `json:"error"`
	MessageID chat.MessageID `json:"message_id"`
	TurnID    chat.TurnID    `json:"turn_id"`
	Recorded  *bool          `json:"recorded"` // of a stop: false if the disk is full
	Seq       uint64         `json:"seq"`
	Room      chat.RoomID    `json:"room_id"`
	Turn      *struct{}      `json:"turn"`
	Pending   []struct {
		CallID string `json:"call_id"`
	} `json:"pending"`
	Queued   []struct{} `json:"queued"`
	Messages []assistant.Message
}
