package socketio

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file walk over JSON that is already known to be
// valid, as arguments are, so they need not understand it. They pass over text that has
// no escapes as fast as memory is read, which encoding/json does not. Given anything
// else they yield nonsense, but end.

// Members yields the members of an object: the names as they are written, with their
// quotes, and the values without the space around them.
func Members(object []byte) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(name, value json.RawMessage) bool) {
		var name json.RawMessage
		for token := range tokens(object, ':') {
			if name == nil {
				name = token
				continue
			}
			if !yield(name, token) {
				return
			}
			name = nil
		}
	}
}

// Elements yields the elements of an array, without the space around them.
func Elements(array []byte) iter.Seq[json.RawMessage] { return tokens(array, ',') }

// tokens yields the values in an array or an object, between which are commas or the
// other separator.
func tokens(b []byte, separator byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(b, 1)
		for i < len(b) && b[i] != ']' && b[i] != '}' {
			end := valueEnd(b, i)
			if end == i || !yield(b[i:end:end]) {
				return
			}
			i = skipSpace(b, end)
			if i < len(b) && (b[i] == ',' || b[i] == separator) {
				i = skipSpace(b, i+1)
			}
		}
	}
}

// valueEnd returns where the value that begins at i ends.
func valueEnd(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
			if depth == 0 {
				return i + 1
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
			if depth == 0 {
				return i + 1
			}
			if depth < 0 { // the end of what a number or a word stands in
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(b []byte, i int) int {
	for start := i + 1; start < len(b); {
		n := bytes.IndexByte(b[start:], '"')
		if n < 0 {
			break
		}
		quote := start + n
		escape := quote // behind the last byte that is no backslash
		for escape > start && b[escape-1] == '\\' {
			escape--
		}
		if (quote-escape)%2 == 0 {
			return quote + 1
		}
		start = quote + 1
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// Text returns the text of a string. Half of a surrogate pair becomes U+FFFD, as in
// encoding/json.
func Text(quoted []byte) string {
	if plain(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var text strings.Builder
	text.Grow(len(quoted))
	rest := quoted[1 : len(quoted)-1]
	for n := bytes.IndexByte(rest, '\\'); n >= 0; n = bytes.IndexByte(rest, '\\') {
		text.Write(rest[:n])
		rest = writeEscape(&text, rest[n:])
	}
	text.Write(rest)
	if text.Len() < len(quoted)/2 { // somebody may keep it
		return strings.Clone(text.String())
	}
	return text.String()
}

// writeEscape writes the character that rest begins with, and returns what follows that.
func writeEscape(text *strings.Builder, rest []byte) []byte {
	if rest[1] != 'u' {
		text.WriteByte(escapes[rest[1]])
		return rest[2:]
	}
	r, rest := codeUnit(rest), rest[len(`\u0000`):]
	if utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, codeUnit(rest)); pair != utf8.RuneError {
			text.WriteRune(pair)
			return rest[len(`\u0000`):]
		}
	}
	text.WriteRune(r) // as U+FFFD, if it is half of a pair
	return rest
}

// codeUnit returns the code unit that b begins with as \uXXXX, or -1.
func codeUnit(b []byte) rune {
	if len(b) < len(`\u0000`) || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	unit, _ := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(unit)
}

// escapes are the characters that an escape of one letter stands for.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// quotes reports whether s is the text of a JSON string.
func quotes(quoted []byte, s string) bool {
	if plain(quoted) {
		return string(quoted[1:len(quoted)-1]) == s
	}
	return Text(quoted) == s
}

// plain reports whether a JSON string says its text as it is.
func plain(quoted []byte) bool {
	return len(quoted) >= 2 && bytes.IndexByte(quoted, '\\') < 0
}

// The sizes of what [withoutPlainText] works on.
const (
	longJSON = 1 << 10 // bytes of JSON for which it is worth the trouble
	keptText = 4       // bytes of text that stay: they may be the digits of an escape
)

// withoutPlainText returns b with the text in its strings cut short, where that says itself,
// without escapes. The result is valid JSON if b is, and only then: such text leaves
// a parser in the state in which it was. encoding/json would call a function for each byte of it.
func withoutPlainText(b []byte) []byte {
	if len(b) < longJSON {
		return b
	}
	short := make([]byte, 0, len(b)/2)
	inString := false
	for i := 0; i < len(b); {
		if inString && !ends[b[i]] {
			start := i
			for i < len(b) && !ends[b[i]] {
				i++
			}
			short = append(short, b[start:min(i, start+keptText)]...)
			continue
		}
		size := 1
		switch {
		case b[i] == '"':
			inString = !inString
		case inString && b[i] == '\\' && i+1 < len(b):
			size = 2 // what is escaped may be a quote
		}
		short = append(short, b[i:i+size]...)
		i += size
	}
	return short
}

// ends are the bytes with which plain text in a string ends.
var ends = func() (ends [256]bool) {
	for c := range byte(' ') {
		ends[c] = true // not allowed in a string
	}
	ends['"'], ends['\\'] = true, true
	return ends
}()
