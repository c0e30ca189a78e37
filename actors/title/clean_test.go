package title

import (
	"strings"
	"testing"

	"parlor/protocol/chat"
)

// Models put all kinds of things around a title, and none of them is shown.
func TestClean(t *testing.T) {
	for answer, want := range map[string]string{
		"**Weather** in *Paris*":                 "Weather in Paris",
		"*Weather* in **Paris**":                 "Weather in Paris",
		"*Weather* in ~~Paris~~ Rome":            "Weather in Paris Rome",
		`"Tea" and "coffee"`:                     `"Tea" and "coffee"`,
		"«Tea» and «coffee»":                     "«Tea» and «coffee»",
		"**\"Tea\"**":                            "Tea",
		"***Tea***":                              "Tea",
		"2 * 3 * 4":                              "2 * 3 * 4",
		"my_var and __init__ and other_var":      "my_var and __init__ and other_var",
		"my_var beside other_var":                "my_var beside other_var",
		"> Tea":                                  "Tea",
		"<title>Tea</title>":                     "Tea",
		"<b>Tea</b>":                             "Tea",
		"<b>Tea</b> and <b>coffee</b>":           "<b>Tea</b> and <b>coffee</b>",
		"The <div> tag":                          "The <div> tag",
		"[Tea](https://tea.example) at five":     "Tea at five",
		"Here's a concise title: Tea":            "Tea",
		"Sure! Here is a title for you: \"Tea\"": "Tea",
		"Subtitle and title: a comparison":       "Subtitle and title: a comparison",
		"标题：天气":                                  "天气",
		"Titel: Tee":                             "Tee",
		`[{"title":"Tea"}]`:                      "Tea",
		"[Solved] Tea":                           "[Solved] Tea",
		"Tea.":                                   "Tea",
		`{"title":""}`:                           "",
		"**":                                     "",
		"1. FC Köln":                             "1. FC Köln",
		"C* algebras and W* algebras":            "C* algebras and W* algebras",
	} {
		if got := clean(answer); got != want {
			t.Errorf("%q: got %q, want %q", answer, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for said, want := range map[string]string{
		"I feel **sad** because of:\n\n- the rain\n- `code`\n\n```js\nconst a = 1;\n```": "I feel sad because of: the rain code const a = 1;",
		"# A heading\n> quoted [link](https://h)":                                        "A heading quoted link",
		"2 * 3 * 4 #1 a-b":        "2 * 3 * 4 #1 a-b",
		strings.Repeat("é", 1000): chat.Title(strings.Repeat("é", 500)),
	} {
		if got := chat.Title(plain(said)); got != want {
			t.Errorf("plain(%q) is %q, want %q", said, got, want)
		}
	}
}
