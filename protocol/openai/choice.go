package openai

import (
	"encoding/json"
	"fmt"
	"slices"

	"parlor/protocol/chat"
)

// A Choosing is what a request says of what the model is to call.
type Choosing struct {
	Choice chat.ToolChoice
	Only   []string        // the tools that it may call, or servers of tools; nil: all
	Raw    json.RawMessage // as it came; nil: it says nothing
}

// ownLabel stands for the tools of parlor that are of no server.
const ownLabel = "parlor"

// A wireChoice is a tool_choice that is an object. Chat completions have what it says in a
// member of its own.
type wireChoice struct {
	Type     string       `json:"type"`
	Name     string       `json:"name"`
	Server   string       `json:"server_label"`
	Mode     string       `json:"mode"`
	Tools    []wireChoice `json:"tools"`
	Function *wireChoice  `json:"function"`
	Allowed  *wireChoice  `json:"allowed_tools"`
}

// choosing reads a tool_choice.
func choosing(raw json.RawMessage) (c Choosing, refusal *Error) {
	if !given(raw) {
		return c, nil
	}
	c.Raw = raw
	var mode string
	if json.Unmarshal(raw, &mode) == nil {
		c.Choice.Mode, refusal = modeOf(mode, "tool_choice")
		return c, refusal
	}
	var w wireChoice
	if json.Unmarshal(raw, &w) != nil {
		return c, noChoice("tool_choice", "tool_choice must be auto, none, required, or an object that names tools")
	}
	if w.Type != "allowed_tools" {
		c.Choice.Mode = chat.ToolsRequired
		c.Choice.Name, refusal = w.named("tool_choice")
		return c, refusal
	}
	if w.Allowed != nil {
		w = *w.Allowed
	}
	if c.Choice.Mode, refusal = modeOf(w.Mode, "tool_choice.mode"); refusal != nil {
		return c, refusal
	}
	c.Only = []string{}
	for i, t := range w.Tools {
		name, refusal := t.named(fmt.Sprintf("tool_choice.tools[%d]", i))
		if refusal != nil {
			return c, refusal
		}
		c.Only = append(c.Only, name)
	}
	return c, nil
}

func modeOf(mode, param string) (chat.ToolMode, *Error) {
	switch m := chat.ToolMode(mode); m {
	case chat.ToolsNone, chat.ToolsRequired:
		return m, nil
	case "auto":
		return "", nil
	}
	return "", noChoice(param, fmt.Sprintf("%s must be auto, none or required, not %q", param, mode))
}

// named returns the tool, or the server of tools, that an object names.
func (w wireChoice) named(param string) (string, *Error) {
	if w.Function != nil {
		w.Name = w.Function.Name
	}
	switch {
	case w.Type == "function" && w.Name != "", w.Type == "mcp" && w.Server == ownLabel && w.Name != "":
		return w.Name, nil
	case w.Type == "mcp" && w.Server != "" && w.Name != "":
		return w.Server + "/" + w.Name, nil
	case w.Type == "mcp" && w.Server != "" && w.Server != ownLabel:
		return w.Server, nil
	}
	return "", noChoice(param, param+" must name a function, or a tool of a server (mcp): there is no other kind of tools here")
}

// noChoice refuses a choice that cannot be had.
func noChoice(param, message string) *Error {
	e := Invalid(param, message)
	e.Code = string(chat.CodeToolChoice)
	return e
}

// alone returns the tools of a request that belongs to no chat as its model is offered them,
// which are those of the request only.
func (c Choosing) alone(tools []chat.Tool) ([]chat.Tool, *Error) {
	if c.Only != nil {
		tools = slices.DeleteFunc(slices.Clone(tools), func(t chat.Tool) bool { return !slices.Contains(c.Only, t.Name) })
	}
	if refusal := c.Choice.Within(tools); refusal != nil {
		return nil, ErrorOf(refusal)
	}
	return tools, nil
}
