package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// A Tail is the decoded end of a log, so that a turn need not read it again. It holds
// the records that the last two prompts have used, those that came since, and few
// more. Records are only added at the ends and never changed, so any goroutine may
// read a copy of a Tail. The zero Tail is that of an empty log.
type Tail struct {
	records []remembered // oldest first
	before  uint64       // the last record that is not in it
	bytes   int

	// Bytes that the last prompt has used, and the larger number of the last two.
	// Models with a large and a small window may answer in turn.
	last, used int
}

// tailSlack is how many bytes a [Tail] may always grow beyond what prompts have
// used. Tests make it smaller.
var tailSlack = 256 << 10

// limit is how many bytes a Tail may take if prompts have used so many.
func limit(used int) int { return 2*used + tailSlack }

// NewTail returns the tail of a log whose last record is seq.
func NewTail(seq uint64) Tail { return Tail{before: seq} }

// Add adds the next record, and drops the records that it supersedes.
func (t *Tail) Add(record chat.Record) {
	if out := (chat.Superseded)(nil).After(record); len(out) > 0 {
		t.hide(out)
	}
	r, ok := remember(record)
	if !ok {
		return
	}
	t.records = append(t.records, r)
	t.bytes += r.bytes()
	t.trim()
}

// With returns the tail of a log that has one more record. The tail itself stays.
func (t Tail) With(record chat.Record) Tail {
	t.records = slices.Clip(t.records)
	t.Add(record)
	return t
}

// hide drops the records that are superseded.
func (t *Tail) hide(s chat.Superseded) {
	kept := make([]remembered, 0, len(t.records))
	for _, r := range t.records {
		if r.hiddenBy(s) {
			t.bytes -= r.bytes()
		} else {
			kept = append(kept, r)
		}
	}
	t.records = kept
}

// Use adds the older records that a prompt had to read, and drops records that prompts
// do not need. If the tail has dropped records since the prompt was made, there would
// be a gap, and the older records are not added.
func (t *Tail) Use(p Composed) {
	if p.kept && p.before == t.before {
		slices.Reverse(p.older)
		for _, r := range p.older {
			t.bytes += r.bytes()
		}
		t.records, t.before = append(p.older, t.records...), p.rest
	}
	t.used, t.last = max(p.bytes, t.last), p.bytes
	t.trim()
}

// trim drops the oldest records if the tail is larger than it may be.
func (t *Tail) trim() {
	if t.bytes > limit(t.used) {
		t.shrink(limit(t.used) / 2)
	}
}

// shrink drops the oldest records until the rest takes no more than size bytes.
func (t *Tail) shrink(size int) {
	n := 0
	for t.bytes > size && n < len(t.records)-1 {
		t.bytes -= t.records[n].bytes()
		t.before = t.records[n].seq
		n++
	}
	t.records = slices.Clone(t.records[n:]) // what is dropped is let go
}
