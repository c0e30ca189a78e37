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
	Type    string          `json:"type"`
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`

	// Of calls and their results: in chat completions the first two, in responses the others.
	ToolCalls  json.RawMessage `json:"tool_calls"`
	ToolCallID string          `json:"tool_call_id"`
	CallID     string          `json:"call_id"`
	Name       string          `json:"name"`
	Arguments  string          `json:"arguments"`
	Output     json.RawMessage `json:"output"`
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
	all, calls := make([]chat.PromptMessage, 0, len(list)), new(calling)
	for i, raw := range list {
		var w wireMessage
		param := fmt.Sprintf("%s[%d]", param, i)
		if err := json.Unmarshal(raw, &w); err != nil {
			return nil, Invalid(param, param+" must be a message")
		}
		var refusal *Error
		if all, refusal = w.addTo(all, calls, param); refusal != nil {
			return nil, refusal
		}
	}
	return all, calls.closed(param)
}

// addTo adds what an item says to a conversation.
func (w *wireMessage) addTo(all []chat.PromptMessage, calls *calling, param string) ([]chat.PromptMessage, *Error) {
	switch {
	case w.Type == "reasoning": // of a model that is not asked again with it
		return all, nil
	case w.Type == "function_call":
		call := calls.call(w.CallID, w.Name, w.Arguments)
		if last := len(all) - 1; last >= 0 && all[last].Role == chat.RoleAssistant {
			all[last].Calls = append(all[last].Calls, call)
			return all, nil
		}
		return append(all, chat.PromptMessage{Role: chat.RoleAssistant, Calls: []chat.ToolCall{call}}), nil
	case w.Type == "function_call_output":
		return addResult(all, calls, w.CallID, w.Output, param+".output", param+".call_id")
	case w.Type == "mcp_approval_request", w.Type == "mcp_approval_response":
		return all, &Error{Status: 400, Type: typeInvalid, Code: "approval_not_stored", Param: param + ".type", Message: param +
			" is about an approval: only stored responses call tools of the server, so only those ask for one"}
	case w.Role == "tool":
		return addResult(all, calls, w.ToolCallID, w.Content, param+".content", param+".tool_call_id")
	}
	if refusal := calls.closed(param); refusal != nil {
		return all, refusal
	}
	m, refusal := w.message(calls, param)
	return append(all, m), refusal
}

func addResult(all []chat.PromptMessage, calls *calling, id string, raw json.RawMessage, param, idParam string) ([]chat.PromptMessage, *Error) {
	text, refusal := content(raw, param)
	if refusal != nil {
		return all, refusal
	}
	m, ok := calls.result(id, text)
	if !ok {
		return all, Invalid(idParam, fmt.Sprintf("no call before has the id %q, and no result yet", id))
	}
	return append(all, m), nil
}

// message reads a message, which may call tools.
func (w *wireMessage) message(calls *calling, param string) (m chat.PromptMessage, refusal *Error) {
	if w.Type != "" && w.Type != "message" {
		return m, Invalid(param+".type", fmt.Sprintf("%s is a %q: parlor takes messages, calls of functions and their results only here", param, w.Type))
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
	if some(w.ToolCalls) {
		if refusal = w.calls(&m, calls, param); refusal != nil || !given(w.Content) {
			return m, refusal
		}
	}
	m.Content, refusal = content(w.Content, param+".content")
	return m, refusal
}

// calls reads the calls of a message of chat completions.
func (w *wireMessage) calls(m *chat.PromptMessage, calls *calling, param string) *Error {
	var list []struct {
		ID       string `json:"id"`
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
	if json.Unmarshal(w.ToolCalls, &list) != nil || m.Role != chat.RoleAssistant {
		return Invalid(param+".tool_calls", param+".tool_calls must be a list of calls that the assistant has made")
	}
	for i, c := range list {
		if c.ID == "" || c.Function.Name == "" {
			return Invalid(fmt.Sprintf("%s.tool_calls[%d]", param, i), "a call needs an id and the name of its function")
		}
		m.Calls = append(m.Calls, calls.call(c.ID, c.Function.Name, c.Function.Arguments))
	}
	return nil
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
