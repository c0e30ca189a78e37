package upstream

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// A form is what a body is, by its first bytes. What its header says is not
// asked: servers send streams as JSON, and pages as streams.
type form int

const (
	other  form = iota // a page, words, anything
	events             // an event stream
	values             // JSON
)

// fields begin the lines of an event stream. The last one is no field of the
// format, but some servers write errors as if it was.
var fields = []string{"data:", "event:", "id:", "retry:", "error:"}

// A body is that of a response. What is compressed with gzip is read as it was
// before, though nobody asked for it; a header of the response then does not
// say so any more.
type body struct {
	*bufio.Reader
	resp   *http.Response
	framed bool // its end is told from a cut
	failed bool // it did not end well
}

func newBody(resp *http.Response) *body {
	b := &body{
		resp:   resp,
		framed: resp.ProtoMajor > 1 || resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0,
	}
	packed := bufio.NewReader(resp.Body)
	b.Reader = bufio.NewReader(noting{b, packed})
	if zipped(packed) {
		if z, err := gzip.NewReader(packed); err == nil {
			b.Reader = bufio.NewReader(noting{b, z})
		}
	}
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "gzip", "x-gzip", "identity":
		resp.Header.Del("Content-Encoding")
	}
	return b
}

// zipped reports whether r begins as gzip does.
func zipped(r *bufio.Reader) bool {
	first, _ := r.Peek(1) // and not both: perhaps only one byte comes for now
	if string(first) != "\x1f" {
		return false
	}
	both, _ := r.Peek(2)
	return string(both) == "\x1f\x8b"
}

// noting notes whether what is read ends well.
type noting struct {
	b *body
	r io.Reader
}

// Read implements [io.Reader].
func (n noting) Read(p []byte) (int, error) {
	read, err := n.r.Read(p)
	n.b.failed = n.b.failed || err != nil && err != io.EOF
	return read, err
}

// form reads the beginning of the body until it is known what it is, and calls
// alive for what means nothing there.
func (b *body) form(alive func()) form {
	for {
		first, err := b.Peek(1)
		if err != nil {
			return b.empty(err)
		}
		if !strings.ContainsAny(string(first), space) {
			break
		}
		_, _ = b.Discard(1)
		alive()
	}
	if mark, _ := b.Peek(1); string(mark) == "\xef" { // a byte order mark
		if whole, _ := b.Peek(3); string(whole) == "\xef\xbb\xbf" {
			_, _ = b.Discard(3)
			return b.form(alive)
		}
	}
	return b.begins()
}

// empty is the form of a body of nothing, which only its header tells of.
func (b *body) empty(err error) form {
	switch kind := mediaType(b.resp.Header); {
	case err != io.EOF, kind == "", kind == "text/plain", kind == "text/event-stream":
		return events
	}
	return other
}

func (b *body) begins() form {
	for n := 1; ; n++ {
		start, err := b.Peek(n)
		more := false
		for _, field := range fields {
			more = more || strings.HasPrefix(field, string(start))
			if field == string(start) { // "data:"
				return events
			}
		}
		switch {
		case start[0] == ':':
			return events
		case start[0] == '{' || start[0] == '[':
			if b.resp.Header.Get("Content-Encoding") != "" {
				return other // any bytes may come first
			}
			return values
		case err != nil || !more:
			return other
		}
	}
}

// said is the beginning of a body that is no answer: whatever came explains more
// than why it stopped.
func (b *body) said() []byte {
	said, _ := io.ReadAll(io.LimitReader(b, maxRefusal))
	return said
}
