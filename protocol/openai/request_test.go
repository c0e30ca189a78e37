package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

var (
	hi   = []chat.PromptMessage{{Role: chat.RoleUser, Content: "hi"}}
	talk = []chat.PromptMessage{
		{Role: chat.RoleSystem, Content: "be brief"}, {Role: chat.RoleUser, Content: "hello"},
		{Role: chat.RoleAssistant, Content: "what?"}, {Role: chat.RoleUser, Content: "hi there"},
	}
)

func TestDecodeCompletion(t *testing.T) {
	for _, test := range []struct {
		body string
		want CompletionRequest
	}{
		{`{"model":"m","messages":[{"role":"user","content":"hi"}]}`, CompletionRequest{Model: "m", Messages: hi}},
		{
			`{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":1,"max_tokens":9,"max_completion_tokens":7,"temperature":0.5,"tools":[],"x":1,
			  "messages":[{"role":"developer","content":"be brief"},{"role":"user","content":[{"type":"text","text":"hel"},{"type":"text","text":"lo"}],"name":"n"},
			  {"role":"assistant","content":"what?","refusal":null,"tool_calls":[]},{"role":"user","content":"hi there"}]}`,
			CompletionRequest{Model: "m", Messages: talk, Stream: true, IncludeUsage: true, MaxTokens: 7},
		},
		{`{"model":"m","messages":[{"role":"user","content":"hi"}],"n":null,"stream":null,"stream_options":null,"max_tokens":null}`, CompletionRequest{Model: "m", Messages: hi}},
	} {
		got, refusal := DecodeCompletion([]byte(test.body))
		if refusal != nil {
			t.Errorf("%s: %v", test.body, refusal)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, diff)
		}
	}
	if text, refusal := (CompletionRequest{Messages: append(talk, chat.PromptMessage{Role: chat.RoleSystem})}).Last(); text != "hi there" || refusal != nil {
		t.Errorf("the last message is %q, %v", text, refusal)
	}
}

func TestDecodeResponse(t *testing.T) {
	previous := responseID.String()
	for _, test := range []struct {
		body string
		want ResponseRequest
	}{
		{`{"model":"m","input":"hi"}`, ResponseRequest{Model: "m", Input: hi, Store: true}},
		{`{"input":[{"role":"user","content":"hi"}],"conversation":"conv_a_b","stream":true}`, ResponseRequest{Input: hi, Store: true, Stream: true, Chat: "a_b"}},
		{`{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"conversation":{"id":"conv_c"},"background":true}`, ResponseRequest{Input: hi, Store: true, Background: true, Chat: "c"}},
		{`{"model":"m","input":"hi","previous_response_id":"` + previous + `","store":null,"instructions":null,"tools":null,"metadata":{"a":"b"}}`, ResponseRequest{Model: "m", Input: hi, Store: true, Previous: responseID}},
		{`{"model":"m","input":"hi","instructions":"be brief","text":{"format":{"type":"text"}}}`, ResponseRequest{Model: "m", Input: hi, Store: true, Instructions: "be brief"}},
		{
			`{"model":"m","store":false,"max_output_tokens":7,"instructions":"x","input":[{"role":"system","content":"be brief"},{"role":"user","content":"hello"},
			  {"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"what?","annotations":[]}]},{"role":"user","content":"hi there"}]}`,
			ResponseRequest{Model: "m", Input: talk, MaxTokens: 7, Instructions: "x"},
		},
	} {
		got, refusal := DecodeResponse([]byte(test.body))
		if refusal != nil {
			t.Errorf("%s: %v", test.body, refusal)
		} else if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, diff)
		}
	}
}

const (
	adder  = `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object"}}}`
	called = `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{}"}}]}`
	result = `{"role":"tool","tool_call_id":"c1","content":"3"}`
)

