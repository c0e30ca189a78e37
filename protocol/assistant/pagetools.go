package assistant

import (
	"cmp"
	"encoding/json"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

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
