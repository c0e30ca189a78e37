package providertest

import (
	"encoding/json"
	"testing"

	"parlor/protocol/chat"
)

// Choices checks the tool_choice of the request that is made of a prompt: that it must call some
// tool, none, or the tool "look", and that there is none in a request without tools.
func Choices(t *testing.T, request func(chat.Prompt) any, some, none, look string) {
	t.Helper()
	for want, p := range map[string]chat.Prompt{
		`null`: {},
		some:   {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}},
		none:   {Choice: chat.ToolChoice{Mode: chat.ToolsRequired}, NoCalls: true},
		look:   {Choice: chat.ToolChoice{Mode: chat.ToolsRequired, Name: "look"}},
	} {
		p.Tools = []chat.Tool{{Name: "look", Schema: json.RawMessage(`{"type":"object"}`)}}
		if got := choice(t, request(p)); got != want {
			t.Errorf("%+v: %s, want %s", p.Choice, got, want)
		}
		p.Tools = nil
		if got := choice(t, request(p)); got != "null" {
			t.Errorf("without tools: %s", got)
		}
	}
}

func choice(t *testing.T, request any) string {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	value, _ := json.Marshal(fields["tool_choice"])
	return string(value)
}
