package providertest

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// echo is the tool that models under test may call.
var echo = chat.Tool{Name: "say again", Description: "Says the text again.", Schema: []byte(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`)}

// echoOnWire is its name for providers.
const echoOnWire = "say_again"

// A callCase is an answer that calls tools, and what comes of it.
type callCase struct {
	name, sent string
	text       string
	want       []string // each call: its id, name and arguments
	failed     bool
}

func runCalls(t *testing.T, h Harness) {
	for _, test := range slices.Concat(h.Wire.calling(), h.Wire.mistaken(), h.Wire.broken()) {
		t.Run(test.name, func(t *testing.T) {
			sent := split(EventStream+h.Wire.Begin+test.sent, multibyte(test.sent)...)
			got := h.outcome(t, wireCase{sent: sent, tools: []chat.Tool{echo}})
			if got.Text != test.text || got.Err != nil != test.failed {
				t.Errorf("got text %q and %v", got.Text, got.Err)
			}
			var calls []string
			for _, c := range got.Calls {
				calls = append(calls, c.Given+" "+c.Name+" "+c.Arguments)
			}
			if diff := cmp.Diff(test.want, calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
	for _, test := range toldCases() {
		t.Run("told "+test.name, func(t *testing.T) { h.Wire.told(t, h, test) })
	}
	t.Run("tools of all kinds", func(t *testing.T) { toolsOfAllKinds(t, h) })
}

// multibyte returns the first letter of s that is more than one byte, if there is one.
func multibyte(s string) []string {
	for _, r := range s {
		if r > unicode.MaxASCII {
			return []string{string(r)}
		}
	}
	return nil
}

// calling are answers whose calls are whole.
func (w *Wire) calling() []callCase {
	ends := w.Claim(chat.FinishToolCalls) + w.Last
	one := w.Call(1, "call_a", echoOnWire, `{\"text\":`, `\"one\"}`)
	two := w.Call(2, "call_b", echoOnWire, `{\"text\":\"two\"}`)
	markup := w.Text(`<tool_call>{\"name\": \"say_again\", \"arguments\": {\"text\": \"one\"}}</tool_call>`)
	const written = `<tool_call>{"name": "say_again", "arguments": {"text": "one"}}</tool_call>`
	long := strings.Repeat("x", 10_000)
	var pieces []string
	for range 30 {
		pieces = append(pieces, long)
	}
	return []callCase{
		{"one, in pieces", one + ends, "", []string{`call_a say again {"text":"one"}`}, false},
		{"two, behind text", w.Text("I look.") + one + two + ends, "I look.", []string{`call_a say again {"text":"one"}`, `call_b say again {"text":"two"}`}, false},
		{"two, each behind text", w.Text("First. ") + one + w.Text("Second.") + two + ends, "First. Second.", []string{`call_a say again {"text":"one"}`, `call_b say again {"text":"two"}`}, false},
		{"behind thought", w.Thought("hm") + one + ends, "", []string{`call_a say again {"text":"one"}`}, false},
		{"ended as if there was none", one + w.Claim(chat.FinishStop) + w.Last, "", []string{`call_a say again {"text":"one"}`}, false},
		{"without arguments", w.Call(1, "call_a", echoOnWire, "") + ends, "", []string{"call_a say again {}"}, false},
		{"without a piece of arguments", w.Call(1, "call_a", echoOnWire) + ends, "", []string{"call_a say again {}"}, false},
		{"with arguments of null", w.Call(1, "call_a", echoOnWire, "null") + ends, "", []string{"call_a say again {}"}, false},
		{"of a tool that nobody offers", w.Call(1, "call_a", "search", "{}") + ends, "", []string{"call_a search {}"}, false},
		{"halves of an emoji", w.Call(1, "call_a", echoOnWire, `{\"text\":\"\ud83d`, `\ude00\"}`) + ends, "", []string{`call_a say again {"text":"😀"}`}, false},
		{"a letter cut in two", w.Call(1, "call_a", echoOnWire, `{\"text\":\"Grüße\"}`) + ends, "", []string{`call_a say again {"text":"Grüße"}`}, false},
		{"300,000 bytes", w.Call(1, "call_a", echoOnWire, pieces...) + ends, "", []string{"call_a say again " + strings.Repeat(long, 30)}, false},
		{"announced, with text instead", w.Text("It is noon.") + ends, "It is noon.", nil, false},
		{"as text", markup + w.Claim(chat.FinishStop) + w.Last, written, nil, false},
		{"as text and as a call", markup + one + ends, written, []string{`call_a say again {"text":"one"}`}, false},
	}
}

// mistaken are answers with arguments that do not run. They come as the model wrote them.
func (w *Wire) mistaken() (all []callCase) {
	ends, cut := w.Claim(chat.FinishToolCalls)+w.Last, w.Claim(chat.FinishLength)+w.Last
	for name, arguments := range map[string]string{
		"of Python": `{'text': 'it', 'loud': True}`, "of two objects": `{"text":"1"}{"text":"2"}`, "of a list": `["x"]`, "of a number": "7",
		"with entities": `{"text":"a &amp;&amp; &quot;b&quot;"}`, "cut, ended as if they were not": `{"text":`,
	} {
		inner := strings.ReplaceAll(arguments, `"`, `\"`)
		all = append(all, callCase{"arguments " + name, w.Call(1, "call_a", echoOnWire, inner) + ends, "", []string{"call_a say again " + arguments}, false})
	}
	return append(all, callCase{"cut by the limit of tokens", w.Call(1, "call_a", echoOnWire, `{\"text\":`) + cut, "", []string{`call_a say again {"text":`}, false})
}

// broken are answers that did not end whole. None of their calls counts.
func (w *Wire) broken() []callCase {
	ends := w.Claim(chat.FinishToolCalls) + w.Last
	one := w.Call(1, "call_a", echoOnWire, `{\"text\":`, `\"one\"}`)
	half := strings.Repeat("x", 600_000)
	return []callCase{
		{"cut off", w.Call(1, "call_a", echoOnWire, `{\"text\":`), "", nil, true},
		{"cut off behind the name", w.Call(1, "call_a", echoOnWire), "", nil, true},
		{"cut off behind a whole call", one, "", nil, true},
		{"cut off behind text and a call", w.Text("I look.") + one, "I look.", nil, true},
		{"failed", one + w.Error("overloaded"), "", nil, true},
		{"longer than anybody runs", w.Call(1, "call_a", echoOnWire, half, half) + ends, "", nil, true},
		{"announced and not made", ends, "", nil, true},
	}
}
