package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// A Tail is the end of a log, decoded, so that a turn does not have to read it
// again. It holds what the last two prompts have used and what was recorded since, and
// little more. Since records are only added at the ends and never changed, a
// copy of a Tail may be read by any goroutine. The zero Tail is that of an empty
// log.
type Tail struct {
	records []remembered // oldest first
	before  uint64       // the last record that is not in it
	bytes   int

	// Bytes of what the last prompt has used, and the larger one of the last two:
	// models that read more and less may take turns.
	last, used int
}

// tailSlack is how many bytes a [Tail] may always grow beyond what prompts have
// used. Tests make it smaller.
var tailSlack = 256 << 10

// limit is how many bytes a Tail may take where prompts have used so many.
func limit(used int) int { return 2*used + tailSlack }

// NewTail returns the tail of a log whose last record is seq.
func NewTail(seq uint64) Tail { return Tail{before: seq} }

// Add takes in the record that follows, and lets go what that supersedes.
func (t *Tail) Add(record chat.Record) {
	if e, ok := record.Event.(chat.MessageAdded); ok && e.Replaces != "" {
		t.hide(chat.Superseded{{From: e.ReplacesSeq, To: record.Seq}})
	}
	r, ok := remember(record)
	if !ok {
		return
	}
	t.records = append(t.records, r)
	t.bytes += r.bytes()
	t.trim()
}

// hide drops what no prompt will hold any more.
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

// Use takes in what a prompt had to read that is older than the tail, and lets go
// what prompts do not need. The tail may have dropped records since: then what was
// read does not fit to it any more.
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
