package upstream

import (
	"bytes"
	"io"
	"strings"
)

// lines makes of an event stream, as servers write it, one that sse.Read can
// read.
//
// It leaves out comments, and blank lines after the one that ends an event.
// Providers keep connections alive with either, and sse.Read would collect both
// until its event limit. All three line ends of the format become "\n".
//
// A line of bare JSON, and the field error, become events: the format does not
// know them, but servers write errors so. A last line without its end gets one.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
type lines struct {
	r     io.Reader
	alive func() // is called for what is left out, unless it is nil

	cr      bool   // the byte before was '\r'
	comment bool   // in a comment
	line    bool   // in a line that is kept
	event   bool   // in an event that no blank line has ended yet
	start   string // of a line of which it is not known yet what it is
	ready   []byte
	given   int   // of what is ready
	err     error // comes after that
	cut     bool  // the last line had no end
}

// errorField is no field of the format.
const errorField = "error:"

// Read implements [io.Reader]. It returns nothing only with an error.
func (l *lines) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for l.given == len(l.ready) && l.err == nil {
		l.ready, l.given = l.ready[:0], 0
		l.fill(p)
	}
	n := copy(p, l.ready[l.given:])
	l.given += n
	if n == 0 {
		return 0, l.err
	}
	return n, nil
}

// fill reads once, into scratch, and makes ready what it finds.
func (l *lines) fill(scratch []byte) {
	var n int
	n, l.err = l.r.Read(scratch)
	for rest := scratch[:n]; len(rest) > 0; {
		if plain := l.plain(rest); plain > 0 {
			rest = rest[plain:]
			continue
		}
		l.take(rest[0])
		rest = rest[1:]
	}
	if len(l.ready) == 0 && n > 0 && l.alive != nil {
		l.alive()
	}
	if l.err == io.EOF {
		l.finish()
	}
}

// plain takes the part of b that continues a line, and returns how long it is.
func (l *lines) plain(b []byte) int {
	if !l.line && !l.comment {
		return 0
	}
	n := bytes.IndexAny(b, "\r\n")
	if n < 0 {
		n = len(b)
	}
	if n > 0 {
		l.cr = false
	}
	if l.line {
		l.ready = append(l.ready, b[:n]...)
	}
	return n
}

func (l *lines) take(b byte) {
	second := l.cr && b == '\n'
	l.cr = b == '\r'
	switch {
	case second:
	case b == '\r':
		l.keep('\n')
	default:
		l.keep(b)
	}
}

func (l *lines) keep(b byte) {
	switch {
	case l.comment:
		l.comment = b != '\n'
	case l.line:
		l.line = b != '\n'
		l.ready = append(l.ready, b)
	case l.start == "" && b == ':':
		l.comment = true
	case l.start == "" && b == '\n':
		if l.event {
			l.ready = append(l.ready, b)
		}
		l.event = false
	default:
		l.begin(b)
	}
}

// begin reads the beginning of a line that is kept.
func (l *lines) begin(b byte) {
	l.start += string([]byte{b})
	switch {
	case l.start == "{":
		l.open("data: {")
	case l.start == errorField:
		l.open("event: error\ndata:")
	case !strings.HasPrefix(errorField, l.start):
		start := l.start
		l.open(start[:len(start)-1])
		l.keep(b)
	}
}

// open begins a line as written.
func (l *lines) open(written string) {
	l.ready = append(l.ready, written...)
	l.start, l.line, l.event = "", true, true
}

// finish ends the last line.
func (l *lines) finish() {
	if l.start != "" {
		l.open(l.start)
	}
	if l.line {
		l.keep('\n')
		l.cut = true
	}
}
