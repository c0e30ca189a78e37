package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what members may set.
const (
	MaxTitleRunes        = 80
	MaxSystemPromptBytes = 16 << 10
)

// Changes are what somebody wants to change of a chat's [Settings]: nil is left
// as it is, and empty goes back to what the server is configured to do.
type Changes struct {
	Title        *string `json:"title"`
	SystemPrompt *string `json:"system_prompt"`
	Policy       *Policy `json:"turn_policy"`
}

// Apply returns the changed settings, or why they cannot be changed so.
func (c Changes) Apply(s Settings) (Settings, *Error) {
	if c.Title != nil {
		s.Title = OneLine(*c.Title)
	}
	if c.SystemPrompt != nil {
		s.SystemPrompt = *c.SystemPrompt
	}
	if c.Policy != nil {
		s.Policy = *c.Policy
	}
	switch {
	case c.Title == nil && c.SystemPrompt == nil && c.Policy == nil:
		return s, Refuse(CodeInvalid, "there is nothing to change: title, system_prompt or turn_policy is missing")
	case utf8.RuneCountInString(s.Title) > MaxTitleRunes:
		return s, Refuse(CodeTooLarge, fmt.Sprintf("title must have at most %d characters", MaxTitleRunes))
	case len(s.SystemPrompt) > MaxSystemPromptBytes:
		return s, Refuse(CodeTooLarge, fmt.Sprintf("system_prompt must have at most %d bytes", MaxSystemPromptBytes))
	case s.Policy != "" && !s.Policy.Valid():
		return s, Refuse(CodeInvalid, "turn_policy must be queue, steer, interrupt or reject")
	}
	return s, nil
}

// OneLine returns text as one line: without control and other characters that
// do not print, and with single spaces.
func OneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) && !unicode.Is(unicode.Join_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}

// Title makes a title of text: one line, no longer than titles may be, cut
// behind a word if possible.
func Title(text string) string {
	line := []rune(OneLine(text))
	if len(line) <= MaxTitleRunes {
		return string(line)
	}
	cut := string(line[:MaxTitleRunes-1])
	if i := strings.LastIndexByte(cut, ' '); i > len(cut)/2 {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, " ,.;:") + "…"
}
