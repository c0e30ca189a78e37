package openai

import (
	"encoding/base64"
	"encoding/json"
	"regexp"

	api "github.com/sashabaranov/go-openai"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A message is one of a request.
type message struct {
	Role    chat.Role `json:"role"`
	Content any       `json:"content"` // a *string, or parts

	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	Name       string     `json:"name,omitempty"` // of the tool, which Gemini wants

	ReasoningContent *string         `json:"reasoning_content,omitempty"` // DeepSeek
	ReasoningDetails json.RawMessage `json:"reasoning_details,omitempty"` // OpenRouter
}

type toolCall struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Function function        `json:"function"`
	Extra    json.RawMessage `json:"extra_content,omitempty"`
}

type function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// legalID matches the ids of calls that OpenAI takes.
var legalID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// afterResults is what the assistant is taken to have said when somebody spoke behind the
// results of its calls: Mistral wants it to speak in between.
const afterResults = "(stopped)"

func messages(list []chat.PromptMessage, d upstream.Dialect) (all []message) {
	ids := upstream.IDs{Legal: legalID}
	if d.OwnIDs {
		ids.Legal = nil
	}
	for i, m := range list {
		if m.Role == chat.RoleUser && i > 0 && list[i-1].ResultOf != nil {
			stopped := afterResults
			all = append(all, message{Role: chat.RoleAssistant, Content: &stopped})
		}
		all = append(all, newMessage(m, d, &ids))
	}
	return all
}

// seen are the images of a message, and then its text.
func seen(m chat.PromptMessage) (all []api.ChatMessagePart) {
	for _, i := range m.Images {
		url := "data:" + i.Type + ";base64," + base64.StdEncoding.EncodeToString(i.Data)
		all = append(all, api.ChatMessagePart{Type: api.ChatMessagePartTypeImageURL, ImageURL: &api.ChatMessageImageURL{URL: url}})
	}
	if m.Content != "" {
		all = append(all, api.ChatMessagePart{Type: api.ChatMessagePartTypeText, Text: m.Content})
	}
	return all
}

func newMessage(m chat.PromptMessage, d upstream.Dialect, ids *upstream.IDs) message {
	said := message{Role: m.Role, Content: &m.Content}
	if len(m.Images) > 0 {
		said.Content = seen(m)
	}
	if m.ResultOf != nil {
		result := upstream.Result(m)
		said.Content, said.ToolCallID, said.Name = &result, ids.Of(*m.ResultOf), m.ResultOf.Name
		return said
	}
	if len(m.Calls) == 0 {
		return said
	}
	if m.Content == "" && !d.WantContent {
		said.Content = nil
	}
	if d.WantThought {
		said.ReasoningContent = &m.Thought
	}
	said.ReasoningDetails = m.Back
	for _, c := range m.Calls {
		said.ToolCalls = append(said.ToolCalls, toolCall{
			ID: ids.Of(c), Type: "function", Function: function{c.Name, upstream.Arguments(c)}, Extra: c.Back,
		})
	}
	return said
}
