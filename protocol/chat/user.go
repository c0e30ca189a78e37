package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault says what is wrong with a user id, as the end of a sentence. It returns "" if the
// id is valid.
func (id UserID) Fault() string {
	switch {
	case id == "":
		return "must not be empty"
	case len(id) > MaxUserIDLen:
		return fmt.Sprintf("must not be longer than %d bytes", MaxUserIDLen)
	case !Printable(string(id)):
		return "must be printable UTF-8"
	case strings.TrimSpace(string(id)) != string(id):
		return "must not start or end with a space"
	}
	return ""
}

// GuestPrefix begins the ids of guests, which the server makes up. Nobody signs in as one.
const GuestPrefix = "guest:"

// IsGuest reports whether the user has no account, and has come by an invitation to one chat.
func (id UserID) IsGuest() bool { return strings.HasPrefix(string(id), GuestPrefix) }

// Printable reports whether all of s is printable UTF-8.
func Printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
