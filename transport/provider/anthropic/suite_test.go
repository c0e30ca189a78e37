package anthropic

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

// TestSuite is what all providers have to pass; what is Anthropic's own is in
// the other tests.
func TestSuite(t *testing.T) { providertest.Run(t, harness) }

func FuzzAnswer(f *testing.F) { providertest.Fuzz(f, harness) }

var harness = providertest.Harness{
	New: func(t testing.TB, baseURL string, o upstream.Options) providertest.Provider {
		return newClient(t, baseURL, o)
	},
	Aimock: true,
	Wire: &providertest.Wire{
		Begin: begun + opened,
		Text:  text,
		Thought: func(inner string) string {
			return strings.Replace(strings.Replace(text(inner), "text_delta", "thinking_delta", 1), `"text":`, `"thinking":`, 1)
		},
		Call: func(n int, id, name string, pieces ...string) string {
			all := eventOf(fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":%q,"name":%q,"input":{}}}`, n, id, name))
			for _, p := range pieces {
				all += eventOf(fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":"`, n) + p + `"}}`)
			}
			return all + eventOf(fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, n))
		},
		CallID: regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`),
		Ping:   ping,
		Claim:  func(why chat.Finish) string { return closed + strings.Replace(ended, "end_turn", reasons[why], 1) },
		Last:   stopped,
		Usage:  counted,
		Error: func(words string) string {
			return fmt.Sprintf("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":%q}}\n\n", words)
		},
		Whole: func(text string) string {
			return fmt.Sprintf(`{"type":"message","role":"assistant","content":[{"type":"text","text":%q}],"stop_reason":"end_turn"}`, text)
		},
		Asked: asked,
	},
}

// asked reads a request as the prompt that it was made of.
func asked(body []byte) (chat.Prompt, error) {
	var r struct {
		Model     chat.ModelID
		MaxTokens int `json:"max_tokens"`
		System    string
		Messages  []struct {
			Role    chat.Role
			Content json.RawMessage
		}
		Tools []struct {
			Name   string
			Schema json.RawMessage `json:"input_schema"`
		}
	}
	err := json.Unmarshal(body, &r)
	p := chat.Prompt{Model: r.Model, MaxTokens: r.MaxTokens, Messages: []chat.PromptMessage{{Role: chat.RoleSystem, Content: r.System}}}
	for _, m := range r.Messages {
		p.Messages = append(p.Messages, askedBlocks(m.Role, m.Content)...)
	}
	for _, t := range r.Tools {
		p.Tools = append(p.Tools, chat.Tool{Name: t.Name, Schema: t.Schema})
	}
	return p, err
}

// askedBlocks returns the messages that one of a request was made of: results of calls are
// blocks of a message of the user, in front of its text.
func askedBlocks(role chat.Role, content json.RawMessage) (all []chat.PromptMessage) {
	m := chat.PromptMessage{Role: role}
	if json.Unmarshal(content, &m.Content) == nil {
		return []chat.PromptMessage{m}
	}
	var blocks []struct {
		Type, Text, ID, Name, Content string
		Input                         json.RawMessage
		Of                            string `json:"tool_use_id"`
	}
	_ = json.Unmarshal(content, &blocks) // what is missing then is noticed
	for _, b := range blocks {
		switch b.Type {
		case "text":
			m.Content += b.Text
		case "tool_use":
			m.Calls = append(m.Calls, chat.ToolCall{Given: b.ID, Name: b.Name, Arguments: string(b.Input)})
		case "tool_result":
			all = append(all, chat.PromptMessage{Role: chat.RoleTool, ResultOf: &chat.ToolCall{Given: b.Of}, Content: b.Content})
		}
	}
	if m.Content != "" || m.Calls != nil {
		all = append(all, m)
	}
	return all
}

// reasons are Anthropic's words.
var reasons = map[chat.Finish]string{
	chat.FinishStop: "end_turn", chat.FinishLength: "max_tokens", chat.FinishRefusal: "refusal", chat.FinishToolCalls: "tool_use",
	chat.FinishContext: "model_context_window_exceeded", chat.FinishPause: "pause_turn", chat.FinishFilter: "content_filter",
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

// Events of the API.
const (
	begun   = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":1}}}` + "\n\n"
	opened  = "event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
	ping    = "event: ping\n" + `data: {"type":"ping"}` + "\n\n"
	closed  = "event: content_block_stop\n" + `data: {"type":"content_block_stop","index":0}` + "\n\n"
	ended   = "event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}` + "\n\n"
	stopped = "event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n"
)

var counted = chat.Usage{PromptTokens: 123, CompletionTokens: 15, TotalTokens: 138}

func eventOf(data string) string { return "data: " + data + "\n\n" }

func text(inner string) string {
	return strings.Replace("event: content_block_delta\n"+`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"_"}}`+"\n\n", `"_"`, `"`+inner+`"`, 1)
}
