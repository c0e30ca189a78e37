package openwebui

import (
	"encoding/json"
	"strings"

	"parlor/protocol/chat"
)

// A Question is a request for an answer in a chat, which is told by events.
type Question struct {
	Chat    chat.ID
	Answer  string // the id that the client has chosen for the answer
	Model   chat.ModelID
	Content string  // of the last message of the user: the chat itself has those before
	System  *string // what the client tells the model before the conversation, if it does
}

// ClientID is the idempotency key of the question: a repetition asks for the same answer.
func (q Question) ClientID() chat.ClientID { return chat.ClientID(clientIDs + q.Answer) }

// temporary is the chat_id of chats that clients do not want to be kept.
const temporary = "local"

var errTemporary = invalid("chat_id: temporary chats are not possible, since every answer is kept")

// DecodeQuestion reads the body of POST /api/chat/completions. It reports false if that does
// not say which answer in which chat is wanted: it is then a request of OpenAI's API.
func DecodeQuestion(body []byte) (q Question, inChat bool, refusal *chat.Error) {
	var b struct {
		Chat     chat.ID      `json:"chat_id"`
		Answer   string       `json:"id"`
		Session  string       `json:"session_id"`
		Model    chat.ModelID `json:"model"`
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return q, true, invalid("the request body is not what was expected")
	}
	if b.Chat == "" || b.Answer == "" || b.Session == "" {
		return q, false, nil
	}
	q = Question{Chat: b.Chat, Answer: b.Answer, Model: b.Model}
	switch {
	case b.Chat == temporary || strings.HasPrefix(string(b.Chat), temporary+":"):
		return q, true, errTemporary
	case !b.Chat.Valid():
		return q, true, invalid("chat_id must be 1 to 128 printable characters without spaces")
	case !q.ClientID().Valid():
		return q, true, invalid("id must be at most 122 printable characters without spaces")
	case b.Model == "" || len(b.Model) > maxModelIDLen:
		return q, true, invalid("model is missing or too long")
	case len(b.Messages) == 0 || b.Messages[len(b.Messages)-1].Role != "user":
		return q, true, invalid("messages must end with one of the user")
	}
	if q.Content, refusal = textOf(b.Messages[len(b.Messages)-1].Content); refusal != nil {
		return q, true, refusal
	}
	if strings.TrimSpace(q.Content) == "" {
		return q, true, invalid("the last message is empty")
	}
	if first := b.Messages[0]; first.Role == "system" {
		text, refused := textOf(first.Content)
		q.System, refusal = &text, refused
	}
	return q, true, refusal
}

// textOf returns the text of a message: a string, or parts of which all are text.
func textOf(content json.RawMessage) (string, *chat.Error) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text, nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(content, &parts); err != nil {
		return "", invalid("the content of a message must be text")
	}
	for _, p := range parts {
		if p.Type != "text" {
			return "", invalid("the content of a message may only have parts of the type text, not " + p.Type)
		}
		text += p.Text
	}
	return text, nil
}

// TaskID names an open turn to clients, and CutTaskID takes the name apart. It reports false
// for what is no such name.
func TaskID(room chat.RoomID, turn chat.TurnID) string { return string(room) + "." + string(turn) }

// CutTaskID is the reverse of [TaskID].
func CutTaskID(id string) (room chat.RoomID, turn chat.TurnID, ok bool) {
	name, rest, ok := strings.Cut(id, ".")
	room, turn = chat.RoomID(name), chat.TurnID(rest)
	return room, turn, ok && room.Valid() && turn != ""
}
