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
	gaps    []chat.Span  // behind that: other records that are not in it, oldest first
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

// Add adds the next record, and drops the records that it takes out of the current branch.
func (t *Tail) Add(record chat.Record) {
	switch e := record.Event.(type) {
	case chat.MessageAdded:
		if e.Replaces != "" {
			t.drop(chat.Span{From: e.ReplacesSeq, To: record.Seq})
		}
	case chat.MessageWithdrawn:
		t.drop(chat.Span{From: e.Seq, To: e.Seq + 1})
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

// drop drops the messages in the span, and the answers to them. Another branch may need
// them again.
func (t *Tail) drop(s chat.Span) {
	t.gaps = slices.DeleteFunc(slices.Clone(t.gaps), func(gap chat.Span) bool { return gap.From >= s.From && gap.To <= s.To })
	t.gaps = append(t.gaps, s)
	kept := make([]remembered, 0, len(t.records))
	for _, r := range t.records {
		if at := r.place(); s.From <= at && at < s.To {
			t.bytes -= r.bytes()
		} else {
			kept = append(kept, r)
		}
	}
	t.records = kept
}

// Use adds the older records that a prompt had to read, and drops records that prompts
// do not need. If the tail has dropped records since the prompt was made, the older
// records are not added.
func (t *Tail) Use(p Composed) {
	if p.kept && p.before >= t.before {
		n := 0 // a prompt of another branch could not use these
		for ; n < len(t.records) && t.records[n].seq <= p.before; n++ {
			t.bytes -= t.records[n].bytes()
		}
		slices.Reverse(p.older)
		for _, r := range p.older {
			t.bytes += r.bytes()
		}
		t.records = append(p.older, t.records[n:]...)
		for _, gap := range t.gaps {
			if gap.From = max(gap.From, p.before+1); gap.From < gap.To {
				p.gaps = append(p.gaps, gap)
			}
		}
		t.gaps, t.before = p.gaps, p.rest
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
	t.gaps = slices.DeleteFunc(slices.Clone(t.gaps), func(gap chat.Span) bool { return gap.To <= t.before+1 })
}

// start returns the record from which on the tail has all that is on the path.
func (t Tail) start(p chat.Path) uint64 {
	start := t.before + 1
	if len(t.gaps) == 0 {
		return start
	}
	spans := p.Spans()
	for _, gap := range t.gaps { // in no order: a withdrawn message may be older than an edit
		meets := func(s chat.Span) bool { return s.From < gap.To && gap.From < s.To }
		if gap.To > start && slices.ContainsFunc(spans, meets) {
			start = gap.To
		}
	}
	return start
}
