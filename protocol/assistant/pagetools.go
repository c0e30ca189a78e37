package assistant

import (
	"cmp"
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// An offeredTool is one that a page runs.
type offeredTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// offeredTools returns the tools that a page offers. Nil is none, and says nothing of
// earlier ones.
func offeredTools(list *[]offeredTool) ([]chat.Tool, *chat.Error) {
	if list == nil {
		return nil, nil
	}
	tools := make([]chat.Tool, 0, len(*list))
	for _, t := range *list {
		schema := t.Parameters
		if len(schema) == 0 || string(schema) == "null" {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		if !isObject(schema) {
			return nil, invalid("parameters of a tool must be a JSON Schema, which is an object")
		}
		tools = append(tools, chat.Tool{Name: t.Name, Description: t.Description, Schema: schema, OnPage: true})
	}
	return tools, nil
}

// A functionRun has one page run a call of a tool that it offers.
type functionRun struct {
	CallID    string          `json:"call_id"`
	Name      string          `json:"function_name"`
	Arguments json.RawMessage `json:"arguments"`
	MessageID chat.MessageID  `json:"message_id"`
	Until     string          `json:"until"`
}

// runTool encodes that a page is to run a call. The assistant page offers no tools.
func runTool(d Dialect, room chat.RoomID, n chat.RunTool) []engineio.Frame {
	if d == SPA {
		return nil
	}
	var f frames
	f.emit("function_run", string(room), functionRun{n.Call.ID, n.Call.Name, argumentsOf(n.Call.Arguments), n.MessageID, chat.Timestamp(n.Until)})
	return f
}

func decodeAnswer(p payload, told json.RawMessage, failed bool) (Request, *chat.Error) {
	room, refused := p.room()
	a := chat.AnswerCall{CallID: p.CallID, Result: textOf(told), Failed: failed}
	if a.CallID == "" || len(a.CallID) > maxEnvelopeLen {
		a.CallID, refused = "", cmp.Or(refused, invalid("call_id must be that of a call which a page runs"))
	}
	if failed && a.Result == "" {
		a.Result = "the page could not run this"
	}
	return AnswerCall{room, a}, refused
}

// textOf returns a string without its quotes, and any other value as JSON.
func textOf(value json.RawMessage) string {
	var text string
	if len(value) == 0 || json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// CallAnswered acknowledges an [AnswerCall].
type CallAnswered struct {
	CallID string           `json:"call_id"`
	State  chat.ToolOutcome `json:"state"`
}
