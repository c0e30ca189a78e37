package assistant

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"parlor/protocol/chat"
)

// payload is the union of what client events carry.
type payload struct {
	ChatID    *string             `json:"chat_id"`
	RoomID    *string             `json:"room_id"`
	ModelID   string              `json:"model_id"`
	APISource string              `json:"model_api_source"`
	Dialect   string              `json:"dialect"`
	Message   json.RawMessage     `json:"message"`
	Content   string              `json:"content"`
	Files     []chat.FileID       `json:"files"`
	ClientID  string              `json:"client_message_id"`
	Policy    string              `json:"policy"`
	Answer    *bool               `json:"answer"`
	Token     string              `json:"token"`
	Event     json.RawMessage     `json:"event"`
	TurnID    string              `json:"turn_id"`
	Ahead     string              `json:"before_turn_id"`
	MessageID string              `json:"message_id"`
	Reason    string              `json:"reason"`
	After     *uint64             `json:"after"`
	Epoch     string              `json:"epoch"`
	Before    uint64              `json:"before"`
	Branch    string              `json:"branch"`
	Limit     int                 `json:"limit"`
	By        chat.UsageBy        `json:"by"`
	Typing    *bool               `json:"typing"`
	Seq       *uint64             `json:"seq"`
	CallID    string              `json:"call_id"`
	Decision  string              `json:"decision"`
	Arguments json.RawMessage     `json:"arguments"`
	Always    bool                `json:"always"`
	Tools     *[]chat.OfferedTool `json:"tools"`
	Result    json.RawMessage     `json:"result"`
	Error     json.RawMessage     `json:"error"`
	chat.Changes
}

// Decode understands a client event. The request is returned beside an error
// too, as far as it was understood, since the answer is named after its ids;
// it is nil for an unknown event. Errors are [*chat.Error]s. The arguments are those of a
// packet, which are valid JSON.
func Decode(event string, args []json.RawMessage) (Request, error) {
	word, id, _ := strings.Cut(event, " ")
	decode, ok := decoders[word]
	if !ok {
		return nil, chat.Refuse(chat.CodeInvalid, "unknown event")
	}
	p, err := decodePayload(args)
	if p.RoomID == nil && id != "" {
		p.RoomID = &id
	}
	r, refused := decode(p)
	if err != nil {
		return r, err
	}
	if refused != nil {
		return r, refused
	}
	return r, nil
}

// Word returns the name of a client event without an id, or "" if there is no such event.
func Word(event string) string {
	word, _, _ := strings.Cut(event, " ")
	if decoders[word] == nil {
		return ""
	}
	return word
}

var decoders = map[string]func(payload) (Request, *chat.Error){
	"find_chat":    decodeFind,
	"create_room":  decodeCreate,
	"join_room":    decodeJoin,
	"leave_room":   decodeLeave,
	"send_message": decodeSend,
	"stop":         decodeStop,
	"regenerate":   decodeRegenerate,
	"edit":         decodeEdit,
	"event":        decodeControl,
	"history":      decodeHistory,
	"configure":    decodeConfigure,
	"usage":        decodeUsage,
	"members":      decodeMembers,
	"typing":       decodeTyping,
	"presence":     decodePresence,
	"read":         decodeRead,
	"watch":        decodeWatch,
	"auth":         decodeRenew,
	"withdraw":     decodeWithdraw,
	"move":         decodeMove,
	"select":       decodeSelect,
	"approve":      decodeApprove,

	"function_result": func(p payload) (Request, *chat.Error) { return decodeAnswer(p, p.Result, false) },
	"function_error":  func(p payload) (Request, *chat.Error) { return decodeAnswer(p, p.Error, true) },
}

// decodePayload reads the one argument. What can be read of a bad one is
// returned beside the error: it may say where the answer goes.
func decodePayload(args []json.RawMessage) (payload, error) {
	if len(args) == 0 {
		return payload{}, nil
	}
	if !isObject(args[0]) {
		return payload{}, invalid("the first argument must be an object")
	}
	if p, ok := plainPayload(args[0]); ok {
		return p, nil
	}
	return anyPayload(args[0])
}

