package openai

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

var (
	first  = chat.ToolCall{ID: "parlor0001", Given: "call_a", Name: "echo", Arguments: `{"text":"one"}`, Back: json.RawMessage(`{"google":{"thought_signature":"c2ln"}}`)}
	second = chat.ToolCall{ID: "parlor0002", Given: "functions.echo:1", Name: "echo", Arguments: `{'text'}`}
)

// TestMessagesOfCalls: what models are told of their calls, as OpenAI's protocol has it.
func TestMessagesOfCalls(t *testing.T) {
	list := []chat.PromptMessage{
		{Role: chat.RoleUser, Content: "hello"},
		{Role: chat.RoleAssistant, Calls: []chat.ToolCall{first, second}, Thought: "hm", Back: json.RawMessage(`[{"type":"reasoning.text"}]`)},
		{Role: chat.RoleTool, ResultOf: &first, Content: "echo: one"},
		{Role: chat.RoleTool, ResultOf: &second, Failed: true},
		{Role: chat.RoleUser, Content: "well?"},
	}
	const results = `{"role":"tool","content":"echo: one","tool_call_id":"ID1","name":"echo"},{"role":"tool","content":"(no output)","tool_call_id":"parlor0002","name":"echo"},` +
		`{"role":"assistant","content":"(stopped)"},{"role":"user","content":"well?"}]`
	calls := func(id, content, thought string) string {
		return `[{"role":"user","content":"hello"},{"role":"assistant","content":` + content + `,"tool_calls":[` +
			`{"id":"` + id + `","type":"function","function":{"name":"echo","arguments":"{\"text\":\"one\"}"},"extra_content":{"google":{"thought_signature":"c2ln"}}},` +
			`{"id":"parlor0002","type":"function","function":{"name":"echo","arguments":"{\"INVALID_JSON\":\"{'text'}\"}"}}],` + thought + `"reasoning_details":[{"type":"reasoning.text"}]},`
	}
	for _, test := range []struct {
		name    string
		dialect upstream.Dialect
		calls   string
		id      string
	}{
		{"as written", upstream.Dialect{}, calls("call_a", "null", ""), "call_a"},
		{"own ids", upstream.Dialect{OwnIDs: true}, calls("parlor0001", "null", ""), "parlor0001"},
		{"content wanted", upstream.Dialect{WantContent: true}, calls("call_a", `""`, ""), "call_a"},
		{"thought wanted", upstream.Dialect{WantThought: true}, calls("call_a", "null", `"reasoning_content":"hm",`), "call_a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := json.Marshal(messages(list, test.dialect))
			if err != nil {
				t.Fatal(err)
			}
			want := test.calls + strings.Replace(results, "ID1", test.id, 1)
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOddCalls: ids that are numbers, arguments that are objects, lists that are none, and
// a whole answer where a stream was wanted.
func TestOddCalls(t *testing.T) {
	const call = `{"id":7,"type":"function","function":{"name":"echo","arguments":{"text":"one"}}}`
	for name, body := range map[string]string{
		"in a stream": `data: {"choices":[{"index":0,"delta":{"tool_calls":null,"function_call":null}}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[` + call + `]},"finish_reason":"tool_calls"}]}` + "\n\n" + end,
		"whole": `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[` + call + `]},"finish_reason":"stop"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := answerOf(t, body)
			want := []chat.ToolCall{{Given: "7", Name: "echo", Arguments: `{"text":"one"}`}}
			if diff := cmp.Diff(want, got.Calls); diff != "" || got.Err != nil {
				t.Errorf("%v, calls (-want +got):\n%s", got.Err, diff)
			}
		})
	}
}

// TestReasoningDetails: they come back as they came, from all chunks.
func TestReasoningDetails(t *testing.T) {
	got := answerOf(t, `data: {"choices":[{"index":0,"delta":{"reasoning":"I think","reasoning_details":[{"type":"reasoning.text","text":"I think"}]}}]}`+"\n\n"+
		`data: {"choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"eA=="}],"tool_calls":[{"index":0,"id":"a","function":{"name":"echo","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`+"\n\n"+end)
	if want := `[{"type":"reasoning.text","text":"I think"},{"type":"reasoning.encrypted","data":"eA=="}]`; got.Back != want || got.Thought != "I think" {
		t.Errorf("got %s, thought %q", got.Back, got.Thought)
	}
}

// answerOf asks a server whose answer has that body.
func answerOf(t *testing.T, body string) (got providertest.Outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		got = ask(t, providertest.Answer(false, providertest.EventStream, body))
	})
	return got
}
