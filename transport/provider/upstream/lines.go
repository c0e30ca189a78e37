package upstream

import "io"

// lines removes from an event stream what carries no event: comments, and
// blank lines after the one that ends an event. Providers keep connections
// alive with either, and sse.Read would collect both until its event limit.
// All three line ends of the format become "\n".
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
type lines struct {
	r       io.Reader
	alive   func() // is called for what is removed, unless it is nil
	cr      bool   // the byte before was '\r'
	comment bool   // in a comment
	line    bool   // in a line that is kept
	event   bool   // in an event that no blank line has ended yet
}

// Read implements [io.Reader]. It returns nothing only with an error.
func (l *lines) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		read, err := l.r.Read(p)
		n := l.strip(p[:read])
		if n == 0 && read > 0 && l.alive != nil {
			l.alive()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// strip keeps in p what is wanted and returns how much that is.
func (l *lines) strip(p []byte) int {
	kept := p[:0]
	for _, b := range p {
		second := l.cr && b == '\n'
		l.cr = b == '\r'
		if b == '\r' {
			b = '\n'
		}
		if !second && l.keep(b) {
			kept = append(kept, b)
		}
	}
	return len(kept)
}

func (l *lines) keep(b byte) bool {
	switch {
	case l.comment:
		l.comment = b != '\n'
		return false
	case l.line:
		l.line = b != '\n'
		return true
	case b == ':':
		l.comment = true
		return false
	case b == '\n':
		ends := l.event
		l.event = false
		return ends
	}
	l.line, l.event = true, true
	return true
}

// head keeps the first bytes that pass, for a stream that turns out to be
// none.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxRefusal-len(h.b))]...)
	return len(p), nil
}
