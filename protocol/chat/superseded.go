package chat

import (
	"cmp"
	"slices"
)

// Superseded are the parts of a log that edits and withdrawals have taken out of the
// conversation, in order and apart. The zero value is nothing; a Superseded is
// never changed, so it can be read by any goroutine.
type Superseded []Span

// A Span is the records from From on, and before To.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// With returns what is superseded when the record at also replaces a message
// and all that followed it. Later records are superseded by later edits only,
// so what is replaced swallows every span behind its beginning.
func (s Superseded) With(replaced, at uint64) Superseded {
	n := len(s)
	for n > 0 && s[n-1].To >= replaced {
		n--
		replaced = min(replaced, s[n].From)
	}
	return append(slices.Clone(s[:n]), Span{replaced, at})
}

// After returns what is superseded when the record follows.
func (s Superseded) After(r Record) Superseded {
	switch e := r.Event.(type) {
	case MessageAdded:
		if e.Replaces != "" {
			return s.With(e.ReplacesSeq, r.Seq)
		}
	case MessageWithdrawn:
		return s.without(e.Seq)
	}
	return s
}

// without returns what is superseded when the record at seq alone is taken out.
func (s Superseded) without(seq uint64) Superseded {
	i, _ := slices.BinarySearchFunc(s, seq, func(span Span, seq uint64) int { return cmp.Compare(span.From, seq) })
	from, to := seq, seq+1
	first, last := i, i
	if i > 0 && s[i-1].To >= from {
		first, from = i-1, s[i-1].From
	}
	if i < len(s) && s[i].From <= to {
		last, to = i+1, s[i].To
	}
	return slices.Concat(s[:first:first], Superseded{{from, to}}, s[last:])
}

// Has reports whether the message that is record seq is superseded.
func (s Superseded) Has(seq uint64) bool {
	i, found := slices.BinarySearchFunc(s, seq, func(span Span, seq uint64) int {
		switch {
		case seq < span.From:
			return 1
		case seq >= span.To:
			return -1
		}
		return 0
	})
	return found && i < len(s)
}

// Hides reports whether the record is not to be shown, nor to be told to an
// assistant: a superseded message, or an answer to one. An answer belongs to
// what it answers, wherever it stands: others may have talked on meanwhile.
func (s Superseded) Hides(r Record) bool {
	if e, ends := r.Event.(TurnEnded); ends && e.PromptSeq > 0 {
		return s.Has(e.PromptSeq)
	}
	return s.Has(r.Seq)
}
