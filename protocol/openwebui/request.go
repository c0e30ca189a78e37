package openwebui

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// A Request is a client event, understood.
type Request interface{ request() }

// The requests.
type (
	// UserJoin says that the page is ready to be told about its user's answers. A Token
	// takes the place of the one that the client has signed in with.
	UserJoin struct{ Token string }

	// JoinChannels asks for the rooms of the chats or, if there are none, of all channels.
	JoinChannels struct {
		Token string
		Chats []chat.ID
	}

	// Usage says that the client uses a model now.
	Usage struct{ Model chat.ModelID }

	// ListUsers asks who is there.
	ListUsers struct{}

	// Heartbeat says that the client is there.
	Heartbeat struct{}

	// Typing is to be told to the room of a channel. Body is what the client has sent as
	// data, and MessageID what it has sent beside that.
	Typing struct {
		Chat      chat.ID
		MessageID json.RawMessage
		Body      json.RawMessage
		Ended     bool // the user does not type any more
	}

	// MarkRead says that the user has read all of a chat.
	MarkRead struct{ Chat chat.ID }

	// Ignored is an event of a type that nothing comes of.
	Ignored struct{}
)

func (UserJoin) request()     {}
func (JoinChannels) request() {}
func (Usage) request()        {}
func (ListUsers) request()    {}
func (Heartbeat) request()    {}
func (Typing) request()       {}
func (MarkRead) request()     {}
func (Ignored) request()      {}

// Limits of what a request may hold.
const (
	MaxChats       = 100
	maxModelIDLen  = 256
	maxTypingBytes = 1024
)

var decoders = map[string]func(json.RawMessage) (Request, *chat.Error){
	"user-join":      decodeUserJoin,
	"join-channels":  decodeJoinChannels,
	"usage":          decodeUsage,
	"user-list":      func(json.RawMessage) (Request, *chat.Error) { return ListUsers{}, nil },
	"heartbeat":      func(json.RawMessage) (Request, *chat.Error) { return Heartbeat{}, nil },
	"channel-events": decodeChannelEvent,
	"events:channel": decodeChannelEvent,
	"events:chat":    decodeChatEvent,
}

// Decode understands a client event.
func Decode(event string, args []json.RawMessage) (Request, *chat.Error) {
	decode, ok := decoders[event]
	if !ok {
		return nil, invalid("unknown event")
	}
	var arg json.RawMessage
	if len(args) > 0 {
		arg = args[0]
	}
	return decode(arg)
}

// Word returns the name of a client event, or "" if there is no such event.
func Word(event string) string {
	if decoders[event] == nil {
		return ""
	}
	return event
}

type signedIn struct {
	Auth struct {
		Token string `json:"token"`
	} `json:"auth"`
}

func decodeUserJoin(arg json.RawMessage) (Request, *chat.Error) {
	var body signedIn
	refusal := decode(arg, &body)
	return UserJoin{body.Auth.Token}, refusal
}

func decodeJoinChannels(arg json.RawMessage) (Request, *chat.Error) {
	var body struct {
		signedIn
		Chat  chat.ID   `json:"chat_id"`
		Chats []chat.ID `json:"chat_ids"`
	}
	if refusal := decode(arg, &body); refusal != nil {
		return nil, refusal
	}
	r := JoinChannels{Token: body.Auth.Token, Chats: body.Chats}
	if body.Chat != "" {
		r.Chats = append(r.Chats, body.Chat)
	}
	if len(r.Chats) > MaxChats {
		return nil, invalid("chat_ids are too many")
	}
	for _, id := range r.Chats {
		if !id.Valid() {
			return nil, invalid("chat_id must be 1 to 128 printable characters without spaces")
		}
	}
	return r, nil
}

func decodeUsage(arg json.RawMessage) (Request, *chat.Error) {
	var body struct {
		Model chat.ModelID `json:"model"`
	}
	if refusal := decode(arg, &body); refusal != nil {
		return nil, refusal
	}
	if body.Model == "" || len(body.Model) > maxModelIDLen {
		return nil, invalid("model is missing or too long")
	}
	return Usage(body), nil
}

func decodeChannelEvent(arg json.RawMessage) (Request, *chat.Error) {
	var body struct {
		Channel   chat.ID         `json:"channel_id"`
		MessageID json.RawMessage `json:"message_id"`
		Data      json.RawMessage `json:"data"`
	}
	if refusal := decode(arg, &body); refusal != nil {
		return nil, refusal
	}
	if !body.Channel.Valid() {
		return nil, invalid("channel_id must be that of a channel or a chat")
	}
	var data struct {
		Type   string          `json:"type"`
		Typing *bool           `json:"typing"`
		Data   json.RawMessage `json:"data"`
	}
	if !isObject(body.Data) || json.Unmarshal(body.Data, &data) != nil {
		return nil, invalid("data must be an object with a type")
	}
	switch data.Type {
	case "typing":
	case "last_read_at":
		return MarkRead{body.Channel}, nil
	default:
		return Ignored{}, nil
	}
	switch {
	case len(body.Data)+len(body.MessageID) > maxTypingBytes:
		return nil, chat.Refuse(chat.CodeTooLarge, "data is too long")
	case !utf8.Valid(body.Data) || !utf8.Valid(body.MessageID):
		return nil, invalid("data must be UTF-8") // anything else would end the connections of browsers
	}
	if data.Typing == nil && isObject(data.Data) { // it may say so one level deeper
		_ = json.Unmarshal(data.Data, &data)
	}
	ended := data.Typing != nil && !*data.Typing
	return Typing{Chat: body.Channel, MessageID: body.MessageID, Body: body.Data, Ended: ended}, nil
}

func decodeChatEvent(arg json.RawMessage) (Request, *chat.Error) {
	var body struct {
		Chat chat.ID `json:"chat_id"`
		Data struct {
			Type string `json:"type"`
		} `json:"data"`
	}
	refusal := decode(arg, &body)
	switch {
	case refusal != nil:
		return nil, refusal
	case !body.Chat.Valid():
		return nil, invalid("chat_id must be that of a chat")
	case body.Data.Type != "last_read_at":
		return Ignored{}, nil
	}
	return MarkRead{body.Chat}, nil
}

// decode reads an argument into v. Clients that have nothing to say leave it out.
func decode(arg json.RawMessage, v any) *chat.Error {
	if len(arg) == 0 || string(arg) == "null" {
		return nil
	}
	if !isObject(arg) {
		return invalid("the first argument must be an object")
	}
	if err := json.Unmarshal(arg, v); err != nil {
		return invalid("a field has the wrong type")
	}
	return nil
}

func isObject(b json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{"))
}

func invalid(text string) *chat.Error { return chat.Refuse(chat.CodeInvalid, text) }
