package chat

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// After any edits, in any order, the superseded records are those that a list of flags
// says, and the spans are in order and apart.
func TestSuperseded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Superseded
		gone := []bool{true} // there is no record 0
		for _, edit := range rapid.SliceOfN(rapid.IntRange(0, 30), 1, 30).Draw(t, "edits") {
			r := Record{Seq: uint64(len(gone)), Event: MessageAdded{MessageID: "new", Replaces: "old", ReplacesSeq: uint64(edit)}}
			alone := rapid.IntRange(0, 2).Draw(t, "withdrawn") == 0
			if alone {
				r.Event = MessageWithdrawn{MessageID: "old", Seq: uint64(edit)}
			}
			if edit > 0 && edit < len(gone) && !gone[edit] {
				before := slices.Clone(s)
				next := s.After(r)
				if !slices.Equal(s, before) {
					t.Fatalf("After changed %v to %v", before, s)
				}
				s = next
				for i := edit; i < len(gone) && (i == edit || !alone); i++ {
					gone[i] = true
				}
			}
			gone = append(gone, false)
		}
		for seq := 1; seq < len(gone); seq++ {
			if got := s.Has(uint64(seq)); got != gone[seq] {
				t.Errorf("record %d: superseded %t, want %t, of %v", seq, got, gone[seq], s)
			}
		}
		for i, span := range s {
			if span.From >= span.To || i > 0 && s[i-1].To >= span.From {
				t.Errorf("spans %v", s)
			}
		}
	})
}

func TestSupersededHides(t *testing.T) {
	s := Superseded{}.With(5, 20)
	for _, test := range []struct {
		record Record
		want   bool
	}{
		{Record{Seq: 4, Event: MessageAdded{}}, false},
		{Record{Seq: 5, Event: MessageAdded{}}, true},
		{Record{Seq: 20, Event: MessageAdded{}}, false},
		{Record{Seq: 7, Event: TurnEnded{PromptSeq: 2}}, false}, // it answers what was said before
		{Record{Seq: 7, Event: TurnEnded{PromptSeq: 6}}, true},
		{Record{Seq: 25, Event: TurnEnded{PromptSeq: 6}}, true},
		{Record{Seq: 7, Event: TurnEnded{}}, true}, // of old
	} {
		if got := s.Hides(test.record); got != test.want {
			t.Errorf("%+v: got %t, want %t", test.record, got, test.want)
		}
	}
}
