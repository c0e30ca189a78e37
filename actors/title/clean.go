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

	// lead is what stands in front of a title that was asked for: marks of a heading, a list
	// or a quotation, and the word itself, with what announces it.
	lead = regexp.MustCompile(`^(?i:#+ |[-*•>] |(?:sure|certainly|of course|here)\b[^:]{0,40}\btitle\b[^:]{0,40}:\s*|` +
		`[*_"]*(?:(?:chat |conversation )?title|titel|titre|título|titolo|заголовок|标题|標題|タイトル|제목)[*_"]*\s*[:：][*_]*\s*)`)

	// tags are those of HTML around a title.
	tags = regexp.MustCompile(`(?i)^<([a-z]\w*)>([^<]*)</([a-z]\w*)>$`)

	// marks are what begins a heading, a quotation, an entry of a list, or code.
	marks = regexp.MustCompile("(?m)^[ \\t]*(?:#{1,6} |> ?|[-*+] |```.*$)")

	// emphasis and links are those of Markdown within a title. What stands between the marks
	// is the title's.
	emphasis = regexp.MustCompile(`(?:\*+|~~)([^\s*~]|[^\s*~][^*~]*?[^\s*~])(?:\*+|~~)`)
	links    = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
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
	if strings.HasPrefix(answer, "[{") {
		answer = strings.TrimSpace(strings.Trim(answer, "[]"))
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

// plain returns the beginning of what somebody has said, without the marks of Markdown.
func plain(said string) string {
	const longest = 1 << 10 // more than a title, and little enough for patterns
	said = strings.ToValidUTF8(said[:min(len(said), longest)], "")
	said = emphasis.ReplaceAllString(links.ReplaceAllString(marks.ReplaceAllString(said, ""), "$1"), "$1")
	return strings.ReplaceAll(said, "`", "")
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
			return strings.ReplaceAll(emphasis.ReplaceAllString(links.ReplaceAllString(title, "$1"), "$1"), "**", "")
		}
		title = shorter
	}
}

// unquoted returns the text without the pair of marks or tags around it, if there is one.
// In "one" and "two" there are two pairs, and none is around the text.
func unquoted(text string) string {
	if t := tags.FindStringSubmatch(text); t != nil && t[1] == t[3] {
		return t[2]
	}
	first, size := utf8.DecodeRuneInString(text)
	end := pairs[first]
	if end == "" || len(text) < size+len(end) || !strings.HasSuffix(text, end) {
		return text
	}
	inside := text[size : len(text)-len(end)]
	if strings.Contains(strings.Trim(inside, string(first)+end), end) {
		return text
	}
	return inside
}