// Both APIs lead to the same prompt: calls with what the model said before them, and their
// results directly behind.
func TestDecodeCalls(t *testing.T) {
	first := chat.ToolCall{ID: "call00001", Given: "c1", Name: "add", Arguments: `{"a":1}`}
	second := chat.ToolCall{ID: "call00002", Given: "c2", Name: "add", Arguments: `{"a":2}`}
	messages := []chat.PromptMessage{
		{Role: chat.RoleUser, Content: "sums"},
		{Role: chat.RoleAssistant, Content: "I add.", Calls: []chat.ToolCall{first, second}},
		{Role: chat.RoleTool, Content: "4", ResultOf: &second}, {Role: chat.RoleTool, Content: "3", ResultOf: &first},
	}
	tools := []chat.Tool{{Name: "add", Description: "Adds.", Schema: json.RawMessage(`{"type":"object"}`)}}
	completion, refusal := DecodeCompletion([]byte(`{"model":"m","tools":[` + adder + `],"tool_choice":"none","messages":[{"role":"user","content":"sums"},
		{"role":"assistant","content":"I add.","tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}},{"id":"c2","function":{"name":"add","arguments":"{\"a\":2}"}}]},
		{"role":"tool","tool_call_id":"c2","content":"4"},{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"3"}]}]}`))
	if diff := cmp.Diff(CompletionRequest{Model: "m", Messages: messages, Tools: tools, Choosing: Choosing{Choice: chat.ToolChoice{Mode: chat.ToolsNone}, Raw: json.RawMessage(`"none"`)}}, completion); refusal != nil || diff != "" {
		t.Errorf("completion: %v (-want +got):\n%s", refusal, diff)
	}
	raw := `[{"type":"function","name":"add","description":"Adds.","parameters":{"type":"object"},"strict":true}]`
	response, refusal := DecodeResponse([]byte(`{"model":"m","store":false,"tools":` + raw + `,"tool_choice":"auto","input":[{"role":"user","content":"sums"},{"type":"reasoning","id":"rs_1","summary":[]},
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I add."}]},{"type":"function_call","id":"fc_1","call_id":"c1","name":"add","arguments":"{\"a\":1}"},
		{"type":"function_call","call_id":"c2","name":"add","arguments":"{\"a\":2}"},{"type":"function_call_output","call_id":"c2","output":"4"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"3"}]}]}`))
	if diff := cmp.Diff(ResponseRequest{Model: "m", Input: messages, Tools: tools, RawTools: json.RawMessage(raw), Choosing: Choosing{Raw: json.RawMessage(`"auto"`)}}, response); refusal != nil || diff != "" {
		t.Errorf("response: %v (-want +got):\n%s", refusal, diff)
	}
}

func TestRefused(t *testing.T) {
	completion := func(b []byte) *Error { _, refusal := DecodeCompletion(b); return refusal }
	response := func(b []byte) *Error { _, refusal := DecodeResponse(b); return refusal }
	conversation := func(b []byte) *Error { _, refusal := DecodeConversation(b); return refusal }
	added := func(b []byte) *Error { _, refusal := DecodeItems(b); return refusal }
	for _, test := range []struct {
		decode      func([]byte) *Error
		body, param string
	}{
		{completion, ``, ""},
		{completion, `{`, ""},
		{completion, `[]`, ""},
		{completion, `{} {}`, ""},
		{completion, `{"messages":[{"role":"user","content":"hi"}]}`, "model"},
		{completion, `{"model":7}`, "model"},
		{completion, `{"model":"m"}`, "messages"},
		{completion, `{"model":"m","messages":[]}`, "messages"},
		{completion, `{"model":"m","messages":"hi"}`, "messages"},
		{completion, `{"model":"m","messages":[7]}`, "messages[0]"},
		{completion, `{"model":"m","messages":[{"role":"user"}]}`, "messages[0].content"},
		{completion, `{"model":"m","messages":[{"role":"user","content":7}]}`, "messages[0].content"},
		{completion, `{"model":"m","messages":[{"role":"tool","content":"x"}]}`, "messages[0].tool_call_id"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"x"},{"role":"bishop","content":"x"}]}`, "messages[1].role"},
		{completion, `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"x"}}]}]}`, "messages[0].content[1].type"},
		{completion, `{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"x"}]}]}`, "messages[0].tool_calls[0]"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"x","tool_calls":[{"id":"x"}]}]}`, "messages[0].tool_calls"},
		{completion, `{"model":"m","messages":[` + called + `]}`, "messages"},
		{completion, `{"model":"m","messages":[` + called + `,{"role":"user","content":"well?"}]}`, "messages[1]"},
		{completion, `{"model":"m","messages":[` + called + `,` + result + `,` + result + `]}`, "messages[2].tool_call_id"},
		{completion, `{"model":"m","messages":[` + called + `,{"role":"tool","tool_call_id":"c1"}]}`, "messages[1].content"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"n":2}`, "n"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}]}`, "tools[0].name"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":{"add":1}}`, "tools"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[` + adder + `,` + adder + `]}`, "tools[1].name"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[` + adder + `],"tool_choice":"any"}`, "tool_choice"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`, "tools[0].parameters"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[` + adder + strings.Repeat(`,`+adder, 128) + `]}`, "tools"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_object"}}`, "response_format"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":0}`, "max_tokens"},
		{completion, `{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":"yes"}`, "stream"},
		{response, `{"model":"m"}`, "input"},
		{response, `{"model":"m","input":" "}`, "input"},
		{response, `{"model":"m","input":7}`, "input"},
		{response, `{"model":"m","input":[]}`, "input"},
		{response, `{"model":"m","input":[{"role":"user","content":" "}]}`, "input"},
		{response, `{"model":"m","input":[{"role":"system","content":"x"}]}`, "input[0].role"},
		{response, `{"model":"m","input":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}`, "input[0]"},
		{response, `{"model":"m","input":[{"type":"function_call_output","call_id":"x","output":"y"}]}`, "input[0].call_id"},
		{response, `{"model":"m","input":[{"type":"mcp_approval_response","approve":true}]}`, "input[0].type"},
		{response, `{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}`, "input[0].content[0].type"},
		{response, `{"model":"m","input":"hi","tools":[{"type":"web_search"}]}`, "tools[0].type"},
		{response, `{"model":"m","input":"hi","text":{"format":{"type":"json_object"}}}`, "text.format"},
		{response, `{"model":"m","input":"hi","prompt":{"id":"x"}}`, "prompt"},
		{response, `{"model":"m","input":"hi","max_output_tokens":5}`, "max_output_tokens"},
		{response, `{"model":"m","input":"hi","conversation":"room-1"}`, "conversation"},
		{response, `{"model":"m","input":"hi","conversation":7}`, "conversation"},
		{response, `{"model":"m","input":"hi","instructions":["x"]}`, "instructions"},
		{response, `{"model":"m","input":"hi","conversation":"conv_c","previous_response_id":"` + responseID.String() + `"}`, "previous_response_id"},
		{response, `{"model":"m","input":"hi","previous_response_id":"resp_x"}`, "previous_response_id"},
		{response, `{"model":"m","input":"hi","store":false,"background":true}`, "background"},
		{response, `{"model":"m","input":"hi","store":false,"conversation":"conv_c"}`, "store"},
		{response, `{"input":"hi","store":false}`, "model"},
		{response, `{"model":"m","input":"hi","metadata":{"a":1}}`, "metadata"},
		{response, `{"model":"m","input":"hi","metadata":{"` + strings.Repeat("a", 65) + `":"1"}}`, "metadata"},
		{conversation, `{"metadata":{"topic":7}}`, "metadata"},
		{conversation, `{"items":[{"role":"assistant","content":"x"}]}`, "items[0].role"},
		{added, `{}`, "items"},
		{added, `{"items":[{"role":"user","content":""}]}`, "items[0].content"},
	} {
		refusal := test.decode([]byte(test.body))
		if refusal == nil {
			t.Errorf("%s is taken", test.body)
		} else if refusal.Param != test.param || refusal.Status != 400 || refusal.Message == "" {
			t.Errorf("%s: param %q, want %q; %d %s", test.body, refusal.Param, test.param, refusal.Status, refusal.Message)
		}
	}
}

