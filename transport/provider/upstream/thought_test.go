package upstream

import (
	"testing"

	"pgregory.net/rapid"
)

var splits = []struct{ name, text, thought, answer string }{
	{"answer", "Hello", "", "Hello"},
	{"nothing", "", "", ""},
	{"space", " \n", "", " \n"},
	{"answer behind space", "\n Hello", "", "\n Hello"},
	{"thought", "<think>hm</think>Hello", "hm", "Hello"},
	{"space around", "\n<think>\nhm\n</think>\n\nHello\n", "hm\n", "Hello\n"},
	{"empty thought", "<think>\n\n</think>\n\nHello", "", "Hello"},
	{"thought alone", "<think>hm</think>\n", "hm", ""},
	{"thought without an end", "<think>hm, <b>x</thin", "hm, <b>x</thin", ""},
	{"tag alone", "<think>", "", ""},
	{"half a tag", "<thin", "", "<thin"},
	{"no tag", "<thinner>x</thinner>", "", "<thinner>x</thinner>"},
	{"in capitals", "<Think>hm</THINK>Hello", "hm", "Hello"},
	{"twice", "<think>a</think> <think>b</think>Hello", "ab", "Hello"},
	{"later", "Hello <think>no</think>", "", "Hello <think>no</think>"},
	{"end alone", "Hello</think>", "", "Hello</think>"},
	{"a tag in the thought", "<think>a <think> b < c</think>d", "a <think> b < c", "d"},
	{"another end", "<think>a</thinking>b</think>c", "a</thinking>b", "c"},
	{"other tags", "<thinking>a</thinking>◁think▷b◁/think▷[THINK]c[/THINK]<thought>d</thought>e", "abcd", "e"},
}

// TestSplit cuts each text anywhere, or nowhere.
func TestSplit(t *testing.T) {
	for _, test := range splits {
		t.Run(test.name, rapid.MakeCheck(func(t *rapid.T) {
			var s Splitter
			var thought, answer string
			for rest := test.text; rest != ""; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
				th, a := s.Split(rest[:n])
				if answer != "" && th != "" {
					t.Fatalf("thought %q behind the answer %q", th, answer)
				}
				thought, answer, rest = thought+th, answer+a, rest[n:]
			}
			th, a := s.Rest()
			if thought, answer = thought+th, answer+a; thought != test.thought || answer != test.answer {
				t.Fatalf("got %q and %q, want %q and %q", thought, answer, test.thought, test.answer)
			}
		}))
	}
}
