package responses

import (
	"encoding/base64"
	"encoding/json"
	"regexp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A wireRequest is a POST to /responses.
type wireRequest struct {
	Model           chat.ModelID `json:"model"`
	Instructions    string       `json:"instructions,omitempty"`
	Input           []any        `json:"input"`
	Tools           []tool       `json:"tools,omitempty"`
	ToolChoice      any          `json:"tool_choice,omitempty"` // a mode, or a toolChoice
	MaxOutputTokens int          `json:"max_output_tokens,omitempty"`
	Stream          bool         `json:"stream"`
	Background      bool         `json:"background,omitempty"`
	Store           bool         `json:"store"`
}

type tool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

// The items of an input. Thought of the model does not go back with its calls, and so the
// calls go back without the ids of their items, by which the API would look for it.
type (
	message struct {
		Role    chat.Role `json:"role"`
		Content []part    `json:"content"`
	}
	part struct {
		Type     string  `json:"type"`
		Text     *string `json:"text,omitempty"`
		ImageURL string  `json:"image_url,omitempty"`
	}
	toolChoice struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	functionCall struct {
		Type      string `json:"type"`
		CallID    string `json:"call_id"`
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	functionOutput struct {
		Type   string `json:"type"`
		CallID string `json:"call_id"`
		Output string `json:"output"`
	}
)

// legalID matches the ids of calls that OpenAI takes.
var legalID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// request is the request for p.
func request(p chat.Prompt, d upstream.Dialect) any {
	r := wireRequest{
		Model: p.Model, Input: []any{}, Stream: true, Background: p.Resumable, Store: p.Resumable, MaxOutputTokens: p.MaxTokens,
	}
	for _, t := range p.Tools {
		r.Tools = append(r.Tools, tool{Type: "function", Name: t.Name, Description: t.Description, Parameters: t.Schema})
	}
	switch c := p.Calling(); {
	case c.Name != "":
		r.ToolChoice = toolChoice{"function", c.Name}
	case c.Mode != "":
		r.ToolChoice = c.Mode
	}
	ids := upstream.IDs{Legal: legalID}
	if d.OwnIDs {
		ids.Legal = nil
	}
	for _, m := range p.Messages {
		switch {
		case m.Role == chat.RoleSystem:
			r.Instructions = m.Content
		case m.ResultOf != nil:
			r.Input = append(r.Input, functionOutput{"function_call_output", ids.Of(*m.ResultOf), upstream.Result(m)})
		default:
			r.Input = append(r.Input, items(m, &ids)...)
		}
	}
	return r
}

// items are a message and the calls that it makes.
func items(m chat.PromptMessage, ids *upstream.IDs) (all []any) {
	kind := "input_text"
	if m.Role == chat.RoleAssistant {
		kind = "output_text"
	}
	said := message{Role: m.Role}
	for _, i := range m.Images {
		said.Content = append(said.Content, part{Type: "input_image", ImageURL: "data:" + i.Type + ";base64," + base64.StdEncoding.EncodeToString(i.Data)})
	}
	if m.Content != "" {
		said.Content = append(said.Content, part{Type: kind, Text: &m.Content})
	}
	if len(said.Content) > 0 {
		all = append(all, said)
	}
	for _, c := range m.Calls {
		all = append(all, functionCall{"function_call", ids.Of(c), c.Name, upstream.Arguments(c)})
	}
	return all
}
