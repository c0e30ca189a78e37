package conversation

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// maxAddressed is how many assistants one message may address.
const maxAddressed = 8

// maxMentioned is how many members one message is noted to mention.
const maxMentioned = 32

var errCrowd = chat.Refuse(chat.CodeInvalid, fmt.Sprintf("a message may address at most %d assistants", maxAddressed))

// addressees are whom a message names, each once, in the order of their first mention.
type addressees struct {
	models  []chat.ModelID
	members []chat.UserID
}

// addresses returns whom text addresses by @name: models by their names, and members of
// the chat by their ids. A word that nobody is called by is text like any other.
func (m Moment) addresses(text string) (a addressees) {
	seen := make(map[string]bool)      // the folded names
	var members map[string]chat.UserID // by their ids, and folded ids; made when there is somebody to look for
	for name := range mentions(text) {
		folded := chat.Folded(name)
		if !seen[folded] {
			seen[folded] = true
			if id, ok := m.Models.Named(name); ok && !slices.Contains(a.models, id) {
				a.models = append(a.models, id)
			}
		}
		if members == nil {
			members = membersByName(m.Chat)
		}
		id, ok := members[name] // as it is written
		if !ok {
			id, ok = members[folded]
		}
		if ok && len(a.members) < maxMentioned && !slices.Contains(a.members, id) {
			a.members = append(a.members, id)
		}
		if len(a.models) > maxAddressed {
			break
		}
	}
	return a
}

// membersByName returns the members by their ids in whatever case. Of two whose ids differ
// in case alone, each has the id as it is written.
func membersByName(info chat.Info) map[string]chat.UserID {
	members := make(map[string]chat.UserID)
	for _, member := range info.Everybody() {
		members[chat.Folded(string(member.ID))] = member.ID
	}
	for _, member := range info.Everybody() {
		members[string(member.ID)] = member.ID
	}
	return members
}

// refusal returns why the message may not address so many, or nil.
func (a addressees) refusal() *chat.Error {
	if len(a.models) > maxAddressed {
		return errCrowd
	}
	return nil
}

// modelsOr returns the models, or the model if there are none.
func (a addressees) modelsOr(model chat.ModelID) []chat.ModelID {
	if len(a.models) == 0 {
		return []chat.ModelID{model}
	}
	return a.models
}

// mentions yields the words in text that follow an @ at the beginning of a word,
// so that no address of e-mail is one. The end of a sentence is not part of them.
func mentions(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := text; ; {
			at := strings.IndexByte(rest, '@')
			if at < 0 {
				return
			}
			before, _ := utf8.DecodeLastRuneInString(text[:len(text)-len(rest)+at]) // none at the beginning
			if rest = rest[at+1:]; inAddress(before) {
				continue
			}
			end := strings.IndexFunc(rest, func(c rune) bool { return !inName(c) })
			if end < 0 {
				end = len(rest)
			}
			word := strings.TrimRight(rest[:end], "-_.")
			if rest = rest[end:]; word != "" && !strings.HasPrefix(rest, "@") && !yield(word) {
				return
			}
		}
	}
}

func inName(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || c == '-' || c == '_' || c == '.'
}

// inAddress reports whether c may come before the @ of something that is not
// a mention.
func inAddress(c rune) bool { return inName(c) || strings.ContainsRune("@+/", c) }
