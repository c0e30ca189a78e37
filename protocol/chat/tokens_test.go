package chat_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// An estimate need not be right, but must not be off by an order of magnitude
// in any language: budgets and prompts are cut by it.
func TestTokens(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  int
		known int // to a model of OpenAI's, about
	}{
		{"", 0, 0},
		{"a", 1, 1},
		{"Hello, world!", 4, 4},
		{"The quick brown fox jumps over the lazy dog.", 11, 10},
		{strings.Repeat("hello ", 1000), 1500, 1001},
		{"Привет, мир!", 7, 6},
		{"你好，世界", 5, 6},
		{"こんにちは", 5, 1},
		{"👍", 2, 3},
		{"\xff\xfe", 1, 2},
	} {
		got := chat.Tokens(c.text)
		if got != c.want {
			t.Errorf("%.20q: %d tokens, want %d", c.text, got, c.want)
		}
		if got > 5*c.known || c.known > 5*max(got, 1) {
			t.Errorf("%.20q: %d tokens, a model counts %d", c.text, got, c.known)
		}
	}
}

// However a text is cut into deltas, it counts the same.
func TestPiecesAddUp(t *testing.T) {
	text := strings.Repeat("Ein Satz, 一句话, и ещё один. ", 50)
	rapid.Check(t, func(t *rapid.T) {
		var e chat.Estimate
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			e.Add(rest[:n])
			rest = rest[n:]
		}
		if got, want := e.Tokens(), chat.Tokens(text); got != want {
			t.Fatalf("pieces count %d, the text %d", got, want)
		}
	})
}

func TestPromptTokens(t *testing.T) {
	p := chat.Prompt{Messages: []chat.PromptMessage{{Content: "1234"}, {Content: ""}}}
	if got, want := p.Tokens(), 1+2*chat.MessageTokens; got != want {
		t.Errorf("%d tokens, want %d", got, want)
	}
	want := chat.Usage{PromptTokens: 9, CompletionTokens: 2, TotalTokens: 11, Estimated: true}
	if got := *chat.EstimateUsage(9, 2); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
}
