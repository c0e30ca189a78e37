package chat_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"parlor/protocol/chat"
)

func TestApplyChanges(t *testing.T) {
	ptr := func(s string) *string { return &s }
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
		{chat.Changes{}, was, chat.CodeInvalid},
		{chat.Changes{Policy: policy("shout")}, was, chat.CodeInvalid},
		{chat.Changes{Title: ptr(strings.Repeat("ä", chat.MaxTitleRunes+1))}, was, chat.CodeTooLarge},
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

func TestTitle(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"  How\tare\r\nyou? ":       "How are you?",
		"a\u202eb\x07\xff":          "ab",
		"👩\u200d👩":                  "👩\u200d👩",
		strings.Repeat("word ", 30): strings.TrimSpace(strings.Repeat("word ", 15)) + "…",
		strings.Repeat("字", 200):    strings.Repeat("字", chat.MaxTitleRunes-1) + "…",
	} {
		got := chat.Title(text)
		if got != want || utf8.RuneCountInString(got) > chat.MaxTitleRunes {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}
