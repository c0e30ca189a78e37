package conversation

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unique"

	"parlor/protocol/chat"
)

// Names are the names of the people who speak in a prompt. No two are the same.
type Names struct {
	of    map[chat.UserID]string
	given map[string]int // by the folded name: the last number that made it another one
}

func newNames() Names { return Names{make(map[chat.UserID]string), make(map[string]int)} }

// names returns the names of the people who speak in the dialogue. Of several with
// one name the first to speak has it without a number.
func (d *dialogue) names() Names {
	all := newNames()
	var last unique.Handle[speaker]
	for _, r := range slices.Backward(d.parts) {
		if r.kind == message && r.by != last {
			last = r.by
			all.Add(chat.User{ID: last.Value().user, Name: last.Value().name})
		}
	}
	return all
}

// Add names a user who speaks. No other name differs from the new one in case alone.
func (n Names) Add(u chat.User) {
	if _, known := n.of[u.ID]; known {
		return
	}
	plain := speakerName(u)
	name, number := plain, max(1, n.given[fold(plain)])
	for n.given[fold(name)] > 0 {
		number++
		name = fmt.Sprintf("%s (%d)", plain, number)
	}
	n.of[u.ID] = name
	n.given[fold(name)] = 1
	n.given[fold(plain)] = number
}

// fold returns the same text for all texts that differ in case alone.
func fold(text string) string {
	return strings.Map(func(c rune) rune {
		for last := c; ; {
			if c = unicode.SimpleFold(c); c <= last { // all that c folds to come in order, and then the first again
				return c
			}
			last = c
		}
	}, text)
}

// maxSpeaker limits the part of a name that goes before each message.
const maxSpeaker = 40

// speakerName returns the user's name, or else the id, without what has a meaning in
// prompts: colons and brackets.
func speakerName(u chat.User) string {
	for _, name := range []string{u.Name, string(u.ID)} {
		clean := strings.TrimSpace(strings.Map(func(r rune) rune {
			if strings.ContainsRune(":[]", r) {
				return -1
			}
			return r
		}, chat.OneLine(name)))
		if clean != "" {
			return chat.Cut(clean, maxSpeaker)
		}
	}
	return "somebody"
}

// assistantName returns the name under which people and other assistants are told
// what one says, empty if it has none: nobody else's is in brackets.
func assistantName(name string) string {
	if name == "" {
		return ""
	}
	return "[" + name + "]"
}

// say is Say for a message, with how many tokens it is.
func (n Names) say(m *remembered) (text string, tokens int) {
	by := m.by.Value()
	switch {
	case len(n.of) < 2 || m.content() == "":
		return m.content(), m.tokens
	case n.of[by.user] == by.label && !slices.ContainsFunc(m.suspects, n.claimed):
		return m.text, m.labelledTokens
	}
	text = n.Say(by.user, m.content())
	return text, chat.Tokens(text)
}

// Say returns what a user said, behind the user's name if several people speak. A
// line that looks like somebody else's words is quoted. Speech that was not
// written down has no content, and stays empty: providers tell it by that.
func (n Names) Say(user chat.UserID, content string) string {
	if len(n.of) < 2 || content == "" {
		return content
	}
	if !strings.Contains(content, "\n") {
		return labelOf(n.of[user]) + content
	}
	lines := strings.Split(content, "\n")
	for i, line := range lines {
		if who := suspect(line); i > 0 && n.claimed(who) {
			lines[i] = "> " + line
		}
	}
	return labelOf(n.of[user]) + strings.Join(lines, "\n")
}

// suspect returns the folded text before the first colon of a line, or "". It may be
// there to look like the name of another speaker.
func suspect(line string) string {
	who, _, ok := strings.Cut(line, ":")
	if !ok {
		return ""
	}
	return fold(strings.TrimSpace(who))
}

// claimed reports whether who, from suspect, looks like the name of a speaker.
func (n Names) claimed(who string) bool {
	return n.given[who] > 0 || strings.HasPrefix(who, "[") && strings.HasSuffix(who, "]")
}
