package openwebui

import (
	"encoding/json"
	"slices"
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

	Images    [][]byte      // that the message holds
	Files     []chat.FileID // of the chat, that it names
	OnlyTools []string      // see [chat.MessageAdded]
}

// ClientID is the idempotency key of the question: a repetition asks for the same answer.
func (q Question) ClientID() chat.ClientID { return chat.ClientID(clientIDs + q.Answer) }

// temporary is the chat_id of chats that clients do not want to be kept.
const temporary = "local"

var errTemporary = invalid("chat_id: temporary chats are not possible, since every answer is kept")

// asked is the body of a request that asks a question.
type asked struct {
	Chat     chat.ID      `json:"chat_id"`
	Answer   string       `json:"id"`
	Session  string       `json:"session_id"`
	Model    chat.ModelID `json:"model"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Files    []file          `json:"files"`
	Tools    []string        `json:"tool_ids"`
	Features map[string]bool `json:"features"`
}

// DecodeQuestion reads the body of POST /api/chat/completions. It reports false if that does
// not say which answer in which chat is wanted: it is then a request of OpenAI's API.
func DecodeQuestion(body []byte) (q Question, inChat bool, refusal *chat.Error) {
	var b asked
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
	for _, read := range []func() *chat.Error{
		func() *chat.Error { return q.say(b.Messages[len(b.Messages)-1].Content) },
		func() *chat.Error { return q.bring(b.Files) },
		func() *chat.Error { return q.narrow(b.Tools, b.Features) },
	} {
		if refusal := read(); refusal != nil {
			return q, true, refusal
		}
	}
	if strings.TrimSpace(q.Content) == "" && len(q.Images)+len(q.Files) == 0 {
		return q, true, invalid("the last message is empty")
	}
	if first := b.Messages[0]; first.Role == "system" {
		text, _, refused := contentOf(first.Content)
		q.System, refusal = &text, refused
	}
	return q, true, refusal
}

func (q *Question) say(content json.RawMessage) (refusal *chat.Error) {
	q.Content, q.Images, refusal = contentOf(content)
	return refusal
}

// A file of a question is named with its id, in one of two places.
type file struct {
	Type string      `json:"type"`
	ID   chat.FileID `json:"id"`
	File *struct {
		ID chat.FileID `json:"id"`
	} `json:"file"`
}

func (q *Question) bring(files []file) *chat.Error {
	for _, f := range files {
		if f.ID == "" && f.File != nil {
			f.ID = f.File.ID
		}
		if f.Type != "" && f.Type != "file" || !f.ID.Valid() {
			return invalid("files may only be those of the chat, which were uploaded to it: of the type file, with their id")
		}
		q.Files = append(q.Files, f.ID)
	}
	return nil
}

// missing are features that would change the answer, and that there are none of here.
var missing = []string{"web_search", "image_generation", "code_interpreter"}

// Limits of the tools of a question.
const (
	maxTools       = 100
	maxToolNameLen = 256
)

func (q *Question) narrow(tools []string, features map[string]bool) *chat.Error {
	for _, f := range missing {
		if features[f] {
			return invalid("features: there is no " + f + " here; tools of the model may do that")
		}
	}
	if len(tools) > maxTools || slices.ContainsFunc(tools, func(name string) bool { return len(name) > maxToolNameLen }) {
		return invalid("tool_ids are too many or too long")
	}
	q.OnlyTools = tools
	return nil
}

// contentOf returns what a message says: a string, or parts, which are text or images.
func contentOf(content json.RawMessage) (text string, images [][]byte, refusal *chat.Error) {
	if json.Unmarshal(content, &text) == nil {
		return text, nil, nil
	}
	var parts []struct {
		Type  string               `json:"type"`
		Text  string               `json:"text"`
		Image struct{ URL string } `json:"image_url"`
	}
	if err := json.Unmarshal(content, &parts); err != nil {
		return "", nil, invalid("the content of a message must be text, or a list of parts")
	}
	for _, p := range parts {
		switch p.Type {
		case "text":
			text += p.Text
		case "image_url":
			image, refusal := chat.FileIn(p.Image.URL)
			if refusal != nil {
				return "", nil, refusal
			}
			images = append(images, image)
		default:
			return "", nil, invalid("the content of a message may have parts of the types text and image_url, and no others")
		}
	}
	return text, images, nil
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
