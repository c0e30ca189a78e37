package chat

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Records that are taken out one by one, in any order, are those that a list of flags
// says, and the spans are in order and apart.
func TestSuperseded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Superseded
		gone := make([]bool, 33)
		for _, seq := range rapid.SliceOfN(rapid.IntRange(1, 31), 1, 30).Draw(t, "records") {
			if gone[seq] {
				continue
			}
			before := slices.Clone(s)
			next := s.without(uint64(seq))
			if !slices.Equal(s, before) {
				t.Fatalf("without changed %v to %v", before, s)
			}
			s, gone[seq] = next, true
		}
		for seq := range gone {
			if got := s.Has(uint64(seq)); got != gone[seq] {
				t.Errorf("record %d: %t, want %t, of %v", seq, got, gone[seq], s)
			}
		}
		for i, span := range s {
			if span.From >= span.To || i > 0 && s[i-1].To >= span.From {
				t.Errorf("spans %v", s)
			}
		}
	})
}
