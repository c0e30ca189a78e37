// Package search looks for words in texts.
//
//	Parse(`zurich "see you"`) → Query → MayMatch(record)  whether the record is worth decoding
//	                                  → Find(text)        where the words are, and what is around them
//
// All words of a query have to be in a text, in any order, as wholes or as parts of words.
// Words in quotes are one word, with its spaces. Case does not count, nor do accents,
// nor how a character is written: see [appendFolded].
package search

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"parlor/protocol/chat"
)

// Limits of a query, and of what is told of a text, in characters.
const (
	maxQuery   = 256
	maxTerms   = 16
	maxSnippet = 160
	maxLead    = 40 // of a snippet, before the first hit
)

// A Query is what is looked for. It belongs to one goroutine.
type Query struct {
	terms  [][]byte // folded
	text   []byte   // that was looked at last
	folded []byte
}

// Parse returns the query that text asks for, or what is wrong with it.
func Parse(text string) (*Query, *chat.Error) {
	if chat.Cut(text, maxQuery) != text {
		return nil, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("q must have at most %d characters", maxQuery))
	}
	q := new(Query)
	for i, part := range strings.Split(quotes.Replace(text), `"`) {
		words := []string{part}
		if quoted := i%2 == 1; !quoted {
			words = strings.Fields(part)
		}
		for _, word := range words {
			if term := bytes.TrimSpace(appendFolded(nil, word)); len(term) > 0 {
				q.terms = append(q.terms, term)
			}
		}
	}
	switch {
	case len(q.terms) == 0:
		return nil, chat.Refuse(chat.CodeInvalid, "q is empty: it must have a word to look for")
	case len(q.terms) > maxTerms:
		return nil, chat.Refuse(chat.CodeInvalid, fmt.Sprintf("q must have at most %d words", maxTerms))
	}
	return q, nil
}

// quotes makes all quotation marks the same.
var quotes = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`)

// Matches reports whether all words of the query are in the text.
func (q *Query) Matches(text string) bool { return matches(q, text) }

func matches[T text](q *Query, in T) bool {
	q.folded = appendFolded(q.folded[:0], in)
	for _, term := range q.terms {
		if !bytes.Contains(q.folded, term) {
			return false
		}
	}
	return true
}

// fieldOfContent is how the text of a message begins in a record. No text can look like
// it, since the quotes in it are escaped.
var fieldOfContent = []byte(`"content":"`)

// MayMatch reports whether the message in a record can match. It looks at the bytes, which
// is much cheaper than to decode the record; only what may match need be decoded.
func (q *Query) MayMatch(record []byte) bool {
	_, rest, found := bytes.Cut(record, fieldOfContent)
	if !found {
		return true
	}
	text, simple := q.unescape(rest[:endOfString(rest)])
	return !simple || matches(q, text)
}

// unescape returns the text of a JSON string. It reports false if there is an escape in it
// that encoding/json does not write.
func (q *Query) unescape(b []byte) (text []byte, simple bool) {
	text = q.text[:0]
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			q.text = append(text, b...)
			return q.text, true
		}
		text, b = append(text, b[:i]...), b[i+1:]
		switch {
		case len(b) > 0 && escapes[b[0]] != 0:
			text, b = append(text, escapes[b[0]]), b[1:]
		case len(b) >= 5 && b[0] == 'u':
			r, err := strconv.ParseUint(string(b[1:5]), 16, 16)
			if err != nil || utf16.IsSurrogate(rune(r)) {
				return nil, false
			}
			text, b = utf8.AppendRune(text, rune(r)), b[5:]
		default:
			return nil, false
		}
	}
}

// escapes are what the letters behind a backslash stand for.
var escapes = [256]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/'}

// endOfString returns where the quote is that ends a JSON string.
func endOfString(b []byte) (end int) {
	for {
		next := bytes.IndexByte(b[end:], '"')
		if next < 0 {
			return len(b)
		}
		end += next
		backslashes := 0
		for backslashes < end && b[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return end
		}
		end++
	}
}

// Find returns a piece of the text around the first hit, and the hits in it. It returns
// nothing if the text does not match.
func (q *Query) Find(text string) (snippet string, hits []chat.Hit) {
	if !q.Matches(text) {
		return "", nil
	}
	spans := q.spans(text)
	start := before(text, spans[0].from)
	cut := chat.Cut(text[start:], maxSnippet)
	end := start + len(cut)
	prefix, suffix := "", ""
	if start > 0 {
		prefix = "…"
	}
	if end < len(text) {
		suffix = "…"
	}
	snippet = prefix + cut + suffix
	at, units := start, utf16Len(prefix)
	for _, s := range spans {
		s.to = min(s.to, end)
		if s.from >= s.to {
			continue
		}
		from := units + utf16Len(text[at:s.from])
		at, units = s.to, from+utf16Len(text[s.from:s.to])
		hits = append(hits, chat.Hit{Start: from, End: units})
	}
	return snippet, hits
}

// A span is bytes of a text.
type span struct{ from, to int }

// spans returns where the words are in a text that matches, in order and apart.
func (q *Query) spans(text string) []span {
	folded, origins := fold(text)
	var found []span
	for _, term := range q.terms {
		for at := 0; ; {
			i := bytes.Index(folded[at:], term)
			if i < 0 {
				break
			}
			from, to := at+i, at+i+len(term)
			for to < len(folded) && origins[to] == origins[to-1] {
				to++ // a character that is folded to several ones is found as a whole
			}
			end := len(text)
			if to < len(folded) {
				end = origins[to]
			}
			found = append(found, span{origins[from], end})
			at = from + len(term)
		}
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Or(a.from-b.from, a.to-b.to) })
	apart := found[:1]
	for _, s := range found[1:] {
		if last := &apart[len(apart)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
		} else {
			apart = append(apart, s)
		}
	}
	return apart
}

// before returns where a snippet begins whose first hit is at hit: between characters, and
// behind a space if there is one near.
func before(text string, hit int) int {
	base := max(0, hit-16*maxLead)
	for base > 0 && !utf8.RuneStart(text[base]) {
		base--
	}
	bounds, state := []int{base}, -1
	for at := base; at < hit; {
		var character string
		character, _, _, state = uniseg.FirstGraphemeClusterInString(text[at:], state)
		at += len(character)
		bounds = append(bounds, min(at, hit))
	}
	if len(bounds) <= maxLead && base == 0 {
		return 0
	}
	bounds = bounds[max(0, len(bounds)-maxLead):]
	for _, at := range bounds[:len(bounds)/2] {
		if r, size := utf8.DecodeRuneInString(text[at:]); unicode.IsSpace(r) {
			return at + size
		}
	}
	return bounds[0]
}

func utf16Len(text string) (n int) {
	for _, r := range text {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}
