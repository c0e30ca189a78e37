package search

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

func parse(t testing.TB, text string) *Query {
	t.Helper()
	q, refusal := Parse(text)
	if refusal != nil {
		t.Fatal(refusal)
	}
	return q
}

// marked returns the snippet with brackets around the hits.
func marked(t testing.TB, q *Query, text string) string {
	t.Helper()
	snippet, hits := q.Find(text)
	units, at := utf16.Encode([]rune(snippet)), 0
	var b strings.Builder
	for _, h := range hits {
		if h.Start < at || h.End <= h.Start || h.End > len(units) {
			t.Fatalf("%q in %q: hits %v of %d", q.terms, snippet, hits, len(units))
		}
		b.WriteString(string(utf16.Decode(units[at:h.Start])) + "[" + string(utf16.Decode(units[h.Start:h.End])) + "]")
		at = h.End
	}
	return b.String() + string(utf16.Decode(units[at:]))
}

func TestFind(t *testing.T) {
	for _, test := range []struct{ query, text, want string }{
		{"hello", "Hello, world", "[Hello], world"},
		{"world hello", "Hello, world", "[Hello], [world]"},
		{"hello moon", "Hello, world", ""},
		{"ell", "Hello", "H[ell]o"}, // a part of a word
		{"zurich", "in Zürich, ZU\u0308RICH", "in [Zürich], [ZU\u0308RICH]"},
		{"ZÜRICH", "zurich", "[zurich]"},
		{"cafe", "cafe\u0301s", "[cafe\u0301]s"}, // the accent belongs to the letter
		{"strasse", "Große Straße", "Große [Straße]"},
		{"gross", "große", "[groß]e"},
		{"s", "ß", "[ß]"}, // as a whole
		{"ΣΟΦΟΣ", "σοφός", "[σοφός]"},
		{"istanbul", "İstanbul", "[İstanbul]"},
		{"fi", "ﬁn", "[ﬁ]n"},
		{"tokyo", "ＴＯＫＹＯ", "[ＴＯＫＹＯ]"},
		{"東京", "私は東京にいる", "私は[東京]にいる"},
		{"が", "か", ""}, // another sound
		{"が", "か\u3099", "[か\u3099]"},
		{"한국", "한국어", "[한국]어"},
		{`"see you"`, "you see you, see\n\tyou", "you [see you], [see\n\tyou]"},
		{`"see you"`, "you see", ""},
		{`see "you all`, "you all see", "[you all] [see]"}, // a quotation mark that is not closed
		{"„see you“ all", "see you all", "[see you] [all]"},
		{"aa a", "aaa", "[aaa]"}, // hits that overlap are one
		{"x", "😀x👨‍👩‍👧x", "😀[x]👨‍👩‍👧[x]"},
		{"👩", "👨‍👩‍👧", "👨‍[👩‍]👧"},
		{`\`, `a \ b`, `a [\] b`},
	} {
		q := parse(t, test.query)
		if got := marked(t, q, test.text); got != test.want {
			t.Errorf("%s in %q: got %q, want %q", test.query, test.text, got, test.want)
		}
	}
}

func TestSnippetsAreShort(t *testing.T) {
	long := strings.Repeat("some words and ", 100)
	for text, want := range map[string]string{
		"hit " + long:                        "[hit] some words",
		long + "hit":                         "…and some words and some words and [hit]",
		long + "hit " + long:                 "…and some words and some words and [hit] some",
		strings.Repeat("x", 1000) + "hit":    "…" + strings.Repeat("x", 39) + "[hit]",
		strings.Repeat("👩‍👧", 100) + "hit":   "…" + strings.Repeat("👩‍👧", 39) + "[hit]",
		"a hit\n" + strings.Repeat("é", 999): "a [hit]\nééé",
	} {
		got := marked(t, parse(t, "hit"), text)
		if !strings.HasPrefix(got, want) || utf8.RuneCountInString(got) > 5*maxSnippet {
			t.Errorf("got %q, want %q …", got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "spaces": " \n", "quotes": `"" " "`, "an accent": "\u0301",
		"too long": strings.Repeat("x", maxQuery+1), "too many": strings.Repeat("x ", maxTerms+1),
	} {
		if q, refusal := Parse(text); refusal == nil || refusal.Code != chat.CodeInvalid {
			t.Errorf("%s: got %q, %v", name, q.terms, refusal)
		}
	}
}

// A look at the bytes of a record finds whatever is in its message.
func TestMayMatchMissesNothing(t *testing.T) {
	letters := rapid.StringOfN(rapid.RuneFrom([]rune("aAbéÉe\u0301ß\"\\\n\t<&/ü東\u2028😀")), 0, 30, -1)
	rapid.Check(t, func(rt *rapid.T) {
		text, word := letters.Draw(rt, "text"), letters.Draw(rt, "word")
		q, refusal := Parse(word)
		if refusal != nil {
			return
		}
		for _, event := range []chat.Event{
			chat.MessageAdded{MessageID: "m", Author: chat.User{ID: "alice", Name: letters.Draw(rt, "name")}, Content: text},
			chat.TurnEnded{TurnID: "t", MessageID: "m", Content: text, Thought: letters.Draw(rt, "thought")},
		} {
			b, err := chat.Record{Seq: 1, At: time.Unix(0, 0), Event: event}.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			_, hits := q.Find(text)
			if got := q.MayMatch(b); got != (hits != nil) {
				rt.Errorf("%q in %s: %v, but Find has %v", word, b, got, hits)
			}
		}
	})
}

// FuzzFind: whatever is looked for in whatever, hits are places of the snippet.
func FuzzFind(f *testing.F) {
	f.Add("hello", "Hello, world")
	f.Add(`"a b" c`, "ａ\u00a0 b̃ÇΣ")
	f.Fuzz(func(t *testing.T, query, text string) {
		q, refusal := Parse(query)
		if refusal != nil || !utf8.ValidString(text) {
			return
		}
		if got := marked(t, q, text); (got != "") != q.Matches(text) {
			t.Errorf("%q in %q: got %q", query, text, got)
		}
		record, err := json.Marshal(map[string]string{"content": text})
		if err != nil {
			t.Fatal(err)
		}
		if q.Matches(text) && !q.MayMatch(record) {
			t.Errorf("%q is missed in %s", query, record)
		}
	})
}

// BenchmarkMayMatch looks through records of some KiB that do not match, of which each
// line ends with an escape.
func BenchmarkMayMatch(b *testing.B) {
	for name, line := range map[string]string{
		"ascii": "The quick brown fox jumps over the lazy dog, once more.\n",
		"latin": "Größere Änderungen müssen überprüft werden, très bientôt.\n",
		"plain": "The quick brown fox jumps over the lazy dog, once more. ",
		"code":  "if (a < b && c > d) { return \"<p>\" + e + \"</p>\"; }\n",
		"cjk":   "私は東京にいる。明日は大阪へ行きます。\n",
		"korea": "나는 서울에 있다. 내일은 부산에 간다.\n",
	} {
		record, err := chat.Record{Seq: 1, Event: chat.TurnEnded{TurnID: "t", MessageID: "m", Content: strings.Repeat(line, 40)}}.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			q := parse(b, `zebra "not there"`)
			b.SetBytes(int64(len(record)))
			b.ReportAllocs()
			for b.Loop() {
				if q.MayMatch(record) {
					b.Fatal("found")
				}
			}
		})
	}
}
