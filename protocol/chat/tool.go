package chat

import "encoding/json"

// A Tool is what a model may call while it answers.
type Tool struct {
	Name        string // as people know it. Providers may be told another one
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments, which are an object
}

// A ToolCall is a request of the assistant to run a tool.
type ToolCall struct {
	ID   string `json:"call_id"`
	Name string `json:"function_name"`

	// Arguments are what the model wrote: a JSON object, unless it was mistaken.
	Arguments string `json:"arguments,omitempty"`

	// Given is the provider's id of the call, which may be none, or that of another
	// call before. Back is what the provider wants to see again with the call, as it
	// came.
	Given string          `json:"given_id,omitempty"`
	Back  json.RawMessage `json:"back,omitempty"`
}

// Calls are what a model wants to have run before it goes on with its answer. If the
// list is empty its provider has paused the answer, and goes on when it is asked again.
type Calls struct {
	List []ToolCall

	// Back is what the provider wants to see again with the answer, as it came.
	Back json.RawMessage
}
