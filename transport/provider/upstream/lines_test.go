package upstream

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tmaxmax/go-sse"
)

// ours matches what is an event for lines alone.
var ours = regexp.MustCompile(`(^|[\r\n])(\{|error:)`)

// TestLines checks what lines makes of what is written for an error.
func TestLines(t *testing.T) {
	for body, want := range map[string]string{
		"error: {\"a\":1}\n\n":          `error={"a":1}`,
		"error:no\r\n\r\ndata: b\n\n":   "error=no|=b",
		"data: a\n\nerror: no":          "=a|error=no",
		"{\"error\":\"no\"}":            `={"error":"no"}`,
		": hm\n{\"error\":1}\n: hm\n\n": `={"error":1}`,
		"data: a\n{\"error\":1}":        "=a\n{\"error\":1}",
		"data: [DONE]":                  "=[DONE]",
		"err\nerrors: a\ndata: b":       "=b",
		"erro":                          "",
	} {
		for _, r := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body)), iotest.DataErrReader(strings.NewReader(body))} {
			got := strings.Join(eventsOf(t, sse.Read(&lines{r: r}, nil)), "|")
			if got = strings.TrimSuffix(got, "|="); got != want && got != want+"=" {
				t.Errorf("%q is %q, want %q", body, got, want)
			}
		}
	}
}

// FuzzLines checks that lines takes no event away.
func FuzzLines(f *testing.F) {
	for _, body := range []string{
		"data: a\n\nevent: b\ndata: c\ndata: d\n\n",
		": keep-alive\n\ndata: a\n\n: keep-alive\n",
		"data: a\r\n\r\n:b\r\ndata: c\r\n\r\n",
		"data: [DONE]",
		"<h1>Welcome to nginx!</h1>\n",
		"\r\n\r\n: a\r\rdata: b\r\n:c\r\ndata: d\r\n\r\n\r\n:e\n\nevent: f\n\n",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("\xef\xbb\xbf")) {
			t.Skip("a byte order mark is one only at the start")
		}
		if ours.Match(body) {
			t.Skip("lines makes events of what is none")
		}
		body = append(body, "\n\n"...) // an unfinished last line is an error to go-sse
		want := eventsOf(t, sse.Read(bytes.NewReader(body), nil))
		got := eventsOf(t, sse.Read(&lines{r: bytes.NewReader(body)}, nil))
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func eventsOf(t *testing.T, events func(func(sse.Event, error) bool)) []string {
	var all []string
	for ev, err := range events {
		if err != nil {
			t.Skip("over the limit of go-sse")
		}
		all = append(all, ev.Type+"="+ev.Data)
	}
	return all
}
