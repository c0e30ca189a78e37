package chat

import (
	"strings"
	"unicode"
)

// Folded returns name so that two names are the same if and only if
// [strings.EqualFold] says that they are: for looking names up in whatever case.
func Folded(name string) string { return strings.Map(foldRune, name) }

func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A' // as names are usually written, which costs no copy
	}
	return least
}
