package responses

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

// TestSuite is what all providers have to pass. It asks for answers that nobody keeps.
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
	Begin: eventOf(`{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","output":[],"error":null}}`),
	Text:  text,
	Thought: func(inner string) string {
		return strings.Replace(text(inner), "output_text", "reasoning_text", 1)
	},
	Call: func(n int, id, name string, pieces ...string) string {
		all := eventOf(fmt.Sprintf(`{"type":"response.output_item.added","output_index":%d,"item":{"id":"fc_%d","type":"function_call","call_id":%q,"name":%q,"arguments":""}}`, n, n, id, name))
		for _, p := range pieces {
			all += eventOf(fmt.Sprintf(`{"type":"response.function_call_arguments.delta","item_id":"fc_%d","output_index":%d,"delta":"%s"}`, n, n, p))
		}
		return all + eventOf(fmt.Sprintf(`{"type":"response.output_item.done","output_index":%d,"item":{"id":"fc_%d","type":"function_call","call_id":%q,"name":%q,"arguments":"%s"}}`, n, n, id, name, strings.Join(pieces, "")))
	},
	CallID: regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`),
	Ping:   eventOf(`{"type":"response.in_progress","response":{"id":"resp_1","error":null}}`),
	Claim:  claim,
	Final:  true,
	Last:   "data: [DONE]\n\n", // of servers that are like others in this
	Usage:  chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8},
	Error: func(words string) string {
		return eventOf(fmt.Sprintf(`{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":%q}}}`, words))
	},
	Whole: func(text string) string {
		return fmt.Sprintf(`{"object":"response","id":"resp_1","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":%q}]}],"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}`, text)
	},
	Asked: asked,
}

func eventOf(data string) string { return "data: " + data + "\n\n" }

func text(inner string) string {
	return strings.Replace(eventOf(`{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"_"}`), `"_"`, `"`+inner+`"`, 1)
}

// claim is the last event.
func claim(why chat.Finish) string {
	kind, details := "completed", "null"
	if why != chat.FinishStop {
		kind, details = "incomplete", fmt.Sprintf(`{"reason":%q}`, why)
	}
	return eventOf(fmt.Sprintf(`{"type":"response.%s","response":{"id":"resp_1","status":%q,"error":null,"incomplete_details":%s,"output":[],"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}}`, kind, kind, details))
}

// asked reads a request as the prompt that it was made of.
func asked(body []byte) (chat.Prompt, error) {
	var r struct {
		Model        chat.ModelID
		Instructions string
		MaxTokens    int `json:"max_output_tokens"`
		Input        []struct {
			Type      string
			Role      chat.Role
			Content   []struct{ Text string }
			CallID    string `json:"call_id"`
			Name      string
			Arguments string
			Output    string
		}
		Tools []struct {
			Name       string
			Parameters json.RawMessage
		}
	}
	err := json.Unmarshal(body, &r)
	p := chat.Prompt{Model: r.Model, MaxTokens: r.MaxTokens}
	if r.Instructions != "" {
		p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleSystem, Content: r.Instructions})
	}
	for _, i := range r.Input {
		switch last := len(p.Messages) - 1; {
		case i.Type == "function_call_output":
			p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleTool, Content: i.Output, ResultOf: &chat.ToolCall{Given: i.CallID}})
		case i.Type == "function_call" && last >= 0 && p.Messages[last].Role == chat.RoleAssistant:
			p.Messages[last].Calls = append(p.Messages[last].Calls, chat.ToolCall{Given: i.CallID, Name: i.Name, Arguments: i.Arguments})
		case i.Type == "function_call":
			p.Messages = append(p.Messages, chat.PromptMessage{Role: chat.RoleAssistant, Calls: []chat.ToolCall{{Given: i.CallID, Name: i.Name, Arguments: i.Arguments}}})
		default:
			m := chat.PromptMessage{Role: i.Role}
			for _, c := range i.Content {
				m.Content += c.Text
			}
			p.Messages = append(p.Messages, m)
		}
	}
	for _, t := range r.Tools {
		p.Tools = append(p.Tools, chat.Tool{Name: t.Name, Schema: t.Parameters})
	}
	return p, err
}
