package search

import (
	"slices"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

type text interface{ string | []byte }

// appendFolded appends the text with what does not count taken out: case, accents and
// other marks that are added to letters, characters that are not seen, how a character is
// written (Unicode NFKD), and how wide a space is.
func appendFolded[T text](dst []byte, in T) []byte {
	dst = slices.Grow(dst, len(in))
	for i := 0; i < len(in); {
		if c := in[i]; c < utf8.RuneSelf {
			if !isSpace(c) {
				dst = append(dst, capital(c))
			} else {
				dst = appendSpace(dst)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(in[i:min(i+utf8.UTFMax, len(in))]))
		dst = appendRune(dst, r)
		i += size
	}
	return dst
}

// fold is appendFolded, and returns besides for each byte where the character begins in
// text that it comes from.
func fold(text string) (folded []byte, origins []int) {
	for i, r := range text {
		folded = appendRune(folded, r)
		for len(origins) < len(folded) {
			origins = append(origins, i)
		}
	}
	return folded, origins
}

// capital folds letters to capitals, the smallest of those that differ in case.
func capital(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func appendSpace(dst []byte) []byte {
	if len(dst) > 0 && dst[len(dst)-1] == ' ' {
		return dst
	}
	return append(dst, ' ')
}

func appendRune(dst []byte, r rune) []byte {
	switch {
	case unicode.IsSpace(r):
		return appendSpace(dst)
	case r >= rune(len(known)) || 0x3400 <= r && r < 0xA000: // Chinese characters
		return utf8.AppendRune(dst, r)
	}
	folded := known[r].Load()
	if folded == nil {
		text := foldRune(r)
		folded = &text
		known[r].Store(folded)
	}
	return append(dst, *folded...)
}

// known are the runes that were met so far, as they are folded, which takes long.
var known [0x20000]atomic.Pointer[string]

func foldRune(r rune) string {
	var folded []byte
	for _, part := range norm.NFKD.String(string(r)) {
		switch {
		case ignored(part):
		case part == 'ß' || part == 'ẞ':
			folded = append(folded, "SS"...)
		default:
			folded = utf8.AppendRune(folded, smallest(part))
		}
	}
	return string(folded)
}

// ignored reports whether the rune is a mark on a letter that people leave out when they
// look for a word, or is not seen. Marks that are vowels, as in Thai, and those that make
// another sound of a kana, count.
func ignored(r rune) bool {
	switch {
	case r == '\u3099' || r == '\u309a':
		return false
	case unicode.Is(unicode.Cf, r):
		return true
	}
	return unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited, unicode.Hebrew)
}

// smallest returns the same rune for all that differ in case alone.
func smallest(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}
