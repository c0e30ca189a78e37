package api

import (
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// The SPA shows a card for each call of a tool, and finds them in a history between the
// messages: a call and, with the same call_id, what has come of it. Their arguments are a
// JSON string that holds an object, also if the model has written none.
type (
	wireCall struct {
		wireMessage
		CallID    string `json:"call_id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	wireResult struct {
		wireCall
		Result string `json:"result"`
	}
)

// callsOf returns what an answer has called as the SPA's history has it. The rows stand
// before that of the answer, and belong to it.
func callsOf(of wireMessage, calls []chat.Called) (rows []any) {
	of.Content, of.Files, of.Contents, of.Error, of.Siblings = "", nil, nil, nil, nil
	for _, c := range calls {
		call := wireCall{of, c.ID, c.Name, string(assistant.ObjectOf(c.Arguments))}
		call.ID, call.Type = chat.MessageID(c.ID), "function_call"
		rows = append(rows, call)
		result := wireResult{call, c.Result}
		result.ID, result.Type, result.Role = chat.MessageID(c.ID+"-result"), "function_result", "system"
		rows = append(rows, result)
	}
	return rows
}
