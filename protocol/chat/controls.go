package chat

import "strings"

// WithoutControls returns the text without what no text needs: control characters but for tabs
// and line ends.
func WithoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}
