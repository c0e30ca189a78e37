package openai

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

func TestToolChoice(t *testing.T) {
	for want, p := range map[string]chat.Prompt{
		`null`:       {},
		`"required"`: {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}},
		`"none"`:     {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}, NoCalls: true},
		`{"function":{"name":"look"},"type":"function"}`: {Choice: chat.ToolChoice{Mode: chat.ToolsRequired, Name: "look"}},
	} {
		p.Tools = []chat.Tool{{Name: "look", Schema: json.RawMessage(`{"type":"object"}`)}}
		if got := field(t, completion(p, upstream.Dialect{}), "tool_choice"); got != want {
			t.Errorf("%+v: %s, want %s", p.Choice, got, want)
		}
		p.Tools = nil
		if got := field(t, completion(p, upstream.Dialect{}), "tool_choice"); got != "null" {
			t.Errorf("without tools: %s", got)
		}
	}
}

func field(t *testing.T, request any, name string) string {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	value, _ := json.Marshal(fields[name])
	return string(value)
}
