package chat_test

import (
	"strings"
	"testing"

	"parlor/protocol/chat"
)

func TestApplyChanges(t *testing.T) {
	ptr := func(s string) *string { return &s }
	names := func(s string) *chat.ToolNames { return new(chat.ToolNames(s)) }
	policy := func(p chat.Policy) *chat.Policy { return &p }
	was := chat.Settings{Title: "old", SystemPrompt: "Be brief.", Policy: chat.PolicySteer}
	for _, c := range []struct {
		changes chat.Changes
		want    chat.Settings
		refused chat.Code
	}{
		{chat.Changes{Title: ptr(" a\n new\x00 title ")}, chat.Settings{Title: "a new title", SystemPrompt: "Be brief.", Policy: chat.PolicySteer}, ""},
		{chat.Changes{Title: ptr(""), SystemPrompt: ptr(""), Policy: policy("")}, chat.Settings{}, ""},
		{chat.Changes{Policy: policy(chat.PolicyReject)}, chat.Settings{Title: "old", SystemPrompt: "Be brief.", Policy: chat.PolicyReject}, ""},
		{chat.Changes{ToolsOff: names("pay\nfiles/*")}, chat.Settings{Title: "old", SystemPrompt: "Be brief.", Policy: chat.PolicySteer, ToolsOff: "pay\nfiles/*"}, ""},
		{chat.Changes{ToolsOff: names(strings.Repeat("a\n", chat.MaxToolNames) + "a")}, was, chat.CodeInvalid},
		{chat.Changes{ToolsOff: names(strings.Repeat("a", chat.MaxToolNameLen+1))}, was, chat.CodeInvalid},
		{chat.Changes{ToolsOff: names("a b")}, was, chat.CodeInvalid},
		{chat.Changes{ToolsOff: names("a\n\nb")}, was, chat.CodeInvalid},
		{chat.Changes{}, was, chat.CodeInvalid},
		{chat.Changes{Policy: policy("shout")}, was, chat.CodeInvalid},
		{chat.Changes{Title: ptr(strings.Repeat("ä", chat.MaxTitleLen+1))}, was, chat.CodeTooLarge},
		{chat.Changes{Title: ptr("a" + strings.Repeat("\u0301", 64*chat.MaxTitleLen))}, was, chat.CodeTooLarge},
		{chat.Changes{SystemPrompt: ptr(strings.Repeat("x", chat.MaxSystemPromptBytes+1))}, was, chat.CodeTooLarge},
	} {
		got, err := c.changes.Apply(was)
		switch {
		case c.refused == "" && (err != nil || got != c.want):
			t.Errorf("%+v: %+v, %v, want %+v", c.changes, got, err, c.want)
		case c.refused != "" && (err == nil || err.Code != c.refused):
			t.Errorf("refused with %v, want %s", err, c.refused)
		}
	}
}

// family is one character to people, and seven to a program.
const family = "👨\u200d👩\u200d👧\u200d👦"

// TestCut checks that a character is never cut, and counts once.
func TestCut(t *testing.T) {
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 2, "ab"},
		{"abc", 5, "abc"},
		{"", 1, ""},
		{"abc", 0, ""},
		{"a" + family + "b", 2, "a" + family},
		{"e\u0301a", 1, "e\u0301"},
		{"🇩🇪🇫🇷", 1, "🇩🇪"},
		{"a" + strings.Repeat("\u0301", 64), 1, ""},
	} {
		if got := chat.Cut(test.text, test.n); got != test.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func TestTitle(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"  How\tare\r\nyou? ":       "How are you?",
		"a\u202eb\x07\xff":          "ab",
		"👩\u200d👩":                  "👩\u200d👩",
		strings.Repeat("word ", 30): strings.TrimSpace(strings.Repeat("word ", 15)) + "…",
		strings.Repeat("字", 200):    strings.Repeat("字", chat.MaxTitleLen-1) + "…",
		strings.Repeat(family, 80):  strings.Repeat(family, 80),
		strings.Repeat(family, 81):  strings.Repeat(family, 79) + "…",
		"x" + strings.Repeat("a"+strings.Repeat("\u0301", 1000), 3): "xa" + strings.Repeat("\u0301", 1000) + "a" + strings.Repeat("\u0301", 1000) + "…",
	} {
		got := chat.Title(text)
		if got != want || chat.Cut(got, chat.MaxTitleLen) != got {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}
