package anthropic

import (
	"encoding/json"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/providertest"
	"parlor/transport/provider/upstream"
)

// TestBack: what a model thought, and what Anthropic ran on its side, comes back as it
// came. Calls of our tools are not among it.
func TestBack(t *testing.T) {
	block := func(n, start, stop string, deltas ...string) (all string) {
		all = eventOf(`{"type":"content_block_start","index":` + n + `,"content_block":` + start + `}`)
		for _, d := range deltas {
			all += eventOf(`{"type":"content_block_delta","index":` + n + `,"delta":` + d + `}`)
		}
		return all + stop + eventOf(`{"type":"content_block_stop","index":`+n+`}`)
	}
	use := block("9", `{"type":"tool_use","id":"toolu_1","name":"echo","input":{}}`, "", `{"type":"input_json_delta","partial_json":"{}"}`)
	for _, test := range []struct{ name, sent, reason, want string }{
		{"thinking", block("0", `{"type":"thinking","thinking":"","signature":""}`, "", `{"type":"thinking_delta","thinking":"I need "}`, `{"type":"thinking_delta","thinking":"it."}`, `{"type":"signature_delta","signature":"Eq+/=="}`) + use, "tool_use",
			`[{"signature":"Eq+/==","thinking":"I need it.","type":"thinking"}]`},
		{"hidden thinking", block("0", `{"type":"thinking","thinking":"","signature":""}`, "", `{"type":"signature_delta","signature":"U2ln"}`) + block("1", `{"type":"redacted_thinking","data":"UmVk"}`, "") + use, "tool_use",
			`[{"signature":"U2ln","thinking":"","type":"thinking"},{"data":"UmVk","type":"redacted_thinking"}]`},
		{"a pause", block("0", `{"type":"text","text":""}`, "", `{"type":"text_delta","text":"I search."}`) +
			block("1", `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}`, "", `{"type":"input_json_delta","partial_json":"{\"query\":"}`, `{"type":"input_json_delta","partial_json":"\"x\"}"}`) +
			block("2", `{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"url":"https://example.org"}]}`, ""), "pause_turn",
			`[{"text":"I search.","type":"text"},{"id":"srvtoolu_1","input":{"query":"x"},"name":"web_search","type":"server_tool_use"},{"content":[{"url":"https://example.org"}],"tool_use_id":"srvtoolu_1","type":"web_search_tool_result"}]`},
		{"only text", block("0", `{"type":"text","text":""}`, "", `{"type":"text_delta","text":"I look."}`) + use, "tool_use", ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := eventOf(`{"type":"message_delta","delta":{"stop_reason":"` + test.reason + `"},"usage":{"output_tokens":15}}`)
				got := ask(t, providertest.Answer(false, providertest.EventStream, begun+test.sent+end+stopped))
				if got.Err != nil || got.Back != test.want {
					t.Errorf("got %v\n%s, want\n%s", got.Err, got.Back, test.want)
				}
			})
		})
	}
}

// TestInputAtTheStart: some servers have the whole input there, and send no pieces.
func TestInputAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ask(t, providertest.Answer(false, providertest.EventStream, begun+
			eventOf(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"echo:0","name":"echo","input":{"text":"one"}}}`)+closed+ended+stopped))
		want := []chat.ToolCall{{Given: "echo:0", Name: "echo", Arguments: `{"text":"one"}`}}
		if diff := cmp.Diff(want, got.Calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

// TestMessagesOfCalls: calls and results as Anthropic wants them: the results of a step in
// one message of the user, before what the user says.
func TestMessagesOfCalls(t *testing.T) {
	first := chat.ToolCall{ID: "parlor0001", Given: "toolu_1", Name: "echo", Arguments: `{"text":"one"}`}
	second := chat.ToolCall{ID: "parlor0002", Given: "echo:1", Name: "echo", Arguments: "7"}
	prompt := chat.Prompt{Model: "claude", NoCalls: true, Tools: []chat.Tool{{Name: "echo", Description: "Says it again.", Schema: json.RawMessage(`{}`)}}, Messages: []chat.PromptMessage{
		{Role: chat.RoleUser, Content: "hello"},
		{Role: chat.RoleAssistant, Content: "I look.", Calls: []chat.ToolCall{first}, Back: json.RawMessage(`[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"I look."}]`)},
		{Role: chat.RoleTool, ResultOf: &first, Content: "echo: one"},
		{Role: chat.RoleAssistant, Content: "Again.", Calls: []chat.ToolCall{second}},
		{Role: chat.RoleTool, ResultOf: &second, Content: "no object", Failed: true},
		{Role: chat.RoleUser, Content: "well?"},
	}}
	var body []byte
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "http://provider.example", upstream.Options{DialContext: providertest.Pipe(t, func(conn net.Conn) {
			body, _ = providertest.ReadRequest(conn)
			io.WriteString(conn, providertest.EventStream+begun+ended+stopped)
		})})
		providertest.Collect(t, c.Stream(t.Context(), prompt)).Check(t, "", "", "")
	})
	want := `{"model":"claude","max_tokens":8192,"stream":true,"messages":[{"role":"user","content":"hello"},` +
		`{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"I look."},{"type":"tool_use","id":"toolu_1","name":"echo","input":{"text":"one"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"echo: one"}]},` +
		`{"role":"assistant","content":[{"type":"text","text":"Again."},{"type":"tool_use","id":"parlor0002","name":"echo","input":{"INVALID_JSON":"7"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"parlor0002","content":"no object","is_error":true},{"type":"text","text":"well?"}]}],` +
		`"tools":[{"name":"echo","description":"Says it again.","input_schema":{"properties":{},"type":"object"}}],"tool_choice":{"type":"none"}}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}
