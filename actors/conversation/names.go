package conversation

import (
	"fmt"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// Names are those of the people who speak in a prompt.
type Names map[chat.UserID]string

func (d *dialogue) names() Names {
	all := make(Names)
	for _, x := range slices.Backward(d.exchanges) {
		for _, m := range x.said {
			all.Add(m.said.Author)
		}
	}
	return all
}

// Add gives somebody who speaks a name that nobody else has.
func (n Names) Add(u chat.User) {
	if _, known := n[u.ID]; known {
		return
	}
	name := speakerName(u)
	for i := 2; n.taken(name); i++ {
		name = fmt.Sprintf("%s (%d)", speakerName(u), i)
	}
	n[u.ID] = name
}

// taken reports whether somebody has the name, in whatever case.
func (n Names) taken(name string) bool {
	for _, other := range n {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// maxSpeakerRunes bounds what of a name is said before each message.
const maxSpeakerRunes = 40

// speakerName returns the user's name as one that ends before a colon.
func speakerName(u chat.User) string {
	for _, name := range []string{u.Name, string(u.ID)} {
		clean := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
			if strings.ContainsRune(":[]", r) {
				return -1
			}
			return r
		}, chat.OneLine(name))))
		if len(clean) > 0 {
			return string(clean[:min(len(clean), maxSpeakerRunes)])
		}
	}
	return "somebody"
}

// Say returns what a user said, and who that is if it is not the only one. A
// line that looks like somebody else's words is quoted. Speech that was not
// written down has no content, and providers tell it by that.
func (n Names) Say(user chat.UserID, content string) string {
	if len(n) < 2 || content == "" {
		return content
	}
	if !strings.Contains(content, "\n") {
		return n[user] + ": " + content
	}
	lines := strings.Split(content, "\n")
	for i, line := range lines {
		if i > 0 && n.claims(line) {
			lines[i] = "> " + line
		}
	}
	return n[user] + ": " + strings.Join(lines, "\n")
}

// claims reports whether a line begins as one that says who speaks.
func (n Names) claims(line string) bool {
	who, _, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return false
	}
	who = strings.TrimSpace(who)
	return n.taken(who) || strings.HasPrefix(who, "[") && strings.HasSuffix(who, "]")
}
