package upstream

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// piece is a CallPiece; an index of -1 is none.
func piece(index int, id, name, arguments string) CallPiece {
	p := CallPiece{Index: &index, ID: id, Name: name}
	if index < 0 {
		p.Index = nil
	}
	_ = json.Unmarshal([]byte(`"`+strings.ReplaceAll(arguments, `"`, `\"`)+`"`), &p.Arguments)
	return p
}

// TestCalls puts the pieces together that servers really send. Each line of got is a call.
func TestCalls(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		name   string
		pieces []CallPiece
		want   []string // id, name and arguments
	}{
		{"whole, without index", []CallPiece{piece(none, "a", "echo", `{"x":1}`), piece(none, "b", "echo", `{"x":2}`)}, []string{`a echo {"x":1}`, `b echo {"x":2}`}},
		{"pieces without index", []CallPiece{piece(none, "a", "echo", ""), piece(none, "", "", `{"x":`), piece(none, "", "", "1}"), piece(none, "b", "nothing", ""), piece(none, "", "", "{}")}, []string{`a echo {"x":1}`, "b nothing {}"}},
		{"one index for all", []CallPiece{piece(0, "a", "echo", "{}"), piece(0, "b", "echo", "{}"), piece(0, "c", "echo", "{}")}, []string{"a echo {}", "b echo {}", "c echo {}"}},
		{"the id on every piece", []CallPiece{piece(0, "a", "echo", ""), piece(0, "a", "", `{"x":`), piece(0, "a", "", "1}")}, []string{`a echo {"x":1}`}},
		{"one call at two indexes", []CallPiece{piece(0, "a", "echo", ""), piece(0, "a", "", `{"x":1}`), piece(1, "a", "echo", `{"x":1}`)}, []string{`a echo {"x":1}`}},
		{"indexes with holes", []CallPiece{piece(1, "a", "echo", ""), piece(1, "", "", "{}"), piece(3, "b", "nothing", "{}")}, []string{"a echo {}", "b nothing {}"}},
		{"in turn", []CallPiece{piece(0, "a", "echo", ""), piece(1, "b", "echo", ""), piece(0, "", "", `{"x":`), piece(1, "", "", `{"x":`), piece(0, "", "", "1}"), piece(1, "", "", "2}")}, []string{`a echo {"x":1}`, `b echo {"x":2}`}},
		{"the name on every piece", []CallPiece{piece(0, "a", "echo", ""), piece(0, "", "echo", `{"x":`), piece(0, "", "echo", "1}")}, []string{`a echo {"x":1}`}},
		{"the name in pieces", []CallPiece{piece(0, "a", "not", ""), piece(0, "", "hing", ""), piece(0, "", "", "{}")}, []string{"a nothing {}"}},
		{"no name", []CallPiece{piece(0, "", "", "")}, nil},
		{"an empty piece at the end", []CallPiece{piece(0, "a", "echo", `{"x":1}`), piece(0, "", "", "")}, []string{`a echo {"x":1}`}},
		{"whole once more", []CallPiece{piece(0, "a", "echo", ""), piece(0, "", "", `{"x":`), piece(0, "", "", "1}"), piece(0, "a", "echo", `{"x":1}`)}, []string{`a echo {"x":1}`}},
		{"no id", []CallPiece{piece(0, "", "echo", "{}"), piece(1, "", "nothing", "{}")}, []string{" echo {}", " nothing {}"}},
		{"neither id nor index", []CallPiece{piece(none, "", "echo", `{"x":1}`), piece(none, "", "echo", `{"x":2}`)}, []string{` echo {"x":1}`, ` echo {"x":2}`}},
		{"no arguments", []CallPiece{piece(0, "a", "nothing", "")}, []string{"a nothing {}"}},
		{"arguments null", []CallPiece{piece(0, "a", "nothing", "null")}, []string{"a nothing {}"}},
		{"cut", []CallPiece{piece(0, "a", "echo", `{"x":`)}, []string{`a echo {"x":`}},
		{"two objects", []CallPiece{piece(0, "a", "echo", `{"x":1}{"x":2}`)}, []string{`a echo {"x":1}{"x":2}`}},
		{"halves of an emoji", []CallPiece{piece(0, "a", "echo", `{"x":"\ud83d`), piece(0, "", "", `\ude00"}`)}, []string{`a echo {"x":"😀"}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := calls{known: func(name string) bool { return name == "echo" || name == "nothing" }}
			for _, p := range test.pieces {
				if err := c.add(p); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, call := range c.whole() {
				got = append(got, strings.Join([]string{call.Given, call.Name, call.Arguments}, " "))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTooManyCalls(t *testing.T) {
	var many calls
	many.known = func(string) bool { return true }
	err := error(nil)
	n := 0
	for ; err == nil; n++ {
		err = many.add(piece(n, "", "echo", "{}"))
	}
	if n != MaxCalls+1 {
		t.Errorf("refused after %d calls, want %d", n, MaxCalls)
	}
	long := calls{known: func(string) bool { return true }}
	if err := long.add(piece(0, "a", "echo", strings.Repeat("x", MaxArguments+1))); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("got %v, want an error that names the limit", err)
	}
}

// TestWireNames: names are legal, of one tool each, lead back, and depend on nothing but
// the names.
func TestWireNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfDistinct(rapid.OneOf(rapid.StringMatching(`[a-z0-9._ /-]{0,70}`), rapid.SampledFrom([]string{"a.b", "a_b", "a/b", "7zip", "_7zip", strings.Repeat("x", 70)})), rapid.ID[string]).Draw(t, "names")
		var tools []chat.Tool
		for _, name := range list {
			tools = append(tools, chat.Tool{Name: name})
		}
		n := namesOf(tools)
		taken := make(map[string]bool)
		for _, name := range list {
			wire := n.of(name)
			if !legalName.MatchString(wire) || taken[wire] {
				t.Errorf("%q is told as %q", name, wire)
			}
			taken[wire] = true
			if back := n.back(wire); back != name {
				t.Errorf("%q came back as %q", name, back)
			}
			if legalName.MatchString(name) && wire != name {
				t.Errorf("%q is told as %q, though all take it", name, wire)
			}
		}
	})
}

func TestPlainSchema(t *testing.T) {
	for schema, want := range map[string]string{
		``:                  `{"properties":{},"type":"object"}`,
		`null`:              `{"properties":{},"type":"object"}`,
		`{"type":"object"}`: `{"properties":{},"type":"object"}`,
		`{"$schema":"x","type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`:                                      `{"properties":{"a":{"type":"string"}},"required":["a"],"type":"object"}`,
		`{"anyOf":[{"properties":{"b":{"type":"string"}}},{"required":["a"]}],"type":"object","properties":{"a":{"type":"string"}}}`: `{"properties":{"a":{"type":"string"},"b":{"type":"string"}},"type":"object"}`,
	} {
		if got := string(plainSchema(json.RawMessage(schema))); got != want {
			t.Errorf("%s: got %s, want %s", schema, got, want)
		}
	}
}

// TestIDs: a call goes by its provider's id if that is legal and no other call has it, and
// its result by the same.
func TestIDs(t *testing.T) {
	list := []chat.ToolCall{{ID: "p1", Given: "call_a"}, {ID: "p2", Given: "call_a"}, {ID: "p3", Given: "not legal"}, {ID: "p4"}}
	ids := IDs{Legal: legalName}
	var got []string
	for range 2 {
		for _, c := range list {
			got = append(got, ids.Of(c))
		}
	}
	want := []string{"call_a", "p2", "p3", "p4"}
	if !slices.Equal(got, append(want, want...)) {
		t.Errorf("got %q", got)
	}
	own := IDs{}
	if got := own.Of(list[0]); got != "p1" {
		t.Errorf("of our own alone: got %q", got)
	}
}

func TestArguments(t *testing.T) {
	for arguments, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, `{}`: `{}`, `["a"]`: `{"INVALID_JSON":"[\"a\"]"}`, `{'a'}`: `{"INVALID_JSON":"{'a'}"}`, `7`: `{"INVALID_JSON":"7"}`,
	} {
		if got := Arguments(chat.ToolCall{Arguments: arguments}); got != want {
			t.Errorf("%s: got %s, want %s", arguments, got, want)
		}
	}
}

// TestComplaintsOfCalls: what servers say that do not take calls as they are sent.
func TestComplaintsOfCalls(t *testing.T) {
	for words, want := range map[string]complaint{
		"registry.ollama.ai/library/gemma3:4b does not support tools":                                       ofTools,
		"Function calling is not supported with this model":                                                 ofTools,
		"Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.":                            ofIDs,
		"invalid message content type: <nil>":                                                               ofContent,
		"Missing `reasoning_content` field in the assistant message at message index 1.":                    ofThought,
		"Invalid 'tools[0].function.name': string does not match pattern":                                   0,
		"messages: text content blocks must be non-empty":                                                   0,
		"The tool_choice parameter does not support being set to required or object in thinking mode":       ofChoice,
		"Unsupported parameter: 'parallel_tool_calls' is not supported with this model.":                    0,
		"tool_use ids were found without tool_result blocks immediately after: toolu_1. Each must have one": 0,
	} {
		if got := complaintOf([]byte(words)); got != want {
			t.Errorf("%s: got %v, want %v", words, got, want)
		}
	}
}

// TestChoiceRefused: a server that does not let its model be made to call is told of as such, and no other one.
func TestChoiceRefused(t *testing.T) {
	forced := chat.Prompt{Tools: []chat.Tool{{Name: "look"}}, Choice: chat.ToolChoice{Mode: chat.ToolsRequired}}
	free := forced
	free.Choice = chat.ToolChoice{}
	for _, c := range []struct {
		prompt    chat.Prompt
		complaint complaint
		want      chat.Code
	}{
		{forced, ofChoice, chat.CodeToolChoice}, {forced, ofTools, chat.CodeToolChoice}, {forced, ofUsage, chat.CodeProviderError}, {free, ofChoice, chat.CodeProviderError},
	} {
		f := wrong("no", nil)
		f.complaint = c.complaint
		if got := chat.AsError(choosing(c.prompt, f)).Code; got != c.want {
			t.Errorf("%v: %s, want %s", c.complaint, got, c.want)
		}
	}
	if _, err := encode(forced, func(p chat.Prompt, _ Dialect) any { return p }, Dialect{NoTools: true}); chat.AsError(err).Code != chat.CodeToolChoice {
		t.Errorf("a model that takes no tools is asked without: %v", err)
	}
	named := forced
	named.Tools, named.Choice.Name = []chat.Tool{{Name: "a b"}}, "a b"
	if told, _ := Told(named); told.Choice.Name != told.Tools[0].Name {
		t.Errorf("told to call %q of %q", told.Choice.Name, told.Tools[0].Name)
	}
}
