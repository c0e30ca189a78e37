package providertest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// echo is the tool that models under test may call.
var echo = chat.Tool{Name: "say again", Description: "Says the text again.", Schema: []byte(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`)}

// echoOnWire is its name for providers.
const echoOnWire = "say_again"

func runCalls(t *testing.T, h Harness) {
	w := h.Wire
	ends, cut := w.Claim(chat.FinishToolCalls)+w.Last, w.Claim(chat.FinishLength)+w.Last
	one := w.Call(1, "call_a", echoOnWire, `{\"text\":`, `\"one\"}`)
	for _, test := range []struct {
		name, sent string
		text       string
		want       []string
		failed     bool
	}{
		{"one, in pieces", one + ends, "", []string{`call_a say again {"text":"one"}`}, false},
		{"two, behind text", w.Text("I look.") + one + w.Call(2, "call_b", echoOnWire, `{\"text\":\"two\"}`) + ends, "I look.", []string{`call_a say again {"text":"one"}`, `call_b say again {"text":"two"}`}, false},
		{"ended as if there was none", one + w.Claim(chat.FinishStop) + w.Last, "", []string{`call_a say again {"text":"one"}`}, false},
		{"without arguments", w.Call(1, "call_a", echoOnWire, "") + ends, "", []string{"call_a say again {}"}, false},
		{"of a tool that nobody offers", w.Call(1, "call_a", "search", "{}") + ends, "", []string{"call_a search {}"}, false},
		{"cut by the limit of tokens", w.Call(1, "call_a", echoOnWire, `{\"text\":`) + cut, "", []string{`call_a say again {"text":`}, false},
		{"halves of an emoji", w.Call(1, "call_a", echoOnWire, `{\"text\":\"\ud83d`, `\ude00\"}`) + ends, "", []string{`call_a say again {"text":"😀"}`}, false},
		{"cut off", w.Call(1, "call_a", echoOnWire, `{\"text\":`), "", nil, true},
		{"cut off behind the name", w.Call(1, "call_a", echoOnWire), "", nil, true},
		{"failed", one + w.Error("overloaded"), "", nil, true},
		{"longer than anybody runs", w.Call(1, "call_a", echoOnWire, strings.Repeat("x", 600_000), strings.Repeat("x", 600_000)) + ends, "", nil, true},
		{"announced and not made", ends, "", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := h.outcome(t, wireCase{sent: []string{EventStream, w.Begin, test.sent}, tools: []chat.Tool{echo}})
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
}
