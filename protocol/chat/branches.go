package chat

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"sort"
)

// Branches are the ways in which a conversation has gone on, and which of them is the
// current one. Nothing that was said is lost by an edit: the log has all, and a branch
// is a selection of it.
//
//	records  1 2 3 4 5 6 7 8 9      segments  1–5, 6–7, 8–9
//	6 is an edit of 3, 8 of 7       branches  1–5,  1 2 6 7,  1 2 6 8 9
//
// A record that goes on from an earlier place opens a segment of the log, and says with
// which record its past ends. That is an edit, a turn that gives an answer anew, or a
// selection. The last segment always belongs to the current branch. The zero value is a
// conversation without a choice. Methods change nothing, so any goroutine may call them.
type Branches struct {
	forks     []fork     // in the order of at
	withdrawn Superseded // the messages that were taken back: they are in no branch
	late      []late     // in the order of seq, the newest maxLate
	said      uint64     // the last message of a person
	path      []stretch  // the current branch; it follows from forks
}

// A fork is the beginning of a segment, which reaches to the next fork.
type fork struct {
	at    uint64 // the record that opens the segment
	after uint64 // the record with which its past ends
	of    uint64 // the first version of what it says anew, a message or an answer; 0: it is a selection

	// Of a segment that an answer given anew opens: the message that is answered, and the
	// record with the text, 0 until there is one.
	prompt, end uint64
}

// late is an answer that stands more than nearby records behind what it belongs to.
type late struct{ seq, prompt uint64 }

// nearby is within how many records behind the end of a branch its answers are looked
// for: one may end when more has been said. Those that come later are remembered. Tests
// make it smaller.
var nearby uint64 = 64

// maxLate is how many late answers are remembered. Older ones may be missing in branches
// that are not the current one.
const maxLate = 1024

// A stretch is records that a branch has in common with the log. Both ends belong to it.
type stretch struct {
	from, to uint64
	fork     int // that opens the segment, -1 of the first one
}

// Len is the number of segments, without the first.
func (b Branches) Len() int { return len(b.forks) }

// Last returns the record that has changed the current branch last, or 0.
func (b Branches) Last() uint64 {
	if len(b.forks) == 0 {
		return 0
	}
	return b.forks[len(b.forks)-1].at
}

// Equal reports whether both say the same.
func (b Branches) Equal(other Branches) bool {
	return b.said == other.said && slices.Equal(b.forks, other.forks) && slices.Equal(b.withdrawn, other.withdrawn) && slices.Equal(b.late, other.late)
}

// After returns the branches when the record follows.
func (b Branches) After(r Record) Branches {
	switch e := r.Event.(type) {
	case MessageAdded:
		if e.Replaces != "" {
			b = b.with(fork{at: r.Seq, after: b.before(e.ReplacesSeq), of: b.first(e.ReplacesSeq)})
		}
		b.said = r.Seq
	case BranchSelected:
		b = b.with(fork{at: r.Seq, after: e.After})
	case TurnQueued:
		if e.FirstSeq > 0 {
			b = b.with(fork{at: r.Seq, after: b.answersOf(e.PromptSeq), of: e.FirstSeq, prompt: e.PromptSeq})
		}
	case TurnEnded:
		b = b.ended(r.Seq, e)
	case MessageWithdrawn:
		b.withdrawn = b.withdrawn.without(e.Seq)
	}
	return b
}

// Add returns the branches when an encoded record follows. It decodes the record only if
// the branches change.
func (b Branches) Add(seq uint64, data []byte) (Branches, error) {
	if branches(seq, data) {
		r, err := DecodeRecord(seq, data)
		return b.After(r), err
	}
	if Says(data) {
		b.said = seq
	}
	return b, nil
}

// before returns the record with which the past of a message ends.
func (b Branches) before(seq uint64) uint64 {
	if i := b.segment(seq); i >= 0 && b.forks[i].at == seq {
		return b.forks[i].after
	}
	return seq - 1
}

// first returns the first version of a message.
func (b Branches) first(seq uint64) uint64 {
	if i := b.segment(seq); i >= 0 && b.forks[i].at == seq {
		return b.forks[i].of
	}
	return seq
}

