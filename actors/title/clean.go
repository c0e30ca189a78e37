package title

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"parlor/protocol/chat"
)

var (
	// fence is what models put around JSON.
	fence = regexp.MustCompile("(?s)^```[a-z]*\n(.*?)\n?```$")

	// lead is what stands in front of a title that was asked for: marks of a heading or
	// a list, and the word itself.
	lead = regexp.MustCompile(`^(?i:#+ |[-*•] |[*_"]*(?:chat |conversation )?title[*_"]*\s*:[*_]*\s*)`)
)

// pairs are what models put around a title.
var pairs = map[rune]string{
	'"': `"`, '\'': "'", '`': "`", '*': "*", '_': "_", '“': "”", '„': "“", '‘': "’", '«': "»", '»': "«", '「': "」", '『': "』",
}

// clean returns the title in an answer without what models put around it. It returns
// nothing for an answer that has none.
func clean(answer string) string {
	answer = strings.TrimSpace(answer)
	if inside := fence.FindStringSubmatch(answer); inside != nil {
		answer = strings.TrimSpace(inside[1])
	}
	if strings.HasPrefix(answer, "{") {
		var object struct{ Title string }
		if json.Unmarshal([]byte(answer), &object) != nil {
			return ""
		}
		answer = object.Title
	}
	if unquoted(answer) != answer { // all of it is the title
		answer = chat.OneLine(answer)
	}
	return bare(firstLine(answer))
}

// firstLine returns the first line with words that announces nothing.
func firstLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if words := strings.Trim(line, "*_#`-=\"' "); words != "" && (!strings.HasSuffix(words, ":") || i == len(lines)-1) {
			return line
		}
	}
	return ""
}

// bare takes off the marks around a title, whatever their order.
func bare(title string) string {
	for {
		shorter := unquoted(strings.TrimSpace(strings.TrimSuffix(lead.ReplaceAllString(title, ""), ".")))
		if shorter == title {
			return strings.ReplaceAll(title, "**", "")
		}
		title = shorter
	}
}

// unquoted returns the text without the pair of marks around it, if there is one.
func unquoted(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if end := pairs[first]; end != "" && len(text) >= size+len(end) && strings.HasSuffix(text, end) {
		return text[size : len(text)-len(end)]
	}
	return text
}
