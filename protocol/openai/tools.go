package openai

import (
	"encoding/json"
	"fmt"

	"parlor/protocol/chat"
)

// maxCallerTools is how many tools OpenAI takes.
const maxCallerTools = 128

// A toolbox is what a request says of tools. They are the caller's: it runs them itself, and
// brings what came of them with its next request.
type toolbox struct {
	Tools  json.RawMessage `json:"tools"`
	Choice json.RawMessage `json:"tool_choice"`
}

// A wireTool is one in either API: chat completions have what is said of a function in a
// member of its own.
type wireTool struct {
	Type     string        `json:"type"`
	Function *wireFunction `json:"function"`
	wireFunction
}

type wireFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// read returns the tools, and what is said of which of them the model is to call.
func (b toolbox) read() (tools []chat.Tool, c Choosing, refusal *Error) {
	if some(b.Tools) {
		if tools, refusal = b.tools(); refusal != nil {
			return nil, c, refusal
		}
	}
	c, refusal = choosing(b.Choice)
	return tools, c, refusal
}

func (b toolbox) tools() (tools []chat.Tool, refusal *Error) {
	var list []wireTool
	if json.Unmarshal(b.Tools, &list) != nil {
		return nil, Invalid("tools", "tools must be a list of tools")
	}
	if len(list) > maxCallerTools {
		return nil, Invalid("tools", fmt.Sprintf("tools must be at most %d", maxCallerTools))
	}
	names := make(map[string]bool)
	for i, t := range list {
		param, f := fmt.Sprintf("tools[%d]", i), t.wireFunction
		if t.Function != nil {
			f = *t.Function
		}
		var schema map[string]any
		switch {
		case t.Type != "function":
			return nil, Invalid(param+".type", fmt.Sprintf("%s is a %q: parlor takes functions only here. Tools that it runs itself are configured there", param, t.Type))
		case f.Name == "" || names[f.Name]:
			return nil, Invalid(param+".name", param+" needs a name that no other tool has")
		case given(f.Parameters) && json.Unmarshal(f.Parameters, &schema) != nil:
			return nil, Invalid(param+".parameters", param+".parameters must be an object, a JSON Schema")
		}
		names[f.Name] = true
		tools = append(tools, chat.Tool{Name: f.Name, Description: f.Description, Schema: f.Parameters})
	}
	return tools, nil
}

// A calling reads the calls and the results in a conversation.
type calling struct {
	made int
	open []chat.ToolCall // that have no result yet
}

// call notes a call. Parlor's own id is one that all providers take.
func (c *calling) call(id, name, arguments string) chat.ToolCall {
	c.made++
	made := chat.ToolCall{ID: fmt.Sprintf("call%05d", c.made), Given: id, Name: name, Arguments: arguments}
	c.open = append(c.open, made)
	return made
}

// result returns the message of a result, or false if it is that of no open call.
func (c *calling) result(id, content string) (m chat.PromptMessage, ok bool) {
	for i, call := range c.open {
		if call.Given == id {
			c.open = append(c.open[:i:i], c.open[i+1:]...)
			return chat.PromptMessage{Role: chat.RoleTool, Content: content, ResultOf: &call}, true
		}
	}
	return m, false
}

// closed refuses a message behind calls that have no result. Providers would refuse that.
func (c *calling) closed(param string) *Error {
	if len(c.open) == 0 {
		return nil
	}
	return Invalid(param, fmt.Sprintf("the result of the call %q is missing: results follow their calls directly", c.open[0].Given))
}

// CallID returns the id by which a caller knows a call: the provider's, or ours.
func CallID(c chat.ToolCall) string {
	if c.Given != "" {
		return c.Given
	}
	return "call_" + c.ID
}

// A CallItem is a call of a tool of the caller.
type CallItem struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func callItem(c chat.ToolCall) CallItem {
	return CallItem{"fc_" + c.ID, "function_call", statusCompleted, CallID(c), c.Name, c.Arguments}
}

type (
	argumentsDelta struct {
		event
		ItemID string `json:"item_id"`
		Index  int    `json:"output_index"`
		Delta  string `json:"delta"`
	}
	argumentsDone struct {
		event
		ItemID    string `json:"item_id"`
		Index     int    `json:"output_index"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
)

// calls tells the calls with which a response ends, from a number on. It returns the number of
// what follows.
func (s *Stream) calls(number int64) (frames []byte, next int64) {
	t := &s.turn
	first := len(t.deadItems()) + len(t.messageItems(t.Text()))
	for i, item := range t.outputs() {
		names, data := outputEvents(item, first+i)
		for j, name := range names {
			frames = append(frames, s.numbered(number, name, func() any { return data[j](event{name, number}) })...)
			number++
		}
	}
	return frames, number
}
