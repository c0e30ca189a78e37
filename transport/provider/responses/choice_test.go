package responses

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

func TestToolChoice(t *testing.T) {
	for want, p := range map[string]chat.Prompt{
		`null`:                              {},
		`"required"`:                        {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}},
		`"none"`:                            {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}, NoCalls: true},
		`{"name":"look","type":"function"}`: {Choice: chat.ToolChoice{Mode: chat.ToolsRequired, Name: "look"}},
	} {
		p.Tools = []chat.Tool{{Name: "look", Schema: json.RawMessage(`{"type":"object"}`)}}
		if got := field(t, request(p, upstream.Dialect{}), "tool_choice"); got != want {
			t.Errorf("%+v: %s, want %s", p.Choice, got, want)
		}
		p.Tools = nil
		if got := field(t, request(p, upstream.Dialect{}), "tool_choice"); got != "null" {
			t.Errorf("without tools: %s", got)
		}
	}
}

func field(t *testing.T, body any, name string) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	value, _ := json.Marshal(fields[name])
	return string(value)
}
