package chat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A naive conversation is a list of branches, each a list of messages and of the answers
// that were given anew. The last one is the newest.
type naive struct {
	t        *rapid.T
	records  []Record
	branches []*naiveBranch
	current  *naiveBranch
	gone     map[uint64]bool
	open     []TurnEnded // answers to come
	ends     map[uint64]TurnEnded

	real Branches
}

type naiveBranch struct {
	messages []uint64
	anew     []naiveVersion // in order
}

type naiveVersion struct{ prompt, first, turn uint64 }

// upTo returns a branch that ends before a message, or behind the answers to it.
func (b *naiveBranch) upTo(seq uint64, with bool) *naiveBranch {
	keep := func(at uint64) bool { return at < seq || with && at == seq }
	n := &naiveBranch{}
	for _, m := range b.messages {
		if keep(m) {
			n.messages = append(n.messages, m)
		}
	}
	for _, v := range b.anew {
		if keep(v.prompt) {
			n.anew = append(n.anew, v)
		}
	}
	return n
}

// version returns the turn of the version of an answer that the branch leads through, and
// of the one that it shows; 0 is the first version.
func (n *naive) version(b *naiveBranch, first uint64) (through, shown uint64) {
	for _, v := range b.anew {
		if v.first != first {
			continue
		}
		through = v.turn
		for _, e := range n.ends {
			if e.Version == v.turn && e.Content != "" {
				shown = v.turn
			}
		}
	}
	return through, shown
}

func (n *naive) record(e Event) uint64 {
	r := Record{Seq: uint64(len(n.records)) + 1, Event: e}
	n.records = append(n.records, r)
	b, err := r.Encode()
	if err != nil {
		n.t.Fatal(err)
	}
	added, err := n.real.Add(r.Seq, b)
	if after := n.real.After(r); err != nil || !added.Equal(after) {
		n.t.Fatalf("Add makes %+v, %v, After makes %+v", added, err, after)
	}
	n.real = added
	return r.Seq
}

func messageID(seq uint64) MessageID { return MessageID(fmt.Sprint("m", seq)) }

// say appends a message to the current branch, which so becomes the newest.
func (n *naive) say(e MessageAdded) {
	e.MessageID = messageID(uint64(len(n.records)) + 1)
	seq := n.record(e)
	n.branches = slices.DeleteFunc(n.branches, func(b *naiveBranch) bool { return b == n.current })
	n.branches = append(n.branches, n.current)
	n.current.messages = append(n.current.messages, seq)
	for range rapid.IntRange(0, 2).Draw(n.t, "answers") {
		n.open = append(n.open, TurnEnded{PromptSeq: seq})
	}
}

func (n *naive) branch(b *naiveBranch) { n.branches, n.current = append(n.branches, b), b }

func (n *naive) shownMessages() (all []uint64) {
	for _, m := range n.current.messages {
		if !n.gone[m] {
			all = append(all, m)
		}
	}
	return all
}

// first returns the first version of an answer.
func (n *naive) first(seq uint64) uint64 {
	version := n.ends[seq].Version
	for _, b := range n.branches {
		for _, v := range b.anew {
			if v.turn == version {
				return v.first
			}
		}
	}
	return seq
}

// shows lists what a branch shows.
func (n *naive) shows(b *naiveBranch) (all []uint64) {
	for seq := range uint64(len(n.records)) + 1 {
		if e, ends := n.ends[seq]; ends {
			_, shown := n.version(b, n.first(seq))
			if slices.Contains(b.messages, e.PromptSeq) && !n.gone[e.PromptSeq] && shown == e.Version {
				all = append(all, seq)
			}
		} else if slices.Contains(b.messages, seq) && !n.gone[seq] {
			all = append(all, seq)
		}
	}
	return all
}

// through returns the newest branch that leads through a message or an answer. That is the
// current one, if it does so, even if nothing was said since it was selected.
func (n *naive) through(seq uint64) *naiveBranch {
	at := seq
	e, ends := n.ends[seq]
	if ends {
		at = e.PromptSeq
	}
	for _, b := range append([]*naiveBranch{n.current}, backward(n.branches)...) {
		version, _ := n.version(b, n.first(seq))
		if slices.Contains(b.messages, at) && !n.gone[at] && (!ends || version == e.Version) {
			return b
		}
	}
	return nil
}

