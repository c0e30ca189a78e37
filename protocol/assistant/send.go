package assistant

import (
	"cmp"
	"encoding/json"
	"strings"

	"parlor/protocol/chat"
	"parlor/protocol/socketio"
)

// envelope is the union of the objects that send_message carries: the
// documented one (content, client_message_id) and the SPA's (type, id, data).
type envelope struct {
	Content  *string       `json:"content"`
	Files    []chat.FileID `json:"files"`
	ClientID string        `json:"client_message_id"`

	Type string `json:"type"`
	ID   string `json:"id"`
	Data struct {
		Audio string `json:"audio"`
		Item  struct {
			ID      string          `json:"id"`
			ModelID string          `json:"model_id"`
			Content json.RawMessage `json:"content"` // text, or the parts of the realtime family
			Files   []chat.FileID   `json:"files"`
		} `json:"item"`
	} `json:"data"`
}

// base64Alphabet is that of the standard encoding, RFC 4648 §4, with its padding.
const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

func decodeSend(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	r := SendMessage{Room: room, Answer: p.Answer, Files: p.Files}
	if refused == nil {
		r.ModelID, refused = p.model()
	}
	if r.Policy = chat.Policy(p.Policy); p.Policy != "" && !r.Policy.Valid() {
		r.Policy = ""
		if refused == nil {
			refused = invalid("policy must be " + chat.Policies)
		}
	}
	id, bad := clientID(p.ClientID)
	r.ClientID = id
	// The envelope's id names the answer, so it is read also if something before it is refused.
	return r, cmp.Or(refused, bad, r.read(p.Message))
}

func (r *SendMessage) read(message json.RawMessage) *chat.Error {
	if isText(message) {
		r.Content = socketio.Text(message)
		return r.check()
	}
	if !isObject(message) {
		return invalid("message must be text or an object")
	}
	var e envelope
	err := json.Unmarshal(e.lift(message), &e)
	if len(e.ID) <= maxEnvelopeLen {
		r.Envelope = e.ID
	}
	if err != nil {
		return invalid("a field of message has the wrong type: " + field(err))
	}
	return r.fill(e)
}

func isText(b json.RawMessage) bool { return len(b) > 0 && b[0] == '"' }

// lift takes what may be long out of a message.
func (e *envelope) lift(message json.RawMessage) json.RawMessage {
	item := func(name string, value json.RawMessage) json.RawMessage {
		if name == "content" {
			e.Data.Item.Content = value
			return nil
		}
		return value
	}
	data := func(name string, value json.RawMessage) json.RawMessage {
		switch name {
		case "audio":
			return liftText(value, &e.Data.Audio)
		case "item":
			return lift(value, item)
		}
		return value
	}
	return lift(message, func(name string, value json.RawMessage) json.RawMessage {
		switch {
		case name == "data":
			return lift(value, data)
		case name == "content" && isText(value):
			e.Content = new(socketio.Text(value))
			return nil
		}
		return value
	})
}

func (r *SendMessage) fill(e envelope) *chat.Error {
	item := e.Data.Item
	if len(item.ID) > maxEnvelopeLen {
		return errLongID
	}
	if e.ClientID != "" {
		var bad *chat.Error
		if r.ClientID, bad = clientID(e.ClientID); bad != nil {
			return bad
		}
	}
	if is, refused := r.control(e); is {
		return refused
	}
	switch e.Type {
	case "":
		if r.Files = append(r.Files, e.Files...); e.Content == nil && len(r.Files) == 0 {
			return invalid("message.content is missing")
		}
		if e.Content != nil {
			r.Content = *e.Content
		}
	case "sbaw.incoming.text_message.user":
		r.LocalID, r.Files = item.ID, item.Files
		switch {
		case isText(item.Content):
			r.Content = socketio.Text(item.Content)
		case string(item.Content) != "null":
			return invalid("message.data.item.content must be text")
		}
	case "conversation.item.create":
		r.Quiet, r.LocalID = true, item.ID
		r.Content = inputText(item.Content)
	default:
		return invalid("messages of this type are not supported")
	}
	if r.ModelID == "" && len(item.ModelID) <= maxModelIDLen {
		r.ModelID = chat.ModelID(item.ModelID)
	}
	if refused := r.checkIDs(e); refused != nil {
		return refused
	}
	return r.check()
}

// control reads what brings no words: a request for an answer, or speech. It reports whether
// the message is of that kind.
func (r *SendMessage) control(e envelope) (is bool, refused *chat.Error) {
	switch e.Type {
	case "response.create":
		r.Respond = true
	case "input_audio_buffer.append":
		r.Speech, r.Audio = Append, e.Data.Audio
		if r.Audio == "" || strings.Trim(r.Audio, base64Alphabet) != "" {
			return true, invalid("message.data.audio must be base64")
		}
	case "input_audio_buffer.clear":
		r.Speech = Clear
	case "input_audio_buffer.commit":
		r.Speech = Commit
	default:
		return false, nil
	}
	return true, r.checkIDs(e)
}

// inputText joins the text parts of a realtime item.
func inputText(content json.RawMessage) string {
	if len(content) == 0 || content[0] != '[' {
		return ""
	}
	var all []string
	for element := range socketio.Elements(content) {
		var part struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		short := lift(element, func(name string, value json.RawMessage) json.RawMessage {
			if name == "text" {
				return liftText(value, &part.Text)
			}
			return value
		})
		if json.Unmarshal(short, &part) != nil {
			return ""
		}
		if part.Type == "input_text" {
			all = append(all, part.Text)
		}
	}
	return strings.Join(all, "")
}

func (r *SendMessage) checkIDs(e envelope) *chat.Error {
	if len(e.ID) > maxEnvelopeLen {
		return errLongID
	}
	return nil
}

var errLongID = invalid("an id of the message is too long")

func (r *SendMessage) check() *chat.Error {
	switch {
	case len(r.Files) > maxFiles:
		return invalid("the message has too many files")
	case len(r.Files) > 0:
		return nil
	}
	return checkContent(r.Content)
}

func checkContent(text string) *chat.Error {
	if strings.TrimSpace(text) == "" {
		return invalid("the message is empty")
	}
	return nil
}

func decodeEdit(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	r := Edit{Room: room, MessageID: chat.MessageID(p.MessageID), Content: p.Content, Answer: p.Answer}
	id, bad := clientID(p.ClientID)
	r.ClientID, refused = id, cmp.Or(refused, bad)
	if p.MessageID == "" || len(p.MessageID) > maxEnvelopeLen {
		r.MessageID, refused = "", cmp.Or(refused, invalid("message_id must be that of a message of yours"))
	}
	model, bad := p.model()
	r.ModelID = model
	return r, cmp.Or(refused, bad, checkContent(p.Content))
}
