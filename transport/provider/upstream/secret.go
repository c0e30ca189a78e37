package upstream

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// redacted is said in place of what may be a key.
const redacted = "[redacted]"

// keyLike matches keys of well-known providers, and what is left of one that
// was masked: OpenAI repeats the first and the last letters of a wrong key.
const keyLike = `(?i:bearer\s+\S{8,})|\b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}|\beyJ[\w-]{10,}\.[\w.-]+|\S*\*{3,}\S*`

// publicPrefix matches what keys of a provider have in common, which is no secret.
var publicPrefix = regexp.MustCompile(`^(sk|pk|rk|gsk|xai|hf|key)[-_]((proj|ant|or|svcacct|admin|live|test|v1|api\d\d)[-_])*`)

// So many characters in a row give a key away, and so many letters and digits with
// others between them.
const (
	telling       = 6
	tellingSpread = 8
)

// secretName matches the parameters of a URL that hold a secret.
var secretName = regexp.MustCompile(`(?i)key|token|secret|auth|sig|pass`)

// secretsOf returns what nobody may be shown of a server: its key, and what is
// such in its base URL.
func secretsOf(base *url.URL, key string) (list []*secret) {
	list = append(list, newSecret(key))
	for name, values := range base.Query() {
		if !secretName.MatchString(name) {
			continue
		}
		for _, v := range values {
			list = append(list, newSecret(v))
		}
	}
	return list
}

// maxNested is how often a key is looked for in what is encoded.
const maxNested = 3

// A secret is a key that nobody may be shown: not in parts, without its prefix,
// backwards, nor as it is written in URLs, JSON, HTML or numbers.
type secret struct {
	known  *regexp.Regexp
	parts  map[string]bool // of it, forwards and backwards
	spread map[string]bool // the same of its letters and digits in lower case
}

func newSecret(key string) *secret {
	s := &secret{known: regexp.MustCompile(keyLike), parts: make(map[string]bool), spread: make(map[string]bool)}
	if key == "" {
		return s
	}
	whole := regexp.QuoteMeta(key)
	if len(key) < telling { // or else it would be found in any word
		whole = `\b` + whole + `\b`
	}
	s.known = regexp.MustCompile(whole + "|" + keyLike)
	if own := publicPrefix.ReplaceAllString(key, ""); len(own) >= telling {
		key = own
	}
	for _, k := range []string{key, backwards(key)} {
		for part := range windows(k, telling) {
			s.parts[part] = true
		}
		for part := range windows(squeezed(k), tellingSpread) {
			s.spread[part] = true
		}
	}
	return s
}

// redact returns said without the key, which is a line. Words that hold a part of
// it are left out; if it is spread over several, nothing is said.
func (s *secret) redact(said string) string {
	said = s.known.ReplaceAllString(said, redacted)
	if len(s.parts) == 0 {
		return said
	}
	words := strings.Split(said, " ")
	for i, word := range words {
		if word != redacted && s.in(word) {
			words[i] = redacted
		}
	}
	said = strings.Join(words, " ")
	rest := strings.ReplaceAll(said, redacted, " ")
	if s.in(rest) || s.in(strings.ReplaceAll(rest, " ", "")) {
		return redacted
	}
	return said
}

// in reports whether text holds a part of the key, as it is or encoded.
func (s *secret) in(text string) bool {
	texts := []string{text}
	for range maxNested {
		var decoded []string
		for _, t := range texts {
			if s.plainly(t) {
				return true
			}
			decoded = append(decoded, decodings(t)...)
		}
		texts = decoded
	}
	return slices.ContainsFunc(texts, s.plainly)
}

func (s *secret) plainly(text string) bool {
	for part := range windows(text, telling) {
		if s.parts[part] {
			return true
		}
	}
	for part := range windows(squeezed(text), tellingSpread) {
		if s.spread[part] {
			return true
		}
	}
	return false
}

// windows yields all parts of s of that length.
func windows(s string, length int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for at := 0; at+length <= len(s); at++ {
			if !yield(s[at : at+length]) {
				return
			}
		}
	}
}

// squeezed returns the letters and digits of s, in lower case.
func squeezed(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

var (
	percents = regexp.MustCompile(`[%=]([0-9A-Fa-f]{2})`)                           // URLs, quoted-printable
	escapes  = regexp.MustCompile(`\\+(?:u\{?|x)([0-9A-Fa-f]{2,6})\}?`)             // JSON, JavaScript, C
	base64s  = regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}`)                            // the standard one and that of URLs
	hexes    = regexp.MustCompile(`(?:(?:0x)?[0-9A-Fa-f]{2}[^0-9A-Za-z]{0,3}){6,}`) // dumps of bytes
	numbers  = regexp.MustCompile(`\d{2,3}(?:[^0-9A-Za-z]{1,3}\d{2,3}){5,}`)        // lists of bytes
	digits   = regexp.MustCompile(`\d+`)                                            // of one
	pairs    = regexp.MustCompile(`(?:0x)?([0-9A-Fa-f]{2})`)                        // of a dump
	urlBytes = strings.NewReplacer("-", "+", "_", "/")
)

// decodings returns what text, or a part of it, may be an encoding of.
func decodings(text string) (all []string) {
	add := func(decoded string) {
		if decoded != text && decoded != "" {
			all = append(all, decoded)
		}
	}
	add(replaceHex(percents, text))
	add(replaceHex(escapes, text))
	add(html.UnescapeString(text))
	for _, run := range base64s.FindAllString(text, -1) {
		run = urlBytes.Replace(run)
		for at := range 4 { // it may have begun before
			part := run[min(at, len(run)):]
			decoded, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4])
			add(string(decoded))
			decoded, _ = base64.RawStdEncoding.DecodeString(part)
			add(string(decoded))
		}
	}
	for _, run := range hexes.FindAllString(text, -1) {
		add(replaceHex(pairs, run))
		bare := strings.Map(func(r rune) rune {
			if unicode.Is(unicode.ASCII_Hex_Digit, r) {
				return r
			}
			return -1
		}, run)
		for at := range 2 {
			part := bare[at:]
			decoded, _ := hex.DecodeString(part[:len(part)/2*2])
			add(string(decoded))
		}
	}
	for _, run := range numbers.FindAllString(text, -1) {
		add(digits.ReplaceAllStringFunc(run, func(n string) string { return character(n, 10) }))
	}
	return all
}

// replaceHex replaces the numbers that pattern finds by the characters that they
// stand for.
func replaceHex(pattern *regexp.Regexp, text string) string {
	return pattern.ReplaceAllStringFunc(text, func(found string) string {
		return character(pattern.FindStringSubmatch(found)[1], 16)
	})
}

func character(number string, base int) string {
	n, err := strconv.ParseUint(number, base, 31)
	if err != nil {
		return ""
	}
	return string(rune(n))
}
