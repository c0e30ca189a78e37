package chat

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Limits of what members may set. MaxTitleLen counts characters as [Cut] does.
const (
	MaxTitleLen          = 80
	MaxSystemPromptBytes = 16 << 10

	MinRetainFor = 60 * 60                  // seconds
	MaxRetainFor = 100 * 365 * 24 * 60 * 60 // seconds
)

// Changes are what somebody wants to change of a chat's [Settings]: nil is left
// as it is, and empty goes back to what the server is configured to do.
type Changes struct {
	Title        *string    `json:"title"`
	SystemPrompt *string    `json:"system_prompt"`
	Policy       *Policy    `json:"turn_policy"`
	ReadOnly     *bool      `json:"read_only"`  // for the owner only
	RetainFor    *int64     `json:"retain_for"` // for the owner only
	Answers      *Answers   `json:"answers"`
	ToolsOff     *ToolNames `json:"tools_off"`
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
	if c.ReadOnly != nil {
		s.ReadOnly = *c.ReadOnly
	}
	if c.RetainFor != nil {
		s.RetainFor = *c.RetainFor
	}
	if c.Answers != nil {
		s.Answers = *c.Answers
	}
	if c.ToolsOff != nil {
		s.ToolsOff = *c.ToolsOff
	}
	switch {
	case c == Changes{}:
		return s, Refuse(CodeInvalid, "there is nothing to change: title, system_prompt, turn_policy, read_only, retain_for, answers or tools_off is missing")
	case Cut(s.Title, MaxTitleLen) != s.Title:
		return s, Refuse(CodeTooLarge, fmt.Sprintf("title must have at most %d characters", MaxTitleLen))
	case len(s.SystemPrompt) > MaxSystemPromptBytes:
		return s, Refuse(CodeTooLarge, fmt.Sprintf("system_prompt must have at most %d bytes", MaxSystemPromptBytes))
	case s.Policy != "" && !s.Policy.Valid():
		return s, Refuse(CodeInvalid, "turn_policy must be "+Policies)
	case s.RetainFor != 0 && (s.RetainFor < MinRetainFor || s.RetainFor > MaxRetainFor):
		return s, Refuse(CodeInvalid, fmt.Sprintf("retain_for must be 0, or %d seconds to %d", MinRetainFor, MaxRetainFor))
	case s.Answers != "" && !s.Answers.Valid():
		return s, Refuse(CodeInvalid, "answers must be all, mentioned or none")
	case !s.ToolsOff.valid():
		return s, Refuse(CodeInvalid, fmt.Sprintf("tools_off must have at most %d names of at most %d bytes, without spaces", MaxToolNames, MaxToolNameLen))
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
	line := OneLine(text)
	if Cut(line, MaxTitleLen) == line {
		return line
	}
	cut := Cut(line, MaxTitleLen-1)
	if i := strings.LastIndexByte(cut, ' '); i > len(cut)/2 {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, " ,.;:") + "…"
}

// maxCharacter is how many bytes a character may have on average. An emoji has up to 40,
// but nothing keeps people from putting a thousand accents on a letter.
const maxCharacter = 64

// Cut returns the first n characters of text as people count them: an emoji of several
// code points is one, and so is a letter with its accents (UAX #29, grapheme clusters).
// It returns fewer if they have more than 64 bytes on average.
func Cut(text string, n int) string {
	end, state := 0, -1
	for rest, bytes := text, n*maxCharacter; n > 0 && rest != ""; n-- {
		var character string
		character, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if end+len(character) > bytes {
			break
		}
		end += len(character)
	}
	return text[:end]
}
