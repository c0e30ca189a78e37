package providertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A toldCase is a conversation with calls, and how the model has to be told it. There, #1 is
// the id of the first call, whatever that is.
type toldCase struct {
	name     string
	messages []chat.PromptMessage
	want     string
}

// calls is a message of an assistant that calls tools.
func calls(text string, list ...chat.ToolCall) chat.PromptMessage {
	return chat.PromptMessage{Role: chat.RoleAssistant, Content: text, Calls: list, Model: "m1"}
}

func result(of chat.ToolCall, text string) chat.PromptMessage {
	return chat.PromptMessage{Role: chat.RoleTool, ResultOf: &of, Content: text}
}

// toldCases are conversations that servers refuse unless they are told as here.
func toldCases() []toldCase {
	user := func(text string) chat.PromptMessage { return chat.PromptMessage{Role: chat.RoleUser, Content: text} }
	call := func(n int, given, arguments string) chat.ToolCall {
		return chat.ToolCall{ID: fmt.Sprint("parlor00", n), Given: given, Name: echo.Name, Arguments: arguments}
	}
	a, b := call(1, "call_a", `{"text":"1"}`), call(2, "call_b", `{"text":"2"}`)
	again, odd, long, none := call(2, "call_a", `{"text":"2"}`), call(1, "call a.1", "{}"), call(1, strings.Repeat("x", 64), "{}"), call(1, "", "{}")
	broken, list := call(1, "call_a", `{'text'}`), call(1, "call_a", `["x"]`)
	gone := chat.ToolCall{ID: "parlor001", Given: "call_a", Name: "multi_tool_use.parallel", Arguments: "{}"}
	failed := result(b, "out of order")
	failed.Failed = true
	return []toldCase{
		{"one", []chat.PromptMessage{user("hello"), calls("", a), result(a, "one")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: one`},
		{"two at once, one failed", []chat.PromptMessage{user("hello"), calls("I look.", a, b), result(a, "one"), failed}, `user: hello; assistant: I look. say_again {"text":"1"} #1 say_again {"text":"2"} #2; #1: one; #2: out of order`},
		{"one after the other", []chat.PromptMessage{user("hello"), calls("", a), result(a, "one"), calls("Again.", b), result(b, "two")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: one; assistant: Again. say_again {"text":"2"} #2; #2: two`},
		{"two with one id", []chat.PromptMessage{user("hello"), calls("", a), result(a, "one"), calls("", again), result(again, "two")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: one; assistant: say_again {"text":"2"} #2; #2: two`},
		{"an id that nobody takes", []chat.PromptMessage{user("hello"), calls("", odd), result(odd, "one")}, `user: hello; assistant: say_again {} #1; #1: one`},
		{"no id", []chat.PromptMessage{user("hello"), calls("", none), result(none, "one")}, `user: hello; assistant: say_again {} #1; #1: one`},
		{"an id of 64 letters", []chat.PromptMessage{user("hello"), calls("", long), result(long, "one")}, `user: hello; assistant: say_again {} #1; #1: one`},
		{"arguments that are no JSON", []chat.PromptMessage{user("hello"), calls("", broken), result(broken, "no JSON")}, `user: hello; assistant: say_again {"INVALID_JSON":"{'text'}"} #1; #1: no JSON`},
		{"arguments that are a list", []chat.PromptMessage{user("hello"), calls("", list), result(list, "no object")}, `user: hello; assistant: say_again {"INVALID_JSON":"[\"x\"]"} #1; #1: no object`},
		{"a result of nothing", []chat.PromptMessage{user("hello"), calls("", a), result(a, " \n")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: (no output)`},
		{"a tool that is not there", []chat.PromptMessage{user("hello"), calls("", gone), result(gone, "there is no such tool")}, `user: hello; assistant: multi_tool_use_parallel {} #1; #1: there is no such tool`},
		{"words behind the results", []chat.PromptMessage{user("hello"), calls("", a), result(a, "stopped"), user("well?")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: stopped; user: well?`},
		{"answers behind the results", []chat.PromptMessage{user("hello"), calls("", a), result(a, "one"), {Role: chat.RoleAssistant, Content: "It is one."}, user("thanks")}, `user: hello; assistant: say_again {"text":"1"} #1; #1: one; assistant: It is one.; user: thanks`},
	}
}

// told checks how a conversation is told.
func (w *Wire) told(t *testing.T, h Harness, test toldCase) {
	asked := h.asked(t, chat.Prompt{Model: "m1", Messages: test.messages, Tools: []chat.Tool{echo}})
	ids := make(map[string]string) // by what was sent
	var parts []string
	for _, m := range asked.Messages {
		switch {
		case m.ResultOf != nil:
			parts = append(parts, ids[m.ResultOf.Given]+": "+m.Content)
			continue
		case m.Role == chat.RoleSystem, m.Role == chat.RoleAssistant && m.Content == "(stopped)": // what some want in between
			continue
		}
		words := []string{string(m.Role) + ":"}
		if m.Content != "" {
			words = append(words, m.Content)
		}
		for _, c := range m.Calls {
			if ids[c.Given] != "" || !w.CallID.MatchString(c.Given) {
				t.Errorf("the id %q is used twice, or not taken by all servers", c.Given)
			}
			ids[c.Given] = fmt.Sprint("#", len(ids)+1)
			words = append(words, c.Name, c.Arguments, ids[c.Given])
		}
		parts = append(parts, strings.Join(words, " "))
	}
	if diff := cmp.Diff(test.want, strings.Join(parts, "; ")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// asked returns what a server is asked for the prompt.
func (h Harness) asked(t *testing.T, p chat.Prompt) chat.Prompt {
	var body []byte
	synctest.Test(t, func(t *testing.T) {
		provider := h.piped(t, upstream.Options{}, func(conn net.Conn) {
			body, _ = ReadRequest(conn)
			_, _ = io.WriteString(conn, EventStream+h.Wire.answer("Hello"))
		})
		Collect(t, provider.Stream(t.Context(), p)).Check(t, "Hello", "", "")
	})
	asked, err := h.Wire.Asked(body)
	if err != nil {
		t.Fatalf("read %s: %v", body, err)
	}
	return asked
}

// toolsOfAllKinds offers tools whose names or schemas are refused as they are. One that is
// refused would fail the whole request.
func toolsOfAllKinds(t *testing.T, h Harness) {
	var tools []chat.Tool
	for name, schema := range map[string]string{
		"calendar.list events": `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"day":{"type":["string","null"]}}}`,
		"calendar_list_events": `{}`, "7zip": `{"type":"object","anyOf":[{"required":["x"]},{"required":["y"]}],"properties":{"x":{"type":"string"}}}`,
		strings.Repeat("a_very_long_name_", 5): `{"type":"object"}`, strings.Repeat("a_very_long_name_", 6): `null`, "server/tool": ``,
	} {
		tools = append(tools, chat.Tool{Name: name, Schema: json.RawMessage(schema)})
	}
	slices.SortFunc(tools, func(a, b chat.Tool) int { return strings.Compare(a.Name, b.Name) })
	prompt := said("hello")
	if got := h.asked(t, prompt).Tools; len(got) != 0 {
		t.Errorf("without tools, the server is told of %v", got)
	}
	prompt.Tools = tools
	asked := h.asked(t, prompt).Tools
	if len(asked) != len(tools) {
		t.Fatalf("the server is told of %d tools, want %d", len(asked), len(tools))
	}
	legal, names := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`), make(map[string]bool)
	for _, tool := range asked {
		var schema map[string]any
		if !legal.MatchString(tool.Name) || names[tool.Name] {
			t.Errorf("the name %q is refused, or there twice", tool.Name)
		}
		names[tool.Name] = true
		if json.Unmarshal(tool.Schema, &schema) != nil || schema["type"] != "object" || schema["properties"] == nil || schema["$schema"] != nil || schema["anyOf"] != nil {
			t.Errorf("the schema of %s is refused: %s", tool.Name, tool.Schema)
		}
	}
	if diff := cmp.Diff(asked, h.asked(t, prompt).Tools); diff != "" {
		t.Errorf("another request has other tools:\n%s", diff)
	}
}
