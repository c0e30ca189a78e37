package assistant

import (
	"encoding/json"
	"strconv"

	"parlor/protocol/socketio"
)

// plainPayload reads a payload in one pass, if it has only members that most events have, of
// the types that they should have. It reports false for any other, which encoding/json reads:
// that knows names in capitals and wrong types, and takes ten allocations more.
func plainPayload(object json.RawMessage) (p payload, ok bool) {
	if object[0] != '{' {
		return p, false
	}
	for name, value := range socketio.Members(object) {
		if string(name) == `"message"` {
			p.Message = value
			continue
		}
		if text := p.text(name); text != nil && value[0] == '"' {
			*text = socketio.Text(value)
			continue
		}
		if !p.setOther(name, value) {
			return payload{}, false
		}
	}
	return p, true
}

// text returns where a member goes that is a text, or nil.
func (p *payload) text(name json.RawMessage) *string {
	switch string(name) {
	case `"room_id"`:
		p.RoomID = new(string)
		return p.RoomID
	case `"chat_id"`:
		p.ChatID = new(string)
		return p.ChatID
	case `"title"`:
		p.Title = new(string)
		return p.Title
	case `"model_id"`:
		return &p.ModelID
	case `"model_api_source"`:
		return &p.APISource
	case `"dialect"`:
		return &p.Dialect
	case `"content"`:
		return &p.Content
	case `"client_message_id"`:
		return &p.ClientID
	case `"policy"`:
		return &p.Policy
	case `"turn_id"`:
		return &p.TurnID
	case `"message_id"`:
		return &p.MessageID
	case `"epoch"`:
		return &p.Epoch
	}
	return nil
}

// setOther sets a member that is a number or a truth value. It reports false if it cannot.
func (p *payload) setOther(name, value json.RawMessage) bool {
	switch string(name) {
	case `"answer"`:
		p.Answer = truth(value)
		return p.Answer != nil
	case `"typing"`:
		p.Typing = truth(value)
		return p.Typing != nil
	case `"seq"`:
		p.Seq = count(value)
		return p.Seq != nil
	case `"after"`:
		p.After = count(value)
		return p.After != nil
	}
	return false
}

// truth returns nil for anything but true and false.
func truth(value json.RawMessage) *bool {
	switch string(value) {
	case "true":
		return new(true)
	case "false":
		return new(false)
	}
	return nil
}

// count returns nil for anything but a number without sign, fraction and exponent.
func count(value json.RawMessage) *uint64 {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
