package socketio

import (
	"bytes"
	"encoding/json"
	"iter"
)

// The functions of this file walk over JSON that is already known to be
// valid, so they need not understand it. Given anything else they yield
// nonsense, but end.

// elements yields the elements of the array b, without the space around them.
func elements(b []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(b, 1)
		for i < len(b) && b[i] != ']' {
			end := valueEnd(b, i)
			if end == i || !yield(b[i:end:end]) {
				return
			}
			i = skipSpace(b, end)
			if i < len(b) && b[i] == ',' {
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
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// unquote returns the text of a JSON string.
func unquote(quoted []byte) string {
	if plain(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // cannot fail: it is valid
	return s
}

// quotes reports whether s is the text of a JSON string.
func quotes(quoted []byte, s string) bool {
	if plain(quoted) {
		return string(quoted[1:len(quoted)-1]) == s
	}
	return unquote(quoted) == s
}

// plain reports whether a JSON string says its text as it is.
func plain(quoted []byte) bool {
	return len(quoted) >= 2 && bytes.IndexByte(quoted, '\\') < 0
}
