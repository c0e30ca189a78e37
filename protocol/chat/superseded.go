package chat

import (
	"cmp"
	"slices"
)

// Superseded are parts of a log, in order and apart. The zero value is nothing; a
// Superseded is never changed, so it can be read by any goroutine.
type Superseded []Span

// A Span is the records from From on, and before To.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// without returns the parts with the record at seq.
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

// Has reports whether record seq is in one of the parts.
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