func backward(list []*naiveBranch) []*naiveBranch {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func (n *naive) message(seq uint64) Message {
	m, _ := n.records[seq-1].Message()
	return m
}

func (n *naive) step() {
	anything := func(of []uint64) uint64 { return rapid.SampledFrom(of).Draw(n.t, "which") }
	switch rapid.SampledFrom([]string{"say", "say", "edit", "answer", "answer", "answer", "regenerate", "regenerate", "select", "select", "withdraw", "nothing"}).Draw(n.t, "do") {
	case "say":
		n.say(MessageAdded{})
	case "nothing":
		n.record(Configured{})
	case "edit":
		if own := n.shownMessages(); len(own) > 0 {
			old := anything(own)
			n.branch(n.current.upTo(old, false))
			n.say(MessageAdded{Replaces: messageID(old), ReplacesSeq: old})
		}
	case "answer":
		if len(n.open) == 0 {
			return
		}
		i := rapid.IntRange(0, len(n.open)-1).Draw(n.t, "turn")
		e := n.open[i]
		n.open = slices.Delete(n.open, i, i+1)
		e.MessageID = messageID(uint64(len(n.records)) + 1)
		e.Content = rapid.SampledFrom([]string{"text", "text", ""}).Draw(n.t, "text")
		n.ends[n.record(e)] = e
		if e.Content == "" {
			n.back(e)
		}
	case "regenerate":
		var answers []uint64
		for _, seq := range n.shows(n.current) {
			if _, ends := n.ends[seq]; ends {
				answers = append(answers, seq)
			}
		}
		if len(answers) == 0 {
			return
		}
		old := anything(answers)
		first := n.first(old)
		if got := n.real.FirstAnswer(n.message(old)); got != first {
			n.t.Fatalf("record %d is a version of %d, want %d", old, got, first)
		}
		b := n.current.upTo(n.ends[old].PromptSeq, true)
		turn := n.record(TurnQueued{PromptSeq: n.ends[old].PromptSeq, Again: messageID(old), First: messageID(first), FirstSeq: first})
		b.anew = append(b.anew, naiveVersion{n.ends[old].PromptSeq, first, turn})
		n.branch(b)
		n.open = append(n.open, TurnEnded{PromptSeq: n.ends[old].PromptSeq, Version: turn, First: messageID(first)})
	case "select":
		n.selects()
	case "withdraw":
		if own := n.shownMessages(); len(own) > 0 && rapid.IntRange(0, 2).Draw(n.t, "rarely") == 0 {
			old := anything(own)
			n.record(MessageWithdrawn{Seq: old})
			n.gone[old] = true
		}
	}
}

// back goes back to the version before one that has come to nothing.
func (n *naive) back(e TurnEnded) {
	isOpen := func(turn uint64) bool {
		return slices.ContainsFunc(n.open, func(o TurnEnded) bool { return o.Version == turn })
	}
	anew := n.current.anew
	talked := slices.ContainsFunc(n.records[e.Version:], func(r Record) bool { _, said := r.Event.(MessageAdded); return said })
	p, end, ok := n.real.Back(e.Version, isOpen)
	if e.Version == 0 || len(anew) == 0 || anew[len(anew)-1].turn != e.Version || talked {
		if ok {
			n.t.Fatalf("goes back to %d although the branch stays", end)
		}
		return
	}
	last := anew[len(anew)-1]
	var before uint64
	for _, v := range anew[:len(anew)-1] {
		if text := slices.Collect(maps.Values(n.ends)); v.first == last.first &&
			(isOpen(v.turn) || slices.ContainsFunc(text, func(e TurnEnded) bool { return e.Version == v.turn && e.Content != "" })) {
			before = v.turn
		}
	}
	for _, b := range backward(n.branches) {
		if version, _ := n.version(b, last.first); slices.Contains(b.messages, last.prompt) && !n.gone[last.prompt] && version == before {
			if !ok {
				n.t.Fatalf("does not go back from version %d", e.Version)
			}
			n.compare(b, p)
			n.record(BranchSelected{After: end})
			n.current = b
			return
		}
	}
	if ok {
		n.t.Fatalf("goes back to %d, and there is no such branch", end)
	}
}

func (n *naive) selects() {
	var all []uint64
	for seq := range uint64(len(n.records)) {
		if n.message(seq+1).ID != "" {
			all = append(all, seq+1)
		}
	}
	if len(all) == 0 {
		return
	}
	seq := rapid.SampledFrom(all).Draw(n.t, "message")
	want := n.through(seq)
	path, end, ok := n.real.Through(n.message(seq))
	if (want != nil) != ok {
		n.t.Fatalf("record %d is in a branch: %t", seq, ok)
	}
	if want == nil {
		return
	}
	n.compare(want, path)
	if (want == n.current) != (end == 0) {
		n.t.Fatalf("record %d is in the current branch: %t, the branch ends with %d", seq, want == n.current, end)
	}
	if end == 0 {
		return
	}
	from := path.Diverges(n.real.Current())
	before, after := n.shows(n.current), n.shows(want)
	for at := range from {
		if _, ends := n.ends[at]; !ends && slices.Contains(before, at) != slices.Contains(after, at) {
			n.t.Fatalf("the branches differ in record %d, before %d", at, from)
		}
	}
	for at, e := range n.ends {
		if e.PromptSeq < from && slices.Contains(before, at) != slices.Contains(after, at) {
			n.t.Fatalf("the branches differ in the answer %d, before %d", at, from)
		}
	}
	n.record(BranchSelected{After: end})
	n.current = want
}

// compare: the path shows what the branch does, and names where that is.
func (n *naive) compare(b *naiveBranch, p Path) {
	var got []uint64
	spans := Superseded(p.Spans())
	for _, r := range n.records {
		if _, ok := r.Message(); ok && !p.Hides(r) {
			if got = append(got, r.Seq); !spans.Has(r.Seq) {
				n.t.Fatalf("record %d is shown, and is not in %v", r.Seq, spans)
			}
		}
	}
	for i, s := range spans {
		if s.From >= s.To || i > 0 && spans[i-1].To >= s.From {
			n.t.Fatalf("spans %v", spans)
		}
	}
	if want := n.shows(b); !slices.Equal(got, want) {
		n.t.Fatalf("shown %v, want %v, of %+v", got, want, n.real)
	}
}

// After any words, edits, further answers, selections and withdrawals, the branches are those
// of a list of branches.
func TestBranches(t *testing.T) {
	defer func(n uint64) { nearby = n }(nearby)
	rapid.Check(t, func(rt *rapid.T) {
		nearby = uint64(rapid.SampledFrom([]int{0, 1, 3, 64}).Draw(rt, "nearby"))
		first := &naiveBranch{}
		n := &naive{t: rt, branches: []*naiveBranch{first}, current: first, gone: make(map[uint64]bool), ends: make(map[uint64]TurnEnded)}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			n.step()
			n.compare(n.current, n.real.Current())
			if rapid.IntRange(0, 9).Draw(rt, "restart") > 0 {
				continue
			}
			b, err := json.Marshal(n.real)
			var again Branches
			if err = errors.Join(err, json.Unmarshal(b, &again)); err != nil || !again.Equal(n.real) {
				rt.Fatalf("%+v becomes %+v, %v", n.real, again, err)
			}
			n.real = again
		}
		for _, b := range n.branches {
			for _, v := range b.anew {
				n.checkVersions(v.first)
			}
		}
	})
}