// answersOf returns the record with which the past of another answer to the message ends:
// the message itself, or the last answer to it that was given anew in the current branch.
// That may be another model's, which stays.
func (b Branches) answersOf(prompt uint64) uint64 {
	for _, s := range slices.Backward(b.path) {
		if s.fork >= 0 && b.forks[s.fork].prompt == prompt {
			return s.from
		}
	}
	return prompt
}

// ended notes where an answer is.
func (b Branches) ended(seq uint64, e TurnEnded) Branches {
	i := b.version(e.Version)
	if i >= 0 && e.Content != "" {
		b.forks = slices.Clone(b.forks)
		b.forks[i].end = seq
	}
	if e.MessageID != "" && e.PromptSeq > 0 && seq-max(e.Version, e.PromptSeq) > nearby {
		b.late = append(slices.Clip(b.late[max(0, len(b.late)+1-maxLate):]), late{seq, e.PromptSeq})
	}
	return b
}

// with returns the branches when a segment begins. A selection behind which nothing was
// said is forgotten, so there are no more segments than messages and answers.
func (b Branches) with(f fork) Branches {
	n := len(b.forks)
	if n > 0 && b.forks[n-1].of == 0 && b.said < b.forks[n-1].at {
		if n--; f.after >= b.forks[n].at {
			f.after = b.forks[n].after
		}
	}
	b.forks = append(slices.Clip(b.forks[:n]), f)
	past := b.path
	for len(past) > 0 && past[len(past)-1].from > f.after {
		past = past[:len(past)-1]
	}
	switch last := len(past) - 1; {
	case f.after > 0 && (last < 0 || past[last].to < f.after): // it is of another branch
		past = b.pathTo(f.after)
	case last >= 0:
		past = slices.Clone(past)
		past[last].to = f.after
	}
	b.path = append(slices.Clip(past), stretch{f.at, math.MaxUint64, n})
	return b
}

// segment returns the segment of a record, as the place of its fork; -1 is the first.
func (b Branches) segment(seq uint64) int {
	return sort.Search(len(b.forks), func(i int) bool { return b.forks[i].at > seq }) - 1
}

// pathTo returns the branch that ends with a record.
func (b Branches) pathTo(seq uint64) (path []stretch) {
	for seq > 0 {
		i := b.segment(seq)
		s := stretch{1, seq, i}
		if seq = 0; i >= 0 {
			s.from, seq = b.forks[i].at, b.forks[i].after
		}
		path = append(path, s)
	}
	slices.Reverse(path)
	return path
}

// end returns the last record of a segment.
func (b Branches) end(i int) uint64 {
	if i+1 < len(b.forks) {
		return b.forks[i+1].at - 1
	}
	return math.MaxUint64
}

// version returns the segment that the turn opened which record at has queued, to give an
// answer anew, or -1.
func (b Branches) version(at uint64) int {
	if i := b.segment(at); at > 0 && i >= 0 && b.forks[i].at == at {
		return i
	}
	return -1
}

// Shows reports whether a message of a person is in the current branch.
func (b Branches) Shows(seq uint64) bool { return covers(b.path, seq) && !b.withdrawn.Has(seq) }

// Withdrawn reports whether the message was taken back.
func (b Branches) Withdrawn(seq uint64) bool { return b.withdrawn.Has(seq) }

func covers(path []stretch, seq uint64) bool {
	i := sort.Search(len(path), func(i int) bool { return path[i].to >= seq })
	return len(path) == 0 || i < len(path) && path[i].from <= seq
}

// Current returns the current branch.
func (b Branches) Current() Path { return b.along(b.path) }

// Through returns the newest branch that leads through a message or an answer, and the
// record with which it ends. If that is the current one, the record is 0. It reports false
// if the message was taken back.
func (b Branches) Through(m Message) (p Path, end uint64, ok bool) {
	at, root := m.Seq, uint64(0)
	if m.Role == RoleAssistant {
		at, root = cmp.Or(m.PromptSeq, m.Seq), b.FirstAnswer(m)
	}
	if b.withdrawn.Has(at) {
		return Path{}, 0, false
	}
	leaf := b.leaf(at, root, m.Version)
	if leaf == len(b.forks)-1 {
		return b.Current(), 0, true
	}
	end = b.end(leaf)
	return b.along(b.pathTo(end)), end, leaf >= -1
}

