package chats_test

import (
	"slices"

	"parlor/protocol/chat"
)

// A tree is what the branches of a chat are, naively: a list of them, each with its messages
// and with the answers that were given anew. The newest is the last one.
type tree struct {
	branches []*branch
	current  *branch
	gone     map[uint64]bool
	records  map[chat.MessageID]chat.Record // by the message that they hold
}

type branch struct {
	messages []uint64
	anew     []version // in order
}

type version struct {
	prompt uint64
	first  chat.MessageID
	turn   uint64
}

// treeOf makes the tree of the records.
func treeOf(records []chat.Record) *tree {
	root := new(branch)
	t := &tree{branches: []*branch{root}, current: root, gone: make(map[uint64]bool), records: make(map[chat.MessageID]chat.Record)}
	dead := make(map[uint64]bool) // the versions that have come to nothing
	for _, r := range records {
		if m, ok := r.Message(); ok {
			t.records[m.ID] = r
		}
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			if e.Replaces != "" {
				t.begin(func(seq uint64) bool { return seq < e.ReplacesSeq })
			}
			t.branches = append(slices.DeleteFunc(t.branches, func(b *branch) bool { return b == t.current }), t.current)
			t.current.messages = append(t.current.messages, r.Seq)
		case chat.TurnQueued:
			if e.First != "" {
				t.begin(func(seq uint64) bool { return seq <= e.PromptSeq })
				t.current.anew = append(t.current.anew, version{e.PromptSeq, e.First, r.Seq})
			}
		case chat.TurnEnded:
			if e.Content == "" {
				dead[e.Version] = true
			}
		case chat.BranchSelected:
			if e.By == "" {
				t.current = t.before(dead)
			} else {
				t.current = t.through(e.MessageID)
			}
		case chat.MessageWithdrawn:
			t.gone[e.Seq] = true
		}
	}
	return t
}

// begin makes a branch that has the messages of the current one that keep names.
func (t *tree) begin(keep func(uint64) bool) {
	b := new(branch)
	for _, seq := range t.current.messages {
		if keep(seq) {
			b.messages = append(b.messages, seq)
		}
	}
	for _, v := range t.current.anew {
		if keep(v.prompt) {
			b.anew = append(b.anew, v)
		}
	}
	t.branches, t.current = append(t.branches, b), b
}

// before returns the newest branch that leads through the version of an answer before the
// last one of the current branch, which has come to nothing.
func (t *tree) before(dead map[uint64]bool) *branch {
	last := t.current.anew[len(t.current.anew)-1]
	version := uint64(0)
	for _, v := range t.current.anew {
		if v.first == last.first && !dead[v.turn] {
			version = v.turn
		}
	}
	for _, b := range slices.Backward(t.branches) {
		if slices.Contains(b.messages, last.prompt) && t.versionOf(b, last.first, false) == version {
			return b
		}
	}
	return nil
}

// versionOf returns the turn of the last version of an answer in the branch, or 0; with
// text, of the last one that has a text.
func (t *tree) versionOf(b *branch, first chat.MessageID, text bool) (turn uint64) {
	for _, v := range b.anew {
		said := func(r chat.Record) bool {
			m, _ := r.Message()
			return m.Version == v.turn && m.Content != ""
		}
		if v.first != first {
			continue
		}
		if !text {
			turn = v.turn
		}
		for _, r := range t.records {
			if said(r) {
				turn = v.turn
			}
		}
	}
	return turn
}

// firstOf returns the first version of an answer.
func firstOf(m chat.Message) chat.MessageID {
	if m.First != "" {
		return m.First
	}
	return m.ID
}

// through returns the newest branch that leads through a message or an answer: the current
// one, if it does so. It returns nil if the message was withdrawn.
func (t *tree) through(id chat.MessageID) *branch {
	r := t.records[id]
	m, _ := r.Message()
	at := m.Seq
	if m.Role == chat.RoleAssistant {
		at = m.PromptSeq
	}
	leads := func(b *branch) bool {
		return slices.Contains(b.messages, at) && !t.gone[at] &&
			(m.Role == chat.RoleUser || t.versionOf(b, firstOf(m), false) == m.Version)
	}
	if leads(t.current) {
		return t.current
	}
	for _, b := range slices.Backward(t.branches) {
		if leads(b) {
			return b
		}
	}
	return nil
}

// shows reports whether the branch shows a message or an answer.
func (t *tree) shows(b *branch, m chat.Message) bool {
	if m.Role == chat.RoleUser {
		return slices.Contains(b.messages, m.Seq) && !t.gone[m.Seq]
	}
	return slices.Contains(b.messages, m.PromptSeq) && !t.gone[m.PromptSeq] && t.versionOf(b, firstOf(m), true) == m.Version
}

// list returns the messages that the branch shows, in order.
func (t *tree) list(b *branch, all []chat.Message) (ids []chat.MessageID) {
	for _, m := range all {
		if t.shows(b, m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
