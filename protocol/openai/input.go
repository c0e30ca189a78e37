package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"parlor/protocol/chat"
)

// decode reads the JSON object that a body is. Fields that v does not name are ignored: new
// versions of the client send new ones.
func decode(body []byte, v any) *Error {
	d := json.NewDecoder(bytes.NewReader(body))
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return Invalid("", "the body must be one JSON object and nothing else")
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return Invalid(wrong.Field, wrong.Field+" cannot be a JSON "+wrong.Value)
	case errors.Is(err, io.EOF):
		return Invalid("", "the body is empty, it must be a JSON object")
	}
	return Invalid("", "the body is not the JSON object that was expected")
}

// given reports whether a field has a value. Clients send null for none.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// some reports whether a field is a list or an object that holds something.
func some(raw json.RawMessage) bool {
	compact := new(bytes.Buffer)
	_ = json.Compact(compact, raw) // it was decoded before
	text := compact.String()
	return given(raw) && text != "[]" && text != "{}"
}

// A wireMessage is a message in the input of either API.
type wireMessage struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	ToolCalls json.RawMessage `json:"tool_calls"`
}

// messages reads a list of messages, which is the field param.
func messages(raw json.RawMessage, param string) ([]chat.PromptMessage, *Error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, Invalid(param, param+" must be a list of messages")
	}
	if len(list) == 0 {
		return nil, Invalid(param, param+" must not be empty")
	}
	all := make([]chat.PromptMessage, 0, len(list))
	for i, item := range list {
		m, refusal := message(item, fmt.Sprintf("%s[%d]", param, i))
		if refusal != nil {
			return nil, refusal
		}
		all = append(all, m)
	}
	return all, nil
}

func message(raw json.RawMessage, param string) (m chat.PromptMessage, refusal *Error) {
	var w wireMessage
	if err := json.Unmarshal(raw, &w); err != nil {
		return m, Invalid(param, param+" must be a message")
	}
	if w.Type != "" && w.Type != "message" {
		return m, Invalid(param+".type", fmt.Sprintf("%s is a %q: parlor takes messages only here", param, w.Type))
	}
	if some(w.ToolCalls) {
		return m, Invalid(param+".tool_calls", "parlor takes no calls of tools here")
	}
	switch w.Role {
	case "user":
		m.Role = chat.RoleUser
	case "assistant":
		m.Role = chat.RoleAssistant
	case "system", "developer":
		m.Role = chat.RoleSystem
	default:
		return m, Invalid(param+".role", fmt.Sprintf("%s.role must be user, assistant, system or developer, not %q", param, w.Role))
	}
	m.Content, refusal = content(w.Content, param+".content")
	return m, refusal
}

// content reads a text, or a list of parts that are texts.
func content(raw json.RawMessage, param string) (string, *Error) {
	var text string
	if given(raw) && json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type    string  `json:"type"`
		Text    *string `json:"text"`
		Refusal *string `json:"refusal"`
	}
	if !given(raw) || json.Unmarshal(raw, &parts) != nil {
		return "", Invalid(param, param+" must be a text, or a list of parts")
	}
	var all strings.Builder
	for i, p := range parts {
		switch {
		case (p.Type == "text" || p.Type == "input_text" || p.Type == "output_text") && p.Text != nil:
			all.WriteString(*p.Text)
		case p.Type == "refusal" && p.Refusal != nil:
			all.WriteString(*p.Refusal)
		default:
			return "", Invalid(fmt.Sprintf("%s[%d].type", param, i), fmt.Sprintf("%s[%d] is a %q: parlor takes parts of text only here", param, i, p.Type))
		}
	}
	return all.String(), nil
}
