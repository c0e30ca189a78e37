package chat

import (
	"math"
	"slices"
)

// A Path is one branch of a conversation: the records of which it consists, and which
// version of each answer. The zero value is all records. A Path is never changed, so it
// can be read by any goroutine.
type Path struct {
	stretches []stretch
	withdrawn Superseded
	versions  map[uint64]uint64 // first version of an answer → the turn that gave the one that is shown
	turns     map[uint64]fork   // those that gave an answer anew
	late      []late
}

// along returns the path of the stretches. Of the versions of an answer on it the last one
// with a text is shown, else the first.
func (b Branches) along(stretches []stretch) Path {
	p := Path{stretches: stretches, withdrawn: b.withdrawn, late: b.late}
	for _, s := range stretches {
		if s.fork < 0 || b.forks[s.fork].prompt == 0 {
			continue
		}
		if p.versions == nil {
			p.versions, p.turns = make(map[uint64]uint64), make(map[uint64]fork)
		}
		f := b.forks[s.fork]
		if p.turns[f.at] = f; f.end > 0 {
			p.versions[f.of] = f.at
		}
	}
	return p
}

// Shows reports whether a message of a person is on the path.
func (p Path) Shows(seq uint64) bool { return covers(p.stretches, seq) && !p.withdrawn.Has(seq) }

// Chooses reports whether the record, or an earlier one, may be hidden.
func (p Path) Chooses(seq uint64) bool {
	return len(p.withdrawn) > 0 && seq >= p.withdrawn[0].From || len(p.stretches) > 1 || len(p.stretches) == 1 && p.stretches[0].from > 1
}

// Hides reports whether the record is not to be shown, nor to be told to an assistant: it
// is a message of another branch, or an answer to one, or another version of an answer.
func (p Path) Hides(r Record) bool {
	if e, ends := r.Event.(TurnEnded); ends {
		return p.HidesAnswer(r.Seq, e.PromptSeq, e.Version)
	}
	return !p.Shows(r.Seq)
}

// HidesAnswer does the same for the answer in record seq. An answer belongs to what it
// answers, wherever it stands: others may have talked on meanwhile. Old records do not say
// which message they answer.
func (p Path) HidesAnswer(seq, prompt, version uint64) bool {
	if prompt == 0 {
		prompt = seq
	}
	first := seq
	if version > 0 {
		if first = p.turns[version].of; first == 0 {
			return true
		}
	}
	return !p.Shows(prompt) || p.versions[first] != version
}

// Diverges returns the first record that is, or whose answers are, on one path and not on
// the other.
func (p Path) Diverges(other Path) uint64 {
	a, b := p.whole(), other.whole()
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	from := uint64(math.MaxUint64)
	switch {
	case len(a) > 0 && len(b) > 0 && a[0].from == b[0].from:
		from = min(a[0].to, b[0].to) + 1
	case len(a) > 0 && len(b) > 0:
		from = min(a[0].from, b[0].from)
	}
	for _, s := range slices.Concat(a, b) {
		for _, path := range []Path{p, other} {
			if f, anew := path.turns[s.from]; anew {
				from = min(from, f.prompt)
			}
		}
	}
	return from
}

func (p Path) whole() []stretch {
	if len(p.stretches) == 0 {
		return []stretch{{1, math.MaxUint64, -1}}
	}
	return p.stretches
}

// Spans returns where in the log to look for what is on the path, in order and apart.
// All records elsewhere are hidden; some of those there may be. Of late answers it names the
// records.
func (p Path) Spans() []Span {
	if len(p.stretches) == 0 {
		return []Span{{1, math.MaxUint64}}
	}
	var spans []Span
	add := func(from, to uint64) {
		if n := len(spans); n > 0 && spans[n-1].To >= from {
			spans[n-1].To = max(spans[n-1].To, to)
		} else if from < to {
			spans = append(spans, Span{from, to})
		}
	}
	answers := p.late
	for i, s := range p.stretches {
		next := uint64(math.MaxUint64)
		if i+1 < len(p.stretches) {
			next = p.stretches[i+1].from
		}
		add(s.from, min(next, min(s.to, math.MaxUint64-1-nearby)+1+nearby))
		for len(answers) > 0 && answers[0].seq < next {
			if a := answers[0]; p.Shows(a.prompt) && a.seq > s.to {
				add(a.seq, a.seq+1)
			}
			answers = answers[1:]
		}
	}
	return spans
}
