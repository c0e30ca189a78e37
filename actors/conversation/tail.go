package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// A Remembered is a record that prompts are made of, decoded, with what its
// text costs.
type Remembered struct {
	chat.Record
	tokens int
}

// Remember returns the record if prompts are made of its kind.
func Remember(r chat.Record) (Remembered, bool) {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		return Remembered{r, chat.Tokens(e.Content)}, true
	case chat.TurnEnded:
		return Remembered{r, chat.Tokens(e.Content)}, true
	case chat.TurnSteered:
		return Remembered{r, 0}, true
	case chat.TurnStarted:
		return Remembered{r, 0}, e.Attempt > 1
	}
	return Remembered{}, false
}

// bytes is roughly what r takes in memory.
func (r Remembered) bytes() int {
	const overhead = 512
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		return overhead + len(e.Content)
	case chat.TurnEnded:
		return overhead + len(e.Content)
	}
	return overhead
}

// tailSlack is how much a [Tail] may grow beyond what prompts have used.
const tailSlack = 256 << 10

// A Tail is the end of a log, decoded, so that a turn does not have to read it
// again. It holds what the last prompt has used and what was recorded since, and
// little more. Since records are only added at the ends and never changed, a
// copy of a Tail may be read by any goroutine. The zero Tail is that of an empty
// log.
type Tail struct {
	records []Remembered // oldest first
	before  uint64       // the last record that is not in it
	bytes   int
	used    int // bytes of what the last prompt has used
}

// NewTail returns the tail of a log whose last record is seq.
func NewTail(seq uint64) Tail { return Tail{before: seq} }

// Before returns the number of the last record that is not in the tail.
func (t *Tail) Before() uint64 { return t.before }

// Add takes in the record that follows.
func (t *Tail) Add(r chat.Record) {
	m, kept := Remember(r)
	if !kept {
		return
	}
	t.records = append(t.records, m)
	t.bytes += m.bytes()
	if limit := 2*t.used + tailSlack; t.bytes > limit {
		t.shrink(limit / 2)
	}
}

// shrink drops the oldest records until the rest takes no more than limit bytes.
func (t *Tail) shrink(limit int) {
	n := 0
	for t.bytes > limit && n < len(t.records)-1 {
		t.bytes -= t.records[n].bytes()
		t.before = t.records[n].Seq
		n++
	}
	t.records = slices.Clone(t.records[n:]) // what is dropped is let go
}

// Use takes in what a prompt had to read that is older than the tail, newest
// first, and lets go what is older than the prompt needs. What was read for
// another tail is of no use.
func (t *Tail) Use(p Composed) {
	if p.before == t.before {
		slices.Reverse(p.older)
		t.records = append(p.older, t.records...)
		t.before = p.rest
	}
	n, _ := slices.BinarySearchFunc(t.records, p.oldest, func(r Remembered, seq uint64) int {
		return int(int64(r.Seq) - int64(seq))
	})
	if n > 0 {
		t.before = t.records[n-1].Seq
		t.records = slices.Clone(t.records[n:])
	}
	t.bytes = 0
	for _, r := range t.records {
		t.bytes += r.bytes()
	}
	t.used = t.bytes
}
