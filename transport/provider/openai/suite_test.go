package openai

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSuite is what all providers have to pass; what is OpenAI's own is in the
// other tests.
func TestSuite(t *testing.T) { providertest.Run(t, harness) }

var harness = providertest.Harness{
	New: func(t testing.TB, baseURL string, o upstream.Options) providertest.Provider {
		return newClient(t, baseURL+"/v1", o)
	},
	Wire:   &wire,
	Aimock: true,
}

func newClient(t testing.TB, baseURL string, o Options) *Client {
	t.Helper()
	c, err := New(baseURL, providertest.Key, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var wire = providertest.Wire{
	Text: content,
	Thought: func(inner string) string {
		return strings.Replace(content(inner), `"content"`, `"reasoning_content"`, 1)
	},
	Call: func(n int, id, name string, pieces ...string) string {
		event := func(call string) string {
			return fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,%s}]}}]}`+"\n\n", n-1, call)
		}
		all := event(fmt.Sprintf(`"id":%q,"type":"function","function":{"name":%q,"arguments":""}`, id, name))
		for _, p := range pieces {
			all += event(`"function":{"arguments":"` + p + `"}`)
		}
		return all
	},
	CallID: regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`),
	Ping:   `data: {"choices":[]}` + "\n\n",
	Claim: func(why chat.Finish) string {
		return strings.Replace(stop, `"stop"`, `"`+string(why)+`"`, 1) + usage358
	},
	Last:  end,
	Usage: counted,
	Error: func(words string) string {
		return fmt.Sprintf(`data: {"error":{"message":%q,"type":"server_error","code":503}}`+"\n\n", words)
	},
	Whole: func(text string) string {
		return fmt.Sprintf(`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
	},
	Asked: asked,
}

// asked reads a request as the prompt that it was made of.
func asked(body []byte) (chat.Prompt, error) {
	var r struct {
		Model     chat.ModelID
		Messages  []askedMessage
		MaxTokens int `json:"max_tokens"`
		Tools     []struct {
			Function struct {
				Name       string
				Parameters json.RawMessage
			}
		}
	}
	err := json.Unmarshal(body, &r)
	p := chat.Prompt{Model: r.Model, MaxTokens: r.MaxTokens}
	for _, m := range r.Messages {
		p.Messages = append(p.Messages, m.message())
	}
	for _, t := range r.Tools {
		p.Tools = append(p.Tools, chat.Tool{Name: t.Function.Name, Schema: t.Function.Parameters})
	}
	return p, err
}

type askedMessage struct {
	Role      chat.Role
	Content   string
	ToolCalls []struct {
		ID       string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
	ToolCallID string `json:"tool_call_id"`
	Name       string
}

func (m askedMessage) message() chat.PromptMessage {
	p := chat.PromptMessage{Role: m.Role, Content: m.Content}
	for _, c := range m.ToolCalls {
		p.Calls = append(p.Calls, chat.ToolCall{Given: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	if m.ToolCallID != "" {
		p.ResultOf = &chat.ToolCall{Given: m.ToolCallID, Name: m.Name}
	}
	return p
}

// Events of providers.
var hel, lo = content("Hel"), content("lo")

const (
	stop     = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n"
	usage358 = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}` + "\n\n"
	end      = "data: [DONE]\n\n"
)

var counted = chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8}

func content(inner string) string {
	return strings.Replace(`data: {"choices":[{"index":0,"delta":{"content":"_"}}]}`+"\n\n", "_", inner, 1)
}