func anyPayload(object json.RawMessage) (p payload, err error) {
	short := lift(object, func(name string, value json.RawMessage) json.RawMessage {
		switch name {
		case "message":
			p.Message = value
			return nil
		case "content":
			return liftText(value, &p.Content)
		}
		return value
	})
	if err := json.Unmarshal(short, &p); err != nil {
		return p, invalid("a field has the wrong type: " + field(err))
	}
	return p, nil
}

func field(err error) string {
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		return strings.TrimPrefix(e.Field, "Changes.") // which is embedded
	}
	return "not JSON"
}

func isObject(b json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{"))
}

func invalid(text string) *chat.Error { return chat.Refuse(chat.CodeInvalid, text) }

func (p payload) room() (chat.RoomID, *chat.Error) {
	if p.RoomID == nil || *p.RoomID == "" {
		return "", invalid("room_id is missing")
	}
	if len(*p.RoomID) > chat.MaxIDLen {
		return "", invalid("room_id is too long")
	}
	return chat.RoomID(*p.RoomID), nil
}

func (p payload) chat() (chat.ID, *chat.Error) {
	if p.ChatID == nil {
		return "", invalid("chat_id is missing")
	}
	id := chat.ID(*p.ChatID)
	if id.Valid() {
		return id, nil
	}
	if len(id) > chat.MaxIDLen {
		id = ""
	}
	return id, invalid("chat_id must be 1 to 128 printable characters without spaces")
}

func (p payload) model() (chat.ModelID, *chat.Error) {
	if len(p.ModelID) > maxModelIDLen {
		return "", invalid("model_id is too long")
	}
	return chat.ModelID(p.ModelID), nil
}

// clientID returns the idempotency key of a command, if it has a valid one.
func clientID(text string) (chat.ClientID, *chat.Error) {
	id := chat.ClientID(text)
	if id == "" || id.Valid() {
		return id, nil
	}
	return "", invalid("client_message_id must be 1 to 128 printable characters without spaces")
}

func decodeFind(p payload) (Request, *chat.Error) {
	id, err := p.chat()
	return FindChat{id}, err
}

func decodeCreate(p payload) (Request, *chat.Error) {
	id, err := p.chat()
	r := CreateRoom{Chat: id, APISource: p.APISource}
	if err != nil {
		return r, err
	}
	r.ModelID, err = p.model()
	return r, err
}

func decodeJoin(p payload) (Request, *chat.Error) {
	r := JoinRoom{After: p.After, Epoch: p.Epoch}
	if p.RoomID != nil {
		var err *chat.Error
		if r.Room, err = p.room(); err != nil {
			return r, err
		}
	}
	var refused *chat.Error
	if r.Tools, refused = chat.PageTools(p.Tools); refused != nil {
		return r, refused
	}
	switch p.Dialect {
	case "":
	case "documented":
		r.Dialect = Documented
	case "spa":
		r.Dialect = SPA
	default:
		return r, invalid(`dialect must be "documented" or "spa"`)
	}
	return r, nil
}

func decodeLeave(p payload) (Request, *chat.Error) {
	room, err := p.room()
	return LeaveRoom{room}, err
}

func decodeStop(p payload) (Request, *chat.Error) {
	room, err := p.room()
	r := Stop{Room: room, TurnID: chat.TurnID(p.TurnID), Reason: p.Reason}
	if err == nil && (len(p.Reason) > MaxReasonLen || len(p.TurnID) > maxEnvelopeLen) {
		err = invalid("reason or turn_id is too long")
	}
	var bad *chat.Error
	r.ClientID, bad = clientID(p.ClientID)
	return r, cmp.Or(err, bad)
}

func decodeHistory(p payload) (Request, *chat.Error) {
	room, err := p.room()
	r := History{Room: room, Before: p.Before, Limit: p.Limit}
	if r.Limit == 0 {
		r.Limit = DefaultHistory
	}
	if err == nil && (r.Limit < 0 || r.Limit > MaxHistory) {
		return r, invalid("limit must be between 1 and 500")
	}
	if err == nil && len(p.Branch) > maxEnvelopeLen {
		return r, invalid("branch must be the message_id of a message")
	}
	r.Branch = chat.MessageID(p.Branch)
	return r, err
}

// control is the SPA's body of "event".
type control struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func decodeRegenerate(p payload) (Request, *chat.Error) {
	room, err := p.room()
	r := Regenerate{Room: room, MessageID: chat.MessageID(p.MessageID)}
	switch {
	case err != nil:
	case p.MessageID == "" || len(p.MessageID) > maxEnvelopeLen:
		r.MessageID, err = "", invalid("message_id must be that of an answer")
	default:
		r.ModelID, err = p.model()
	}
	var bad *chat.Error
	r.ClientID, bad = clientID(p.ClientID)
	return r, cmp.Or(err, bad)
}

func decodeControl(p payload) (Request, *chat.Error) {
	var c control
	room, err := p.room()
	bad := !isObject(p.Event) || json.Unmarshal(p.Event, &c) != nil
	if len(c.ID) > maxEnvelopeLen {
		c.ID, bad = "", true
	}
	if bad {
		return Control{room, c.ID}, invalid("event must be an object with type and id")
	}
	switch c.Type {
	case "sbaw.assistant.stop_processing":
		return Stop{Room: room, Control: c.ID}, err
	case "sbaw.assistant.update_session":
		return Control{room, c.ID}, err
	}
	return Control{room, c.ID}, invalid("unknown type of event")
}

func decodeConfigure(p payload) (Request, *chat.Error) {
	room, err := p.room()
	id, bad := clientID(p.ClientID)
	return Configure{room, p.Changes, id}, cmp.Or(err, bad)
}

// decodeUsage takes what has no room for a question about all chats, by day.
func decodeUsage(p payload) (Request, *chat.Error) {
	r := Usage{By: cmp.Or(p.By, chat.UsageByDay)}
	if p.RoomID == nil {
		return r, nil
	}
	var err *chat.Error
	r.Room, err = p.room()
	return r, err
}

func decodeRenew(p payload) (Request, *chat.Error) {
	if p.Token == "" {
		return Renew{}, invalid("token is missing")
	}
	return Renew{p.Token}, nil
}

func decodeMembers(p payload) (Request, *chat.Error) {
	room, err := p.room()
	return ListMembers{Room: room}, err
}

func decodeWithdraw(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	r := Withdraw{Room: room, MessageID: chat.MessageID(p.MessageID)}
	if p.MessageID == "" || len(p.MessageID) > maxEnvelopeLen {
		r.MessageID, refused = "", cmp.Or(refused, invalid("message_id must be that of a message of yours"))
	}
	id, bad := clientID(p.ClientID)
	r.ClientID = id
	return r, cmp.Or(refused, bad)
}

func decodeSelect(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	r := Select{Room: room, MessageID: chat.MessageID(p.MessageID)}
	if p.MessageID == "" || len(p.MessageID) > maxEnvelopeLen {
		r.MessageID, refused = "", cmp.Or(refused, invalid("message_id must be that of a message or of an answer"))
	}
	id, bad := clientID(p.ClientID)
	r.ClientID = id
	return r, cmp.Or(refused, bad)
}

func decodeMove(p payload) (Request, *chat.Error) {
	room, refused := p.room()
	r := Move{Room: room, TurnID: chat.TurnID(p.TurnID), Before: chat.TurnID(p.Ahead)}
	if p.TurnID == "" || len(p.TurnID) > maxEnvelopeLen || len(p.Ahead) > maxEnvelopeLen {
		r.TurnID, r.Before, refused = "", "", cmp.Or(refused, invalid("turn_id and before_turn_id must be those of turns that wait"))
	}
	id, bad := clientID(p.ClientID)
	r.ClientID = id
	return r, cmp.Or(refused, bad)
}
