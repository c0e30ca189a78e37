package transport

import (
	"container/list"
	"errors"
	"io"
	"sync"
)

var errStrangers = errors.New("transport: strangers hold too many bytes")

// strangers count the bytes of messages that have not arrived whole, of all clients that
// nobody has let in, see [Conn.LetIn]. When there are too many, the client whose message
// has been arriving for longest is cut off: a client that means well needs one or two
// reads for its first message, so it is hardly ever that one.
type strangers struct {
	limit int // 0 for none

	mu    sync.Mutex
	held  int
	parts list.List // of *part, the oldest first
}

// A part is what has arrived of one message of a stranger. It is nil, and counts
// nothing, if the client is none.
type part struct {
	all   *strangers
	conn  *Conn
	bytes int
	place *list.Element // nil before the first byte, and when the part is let go
	gone  bool          // the client was cut off
}

// part returns a part of no bytes. The caller lets go of it.
func (c *Conn) part() *part {
	if c.letIn.Load() || c.server.strangers.limit == 0 {
		return nil
	}
	return &part{all: &c.server.strangers, conn: c}
}

// counting counts what is read from r.
func (p *part) counting(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return counted{r, p}
}

// grow adds bytes that have arrived. It returns an error if the client was cut off.
func (p *part) grow(n int) error {
	for _, victim := range p.all.add(p, n) {
		victim.server.opts.Logger.Debug("connection cut off", "remote", victim.remote, "err", errStrangers)
		victim.abort(ReasonTransportError)
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	if p.gone {
		return errStrangers
	}
	return nil
}

// add counts n more bytes, and returns the clients that are to be cut off for that.
func (s *strangers) add(p *part, n int) (victims []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.gone {
		return nil
	}
	if p.place == nil {
		p.place = s.parts.PushBack(p)
	}
	p.bytes += n
	s.held += n
	for s.held > s.limit {
		oldest := s.parts.Front().Value.(*part)
		s.removeLocked(oldest)
		oldest.gone = true
		victims = append(victims, oldest.conn)
	}
	return victims
}

// letGo ends the counting of p's bytes, since its message is complete or given up.
func (p *part) letGo() {
	if p == nil {
		return
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.all.removeLocked(p)
}

func (s *strangers) removeLocked(p *part) {
	if p.place == nil {
		return
	}
	s.parts.Remove(p.place)
	s.held -= p.bytes
	p.place, p.bytes = nil, 0
}

// counted counts what is read of a message.
type counted struct {
	io.Reader
	part *part
}

// Read implements [io.Reader].
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if refusal := c.part.grow(n); refusal != nil {
		return 0, refusal
	}
	return n, err
}
