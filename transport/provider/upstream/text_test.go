package upstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestJoin(t *testing.T) {
	for _, test := range []struct {
		name   string
		pieces []string // JSON
		want   string
	}{
		{"plain", []string{`"a"`, `"b"`}, "ab"},
		{"whole", []string{`"\ud83d\ude00"`}, "😀"},
		{"halves", []string{`"\ud83d"`, `"\ude00"`}, "😀"},
		{"halves in capitals", []string{`"a\uD83D"`, `"\uDE00b"`}, "a😀b"},
		{"halves of two", []string{`"\ud83d"`, `"\ude00\ud83d"`, `"\ude00"`}, "😀😀"},
		{"null between", []string{`"\ud83d"`, `null`, `""`, `"\ude00"`}, "😀"},
		{"text between", []string{`"\ud83d"`, `"x"`, `"\ude00"`}, "\ufffdx\ufffd"},
		{"first half twice", []string{`"\ud83d"`, `"\ud83d"`, `"\ude00"`}, "\ufffd😀"},
		{"not an escape", []string{`"\\ud83d"`, `"\\ude00"`}, `\ud83d\ude00`},
		{"after a backslash", []string{`"\\\ud83d"`, `"\ude00"`}, `\😀`},
		{"other escapes", []string{`"\u00e9"`, `"\n"`}, "é\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var j Joiner
			got := ""
			for _, piece := range test.pieces {
				var p Text
				if err := json.Unmarshal([]byte(piece), &p); err != nil {
					t.Fatal(err)
				}
				got += j.Join(p)
			}
			if got += j.Rest(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestJoinAnyCut cuts a text between any two UTF-16 units, as JavaScript does,
// and writes those that are alone as JavaScript does.
func TestJoinAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := strings.ToValidUTF8(rapid.StringOf(rapid.RuneFrom([]rune(`a\"u😀é🎈`))).Draw(t, "text"), "")
		units := utf16.Encode([]rune(want))
		var j Joiner
		got := ""
		for len(units) > 0 {
			n := rapid.IntRange(1, len(units)).Draw(t, "cut")
			var p Text
			if err := json.Unmarshal([]byte(stringify(units[:n])), &p); err != nil {
				t.Fatal(err)
			}
			piece := j.Join(p)
			if !utf8.ValidString(piece) {
				t.Fatalf("piece %q", piece)
			}
			got += piece
			units = units[n:]
		}
		if got += j.Rest(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// stringify does what JSON.stringify does with a string.
func stringify(units []uint16) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) && i+1 < len(units) {
			if pair := utf16.DecodeRune(r, rune(units[i+1])); pair != utf8.RuneError {
				b.WriteRune(pair)
				i++
				continue
			}
		}
		switch {
		case utf16.IsSurrogate(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

func TestTextAlone(t *testing.T) {
	for piece, want := range map[string]string{`"a😀"`: "a😀", `"a\ud83d"`: "a\ufffd", `"\ude00b"`: "\ufffdb", `null`: ""} {
		var p Text
		if err := json.Unmarshal([]byte(piece), &p); err != nil {
			t.Fatal(err)
		}
		if got := p.String(); got != want {
			t.Errorf("%s is %q, want %q", piece, got, want)
		}
	}
}
