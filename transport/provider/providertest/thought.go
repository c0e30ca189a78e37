package providertest

import (
	"strings"
	"testing"

	"parlor/protocol/chat"
)

func runThought(t *testing.T, h Harness) {
	w := h.Wire
	const tagged = "\n<think>\nfirst, 😀</think>\n\nThen <think>that</think>."
	var letters []string
	for _, letter := range tagged {
		letters = append(letters, string(letter))
	}
	text := func(pieces ...string) (all string) {
		for _, p := range pieces {
			all += w.Text(strings.ReplaceAll(p, "\n", `\n`))
		}
		return all
	}
	stop, length := w.Claim(chat.FinishStop), w.Claim(chat.FinishLength)
	for _, test := range []struct {
		name, sent    string
		thought, text string
		finish        chat.Finish
		failed        bool
	}{
		{"of its own", w.Thought("a ") + w.Thought("b") + w.Text("Hel") + w.Text("lo") + stop + w.Last, "a b", "Hello", "stop", false},
		{"in halves of an emoji", w.Thought(`\ud83d`) + w.Thought(`\ude00`) + w.Text("Hello") + stop + w.Last, "😀", "Hello", "stop", false},
		{"half an emoji", w.Thought(`a\ud83d`) + stop + w.Last, "a\ufffd", "", "stop", false},
		{"alone", w.Thought("a") + length + w.Last, "a", "", "length", false},
		{"in the answer", w.Text("Hel") + w.Thought("a") + w.Text("lo") + stop + w.Last, "a", "Hello", "stop", false},
		{"takes back a claim", w.Text("Hello") + stop + w.Thought("a") + w.Last, "a", "Hello", "", true},
		{"that is cut off", w.Thought("a"), "a", "", "", true},
		{"between tags", text(tagged) + stop + w.Last, "first, 😀", "Then <think>that</think>.", "stop", false},
		{"between tags, letter by letter", text(letters...) + stop + w.Last, "first, 😀", "Then <think>that</think>.", "stop", false},
		{"between tags that never end", text("<think>", "hm", "</thin") + length + w.Last, "hm</thin", "", "length", false},
		{"between tags, cut off", text("<think>", "hm"), "hm", "", "", true},
		{"tag that is none", text("<", "b>Hello</b>") + stop + w.Last, "", "<b>Hello</b>", "stop", false},
		{"tag that is cut", text("<th") + stop + w.Last, "", "<th", "stop", false},
		{"of both kinds", w.Thought("a") + text("<think>b</think>", "Hello") + stop + w.Last, "ab", "Hello", "stop", false},
	} {
		if w.Final && test.name == "takes back a claim" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			got := h.outcome(t, wireCase{sent: []string{EventStream, w.Begin, test.sent}})
			if got.Thought != test.thought || got.Text != test.text || got.Err != nil != test.failed {
				t.Errorf("got thought %q, text %q, %v; want %q, %q", got.Thought, got.Text, got.Err, test.thought, test.text)
			}
			if !test.failed && got.Finish != test.finish {
				t.Errorf("ended because of %q, want %q", got.Finish, test.finish)
			}
		})
	}
}
