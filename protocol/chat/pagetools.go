package chat

import (
	"bytes"
	"encoding/json"
)

// An OfferedTool is one that a page runs, as pages write it.
type OfferedTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
}

// RequestedTools returns the tools that a program has brought with its request.
func RequestedTools(list []OfferedTool) []Tool {
	tools, _ := PageTools(&list) // they were looked at when they came
	for i := range tools {
		tools[i].Requested = true
	}
	return tools
}

// PageTools returns the tools that a page offers. Nil is none, and says nothing of earlier
// ones.
func PageTools(list *[]OfferedTool) ([]Tool, *Error) {
	if list == nil {
		return nil, nil
	}
	tools := make([]Tool, 0, len(*list))
	for _, t := range *list {
		schema := bytes.TrimSpace(t.Parameters)
		if len(schema) == 0 || string(schema) == "null" {
			schema = []byte(`{"type":"object","properties":{}}`)
		}
		if schema[0] != '{' {
			return nil, Refuse(CodeInvalid, "parameters of a tool must be a JSON Schema, which is an object")
		}
		tools = append(tools, Tool{Name: t.Name, Description: t.Description, Schema: schema, OnPage: true})
	}
	return tools, nil
}