// checkVersions: the versions of an answer that have a text are told with each of them.
func (n *naive) checkVersions(first uint64) {
	var want []uint64
	for seq := range uint64(len(n.records)) + 1 {
		if e, ends := n.ends[seq]; ends && n.first(seq) == first && (seq == first || e.Content != "") {
			want = append(want, seq)
		}
	}
	slices.SortFunc(want, func(a, b uint64) int { return cmp.Compare(n.ends[a].Version, n.ends[b].Version) })
	if len(want) == 1 {
		want = nil
	}
	if got := n.real.Versions()(n.message(first)); !slices.Equal(got, want) {
		n.t.Fatalf("record %d has versions %v, want %v", first, got, want)
	}
}

// In records of old, which do not name the first version of an answer that was given
// again, the answers stand side by side, and what an edit took out stays out.
func TestOldRecordsShowTheSame(t *testing.T) {
	var b Branches
	records := []Record{
		{Seq: 1, Event: MessageAdded{MessageID: "one"}},
		{Seq: 2, Event: TurnEnded{MessageID: "a", PromptSeq: 1, Content: "first"}},
		{Seq: 3, Event: TurnQueued{Prompt: "one", PromptSeq: 1, Again: "a"}},
		{Seq: 4, Event: MessageAdded{MessageID: "two"}},
		{Seq: 5, Event: TurnEnded{MessageID: "b", PromptSeq: 1, Content: "second"}},
		{Seq: 6, Event: TurnEnded{MessageID: "c", Content: "an answer that does not say to what"}},
		{Seq: 7, Event: MessageAdded{MessageID: "three", Replaces: "two", ReplacesSeq: 4}},
	}
	for _, r := range records {
		b = b.After(r)
	}
	shown := func(p Path) (ids []MessageID) {
		for _, r := range records {
			if m, ok := r.Message(); ok && !p.Hides(r) {
				ids = append(ids, m.ID)
			}
		}
		return ids
	}
	if got, want := shown(b.Current()), []MessageID{"one", "a", "b", "three"}; !slices.Equal(got, want) {
		t.Errorf("shown %v, want %v", got, want)
	}
	old, _, ok := b.Through(Message{Seq: 4, Role: RoleUser})
	if got, want := shown(old), []MessageID{"one", "a", "two", "b", "c"}; !ok || !slices.Equal(got, want) {
		t.Errorf("what was edited: %v, want %v", got, want)
	}
}
