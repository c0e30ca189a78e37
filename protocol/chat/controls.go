package chat

import "strings"

// WithoutControls returns the text without what no text needs: control characters but for tabs
// and line ends, characters that models read and people do not see (tags), and those that
// change the order in which people see others.
func WithoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r >= 0xe0000 && r <= 0xe007f:
			return -1
		}
		return r
	}, text)
}

// Harmless returns what a tool has answered, without control characters. If there were some
// it says so first, since of a long result the end is cut off.
func Harmless(result string) string {
	clean := WithoutControls(result)
	if clean != result {
		return "(control characters were left out)\n" + clean
	}
	return clean
}
