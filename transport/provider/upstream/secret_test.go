package upstream

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// encoders are how a key may be written.
var encoders = map[string]func(string) string{
	"plain":    func(s string) string { return s },
	"upper":    strings.ToUpper,
	"reversed": backwards,
	"percent":  func(s string) string { return eachByte(s, "%%%02X") },
	"query":    func(s string) string { return "https://x.example/?a=b&api_key=" + url.QueryEscape(s) + "&c=d" },
	"JSON":     func(s string) string { return eachByte(s, `\u%04x`) },
	"C":        func(s string) string { return eachByte(s, `\x%02x`) },
	"HTML":     func(s string) string { return eachByte(s, "&#%d;") },
	"HTML hex": func(s string) string { return eachByte(s, "&#x%x;") },
	"base64":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 of URLs": func(s string) string {
		return base64.RawURLEncoding.EncodeToString([]byte("user:" + s + "??>>"))
	},
	"base64 that is cut": func(s string) string { return base64.StdEncoding.EncodeToString([]byte("ab" + s + "cd"))[3:] },
	"hex":                func(s string) string { return hex.EncodeToString([]byte(s)) },
	"dump":               func(s string) string { return eachByte(s, "%02x:") },
	"list":               func(s string) string { return "[" + strings.Trim(eachByte(s, "%d,"), ",") + "]" },
	"dots":               func(s string) string { return eachByte(s, "%c.") },
}

func eachByte(s, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// TestRedact hides parts of keys in words that have to stay.
func TestRedact(t *testing.T) {
	names := slices.Sorted(maps.Keys(encoders))
	rapid.Check(t, func(t *rapid.T) {
		encode := encoders[rapid.SampledFrom(names).Draw(t, "encoder")]
		prefix := rapid.SampledFrom([]string{"", "sk-", "sk-proj-", "sk-ant-api03-", "gsk_", "xai-"}).Draw(t, "prefix")
		own := rapid.StringMatching(`[A-Za-z0-9_-]{6}[A-Za-z0-9]{14,40}`).Draw(t, "own")
		key := prefix + own
		part := rapid.SampledFrom([]string{key, own, own[:len(own)-4], own[4:], own[3 : len(own)-3], key[:len(key)-6]}).Draw(t, "part")
		echo := encode(part)
		if rapid.Bool().Draw(t, "twice") {
			echo = url.QueryEscape(echo)
		}
		said := NewExplainer(new(url.URL), key).Clean("no such luck today: " + echo + " , sorry")
		if !strings.Contains(said, redacted) || strings.Contains(said, echo) || strings.Contains(said, own[3:9]) {
			t.Fatalf("key %q, echoed as %q: got %q", key, echo, said)
		}
		if said != redacted && !(strings.HasPrefix(said, "no such luck today: ") && strings.HasSuffix(said, ", sorry")) {
			t.Fatalf("of the words around %q is left %q", echo, said)
		}
	})
}

func TestRedactSpread(t *testing.T) {
	const key = "sk-test-0123456789abcdef"
	x := NewExplainer(new(url.URL), key)
	for _, echo := range []string{
		strings.Join(strings.Split(key, ""), " "),
		"0123 4567 89ab cdef", "0123-\n4567-\n89ab-\ncdef", "01234567 and 89abcdef",
		strings.Join(strings.Split(base64.StdEncoding.EncodeToString([]byte(key)), "M"), "M "),
		strings.TrimSpace(eachByte(key, "%02x ")), strings.TrimSpace(eachByte(key, "%d ")),
		`{\"key\":\"0123456789\",\"rest\":\"abcdef\"}`,
	} {
		said := x.Clean("the key is " + echo)
		for _, part := range []string{"0123", "89ab", "cdef", "30 31", "48 49", "MDEy"} {
			if strings.Contains(said, part) {
				t.Errorf("%q is shown as %q", echo, said)
			}
		}
	}
}

// TestRedactURL hides what is secret in the address of a server, and no more.
func TestRedactURL(t *testing.T) {
	base, err := url.Parse("https://h.example/v1?api-version=2024-10-21&key=correct-horse-battery&x-sig=0a1b2c3d4e")
	if err != nil {
		t.Fatal(err)
	}
	got := NewExplainer(base, "").Clean("bad version 2024-10-21, key correct-horse-battery, signature 0a1b2c3d4e")
	if want := "bad version 2024-10-21, key [redacted], signature [redacted]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRedactSpares checks that words which are no key stay.
func TestRedactSpares(t *testing.T) {
	for _, said := range []string{
		"Rate limit reached for gpt-4o in organization org-a1b2c3d4 on tokens per min (TPM): Limit 30000, Used 29000. Ask the project's admin.",
		"This model's maximum context length is 8192 tokens: request id 5f9c2d7e-11aa-4b0c-9d55-0c9a2f1e3b4d.",
		"messages[0].role: Input should be 'user' or 'assistant' (see https://errors.example/2.5/v/literal_error?lang=en&x=%20).",
	} {
		for _, key := range []string{"", "sk-proj-Zk3vQ8wLr2TnXy7Jd5Hs9Gb1", "AIzaSyD3kX9vQ2mT7wLr5Jd8Hs1Gb4Nc6Pf0Zy"} {
			if got := NewExplainer(new(url.URL), key).Clean(said); got != said {
				t.Errorf("with key %q: %q became %q", key, said, got)
			}
		}
	}
}
