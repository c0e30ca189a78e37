package upstream

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tmaxmax/go-sse"
)

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
