package anthropic

import (
	"cmp"

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
}

type message struct {
	Role    chat.Role `json:"role"`
	Content string    `json:"content"`
}

// newRequest returns the request for p. The system prompt has its own place.
func newRequest(p chat.Prompt, _ upstream.Dialect) any {
	r := request{Model: p.Model, MaxTokens: cmp.Or(p.MaxTokens, DefaultMaxTokens), Stream: true, Messages: []message{}}
	for _, m := range p.Messages {
		if m.Role == chat.RoleSystem {
			r.System = m.Content
			continue
		}
		r.Messages = append(r.Messages, message{m.Role, m.Content})
	}
	return r
}
