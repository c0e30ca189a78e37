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

var errCrowd = chat.Refuse(chat.CodeInvalid, fmt.Sprintf("a message may address at most %d assistants", maxAddressed))

// addressed returns the models that text addresses by @name, in the order of
// their first mention, or model if there are none. A word that nobody is called
// by is text like any other.
func (r *Rules) addressed(text string, model chat.ModelID) ([]chat.ModelID, *chat.Error) {
	var models []chat.ModelID
	seen := make(map[string]bool)
	for name := range mentions(text) {
		folded := chat.Folded(name)
		if seen[folded] {
			continue
		}
		seen[folded] = true
		if id, ok := r.Models.Named(name); ok && !slices.Contains(models, id) {
			models = append(models, id)
		}
		if len(models) > maxAddressed {
			return nil, errCrowd
		}
	}
	if len(models) == 0 {
		models = append(models, model)
	}
	return models, nil
}

// mentions yields the words in text that follow an @ at the beginning of a word,
// so that no address of e-mail is one. The end of a sentence is not part of them.
func mentions(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		last := ' ' // before the @
		for rest := text; rest != ""; {
			c, size := utf8.DecodeRuneInString(rest)
			rest = rest[size:]
			if c != '@' || inAddress(last) {
				last = c
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
			last = 'a' // whatever the word ended with
		}
	}
}

func inName(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || c == '-' || c == '_' || c == '.'
}

// inAddress reports whether c may come before the @ of something that is not
// a mention.
func inAddress(c rune) bool { return inName(c) || strings.ContainsRune("@+/", c) }