func TestDecodeConversation(t *testing.T) {
	title := "t"
	for body, want := range map[string]ConversationRequest{
		``:   {},
		`{}`: {},
		`{"metadata":{"model":"m","title":"t"},"items":[{"type":"message","role":"user","content":"hi"}]}`: {Model: "m", Title: &title, Items: []string{"hi"}},
		`{"metadata":null,"items":[]}`: {},
		`{"metadata":{"topic":"x"}}`:   {Lost: "topic"},
	} {
		got, refusal := DecodeConversation([]byte(body))
		if diff := cmp.Diff(want, got); diff != "" || refusal != nil {
			t.Errorf("%s: %v (-want +got):\n%s", body, refusal, diff)
		}
	}
}

// FuzzDecode checks that whatever is taken can be said, and that a refusal can be told.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
	f.Add([]byte(`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"conversation":{"id":"conv_c"}}`))
	f.Add([]byte(`{"metadata":{"model":"m"},"items":[{"role":"user","content":"hi"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, refusal := DecodeCompletion(body)
		checkRefusal(t, refusal)
		if refusal == nil && (c.Model == "" || len(c.Messages) == 0) {
			t.Errorf("taken: %+v", c)
		}
		r, refusal := DecodeResponse(body)
		checkRefusal(t, refusal)
		if refusal == nil && (len(r.Input) == 0 || r.Store && len(r.Input) != 1) {
			t.Errorf("taken: %+v", r)
		}
		_, refusal = DecodeConversation(body)
		checkRefusal(t, refusal)
		_, refusal = DecodeItems(body)
		checkRefusal(t, refusal)
	})
}

func checkRefusal(t *testing.T, e *Error) {
	t.Helper()
	if e == nil {
		return
	}
	var body struct {
		Error struct{ Message, Type string }
	}
	if err := json.Unmarshal(e.Body(), &body); err != nil || body.Error.Message == "" || body.Error.Type == "" {
		t.Errorf("%s: %v", e.Body(), err)
	}
}
