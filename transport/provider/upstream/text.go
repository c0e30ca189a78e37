package upstream

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a piece of an answer as JSON carries it. A server that cuts its
// answer by UTF-16 units, as everything written in JavaScript does, sends the
// two halves of an emoji in two pieces; encoding/json would make two
// replacement characters of them.
type Text struct {
	low  rune // the piece begins with this second half of a pair
	body string
	high rune // the piece ends with this first half of a pair
}

// escapeLen is the length of \uXXXX.
const escapeLen = 6

// UnmarshalJSON implements [json.Unmarshaler]. It accepts strings and null.
func (t *Text) UnmarshalJSON(raw []byte) error {
	s := string(raw)
	if r, ok := surrogate(strings.TrimPrefix(s, `"`)); ok && isLow(r) {
		t.low = r
		s = `"` + s[1+escapeLen:]
	}
	if at := len(s) - escapeLen - 1; at > 0 && !escaped(s, at) {
		if r, ok := surrogate(s[at:]); ok && !isLow(r) {
			t.high = r
			s = s[:at] + `"`
		}
	}
	return json.Unmarshal([]byte(s), &t.body)
}

// String returns the piece as if it stood alone.
func (t Text) String() string {
	var j Joiner
	return j.Join(t) + j.Rest()
}

// surrogate reads the half of a pair that is escaped at the start of s.
func surrogate(s string) (rune, bool) {
	if len(s) < escapeLen || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:escapeLen], 16, 16)
	return rune(n), err == nil && utf16.IsSurrogate(rune(n))
}

func isLow(r rune) bool { return r >= 0xdc00 }

// escaped reports whether a backslash makes s[at] an ordinary character.
func escaped(s string, at int) bool {
	before := s[:at]
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}

// A Joiner puts pairs together again that were cut apart in an answer. Its zero
// value has joined nothing yet.
type Joiner struct {
	high rune // waits for its second half
}

// Join returns what can be shown of the answer now that t has come.
func (j *Joiner) Join(t Text) string {
	if t == (Text{}) {
		return ""
	}
	out := j.complete(t.low) + t.body
	j.high = t.high
	return out
}

// Rest returns what can be shown now that the answer has ended.
func (j *Joiner) Rest() string { return j.complete(0) }

// complete returns what waits, completed with low, or a replacement character
// for each half that is alone.
func (j *Joiner) complete(low rune) string {
	high := j.high
	j.high = 0
	switch {
	case high != 0 && low != 0:
		return string(utf16.DecodeRune(high, low))
	case high != 0 || low != 0:
		return string(utf8.RuneError)
	}
	return ""
}