// Behind returns the record with which a branch ends in which nothing follows a message or an
// answer, and whether the current branch is that one. It reports false if the message was
// taken back.
func (b Branches) Behind(m Message) (end uint64, current, ok bool) {
	said := m.Seq
	end = said
	if m.Role == RoleAssistant {
		said = cmp.Or(m.PromptSeq, m.Seq)
		end = cmp.Or(m.Version, said)
	}
	if b.withdrawn.Has(said) {
		return 0, false, false
	}
	n := len(b.forks)
	switch {
	case n == 0:
		current = b.said <= end
	case b.said > b.forks[n-1].at:
		current = b.said <= end && covers(b.path, end)
	default: // nothing was said since the last fork
		last := b.forks[n-1]
		current = last.at == end || last.of == 0 && last.after == end
	}
	return end, current, true
}

// Back returns the branch with which a conversation goes on when an answer that record
// version had wanted anew has come to nothing, and the record with which that branch ends.
// It is the newest one that leads through the version before, which has a text, or is
// still open. It reports false if the current branch is to stay: others have talked on in
// it meanwhile, or it leads elsewhere.
func (b Branches) Back(version uint64, open func(version uint64) bool) (p Path, end uint64, ok bool) {
	at := len(b.path) - 1
	for at >= 0 && b.path[at].fork >= 0 && b.forks[b.path[at].fork].of == 0 {
		at-- // a selection
	}
	if at < 0 || version == 0 || b.path[at].from != version || b.said > version {
		return Path{}, 0, false
	}
	f := b.forks[b.path[at].fork]
	before := Message{Role: RoleAssistant, Seq: f.of, PromptSeq: f.prompt}
	for _, s := range b.path[:at] {
		if s.fork >= 0 && b.forks[s.fork].prompt > 0 && b.forks[s.fork].of == f.of && (b.forks[s.fork].end > 0 || open(s.from)) {
			before.Version = s.from
		}
	}
	p, end, ok = b.Through(before)
	return p, end, ok && end > 0
}

// leaf returns the last segment whose branch holds the record at, and the version of an
// answer if root, its first version, is not 0. There is none if it returns less than -1.
func (b Branches) leaf(at, root, version uint64) int {
	type branch struct {
		holds   bool
		version uint64
	}
	own := b.segment(at)
	branches := make([]branch, len(b.forks)+1) // that of segment i at i+1
	branches[0].holds = own == -1
	leaf := -2
	for i := -1; i < len(b.forks); i++ {
		now := &branches[i+1]
		if i >= 0 {
			past := b.segment(b.forks[i].after)
			*now = branches[past+1]
			if past == own {
				now.holds = b.forks[i].after >= at
			}
			now.holds = now.holds || i == own
			if b.forks[i].prompt > 0 && b.forks[i].of == root {
				now.version = b.forks[i].at
			}
		}
		if now.holds && (root == 0 || now.version == version) {
			leaf = i
		}
	}
	return leaf
}

// MarshalJSON writes the numbers of each fork, and of each late answer, in a row: a chat
// may have thousands.
func (b Branches) MarshalJSON() ([]byte, error) {
	w := wireBranches{Withdrawn: b.withdrawn, Said: b.said}
	for _, f := range b.forks {
		w.Forks = append(w.Forks, f.at, f.after, f.of, f.prompt, f.end)
	}
	for _, l := range b.late {
		w.Late = append(w.Late, l.seq, l.prompt)
	}
	return json.Marshal(w)
}

type wireBranches struct {
	Forks     []uint64   `json:"forks,omitempty"`
	Late      []uint64   `json:"late,omitempty"`
	Withdrawn Superseded `json:"withdrawn,omitempty"`
	Said      uint64     `json:"said,omitempty"`
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Branches) UnmarshalJSON(data []byte) error {
	var w wireBranches
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*b = Branches{withdrawn: w.Withdrawn, said: w.Said}
	for n := range slices.Chunk(w.Forks, 5) {
		if len(n) == 5 {
			b.forks = append(b.forks, fork{n[0], n[1], n[2], n[3], n[4]})
		}
	}
	for n := range slices.Chunk(w.Late, 2) {
		if len(n) == 2 {
			b.late = append(b.late, late{n[0], n[1]})
		}
	}
	if len(b.forks) > 0 {
		b.path = b.pathTo(math.MaxUint64)
	}
	return nil
}
