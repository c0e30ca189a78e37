package anthropic

import (
	"cmp"
	"strings"

	"parlor/protocol/chat"
)

// DefaultMaxTokens limits the answer to a prompt that sets no limit, since the
// API demands one. Every model since Claude 3.5 can say as much.
const DefaultMaxTokens = 8192

// begin is what the user is taken to have said before a conversation that an
// assistant opened: the API wants users to begin, and no empty text.
const begin = "(The conversation begins.)"

// between separates messages that are sent as one.
const between = "\n\n"

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

// newRequest returns the request for p. System prompts have their own place,
// wherever they stand. Roles have to alternate: neighbours of one role become
// one message. Text without anything to see is refused by the API: it is left out.
func newRequest(p chat.Prompt) request {
	r := request{Model: p.Model, MaxTokens: cmp.Or(p.MaxTokens, DefaultMaxTokens), Stream: true, Messages: []message{}}
	for _, m := range p.Messages {
		switch {
		case strings.TrimSpace(m.Content) == "":
		case m.Role == chat.RoleSystem:
			r.System = join(r.System, m.Content)
		default:
			r.add(m)
		}
	}
	return r
}

func (r *request) add(m chat.PromptMessage) {
	last := len(r.Messages) - 1
	switch {
	case last < 0 && m.Role == chat.RoleAssistant:
		r.Messages = append(r.Messages, message{chat.RoleUser, begin})
	case last >= 0 && r.Messages[last].Role == m.Role:
		r.Messages[last].Content = join(r.Messages[last].Content, m.Content)
		return
	}
	r.Messages = append(r.Messages, message{m.Role, m.Content})
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + between + b
}
