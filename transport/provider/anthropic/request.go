package anthropic

import (
	"cmp"
	"encoding/json"
	"regexp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// DefaultMaxTokens limits the answer to a prompt that sets no limit, since the
// API demands one. Every model since Claude 3.5 can say as much.
const DefaultMaxTokens = 8192

// A request is the body of POST /v1/messages.
// https://docs.anthropic.com/en/api/messages
type request struct {
	Model     chat.ModelID `json:"model"`
	MaxTokens int          `json:"max_tokens"`
	Stream    bool         `json:"stream"`
	System    string       `json:"system,omitempty"`
	Messages  []message    `json:"messages"`

	Tools      []tool      `json:"tools,omitempty"`
	ToolChoice *toolChoice `json:"tool_choice,omitempty"`
}

type message struct {
	Role    chat.Role `json:"role"`
	Content any       `json:"content"` // text, or blocks
}

type tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type toolChoice struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

// A part is a block of a message that we send.
type part struct {
	Type string `json:"type"`
	Text string `json:"text,omitempty"`

	// Of an image.
	Source *source `json:"source,omitempty"`

	// Of a call.
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`

	// Of a result.
	ToolUseID string `json:"tool_use_id,omitempty"`
	Content   string `json:"content,omitempty"`
	IsError   bool   `json:"is_error,omitempty"`
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"` // which JSON has in base64
}

// parts are the images of a message, and then its text.
func parts(m chat.PromptMessage) (all []part) {
	for _, i := range m.Images {
		all = append(all, part{Type: "image", Source: &source{"base64", i.Type, i.Data}})
	}
	if m.Content != "" {
		all = append(all, part{Type: "text", Text: m.Content})
	}
	return all
}

// legalID matches the ids of calls that Anthropic takes.
var legalID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// newRequest returns the request for p. The system prompt has its own place.
func newRequest(p chat.Prompt, _ upstream.Dialect) any {
	r := request{Model: p.Model, MaxTokens: cmp.Or(p.MaxTokens, DefaultMaxTokens), Stream: true, Messages: []message{}}
	ids := upstream.IDs{Legal: legalID}
	for _, m := range p.Messages {
		if m.Role == chat.RoleSystem {
			r.System = m.Content
			continue
		}
		r.add(m, &ids)
	}
	for _, t := range p.Tools {
		r.Tools = append(r.Tools, tool{t.Name, t.Description, t.Schema})
	}
	switch c := p.Calling(); {
	case c.Name != "":
		r.ToolChoice = &toolChoice{"tool", c.Name}
	case c.Forced():
		r.ToolChoice = &toolChoice{Type: "any"}
	case c.Mode != "":
		r.ToolChoice = &toolChoice{Type: "none"}
	}
	return r
}

// add adds a message. The results of calls are one message of the user, with what the
// user says behind them.
func (r *request) add(m chat.PromptMessage, ids *upstream.IDs) {
	switch last := len(r.Messages) - 1; {
	case m.ResultOf != nil:
		result := part{Type: "tool_result", ToolUseID: ids.Of(*m.ResultOf), Content: upstream.Result(m), IsError: m.Failed}
		if results, ok := r.results(); ok {
			r.Messages[last].Content = append(results, result)
			return
		}
		r.Messages = append(r.Messages, message{chat.RoleUser, []part{result}})
	case len(m.Calls) > 0 || m.Back != nil:
		r.Messages = append(r.Messages, message{m.Role, called(m, ids)})
	default:
		if results, ok := r.results(); ok && m.Role == chat.RoleUser {
			r.Messages[last].Content = append(results, parts(m)...)
			return
		}
		if len(m.Images) > 0 {
			r.Messages = append(r.Messages, message{m.Role, parts(m)})
			return
		}
		r.Messages = append(r.Messages, message{m.Role, m.Content})
	}
}

// results returns the content of the last message, if that holds results.
func (r *request) results() ([]part, bool) {
	if len(r.Messages) == 0 || r.Messages[len(r.Messages)-1].Role != chat.RoleUser {
		return nil, false
	}
	parts, ok := r.Messages[len(r.Messages)-1].Content.([]part)
	return parts, ok
}

// called returns the blocks of a message that calls tools, or was paused: those that came,
// as they came, and the calls.
func called(m chat.PromptMessage, ids *upstream.IDs) (blocks []any) {
	var back []json.RawMessage
	_ = json.Unmarshal(m.Back, &back) // it is ours
	for _, b := range back {
		blocks = append(blocks, b)
	}
	if len(back) == 0 && m.Content != "" {
		blocks = append(blocks, part{Type: "text", Text: m.Content})
	}
	for _, c := range m.Calls {
		blocks = append(blocks, part{Type: "tool_use", ID: ids.Of(c), Name: c.Name, Input: json.RawMessage(upstream.Arguments(c))})
	}
	return blocks
}
