package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// ErrBranches refuses one branch more than a chat may have.
var ErrBranches = chat.Refuse(chat.CodeQuotaExceeded, "the chat has as many branches as one may have")

// branched returns why the conversation may not branch once more, or nil.
func (m Moment) branched() *chat.Error {
	if m.MaxBranches > 0 && m.Branches.Len() >= m.MaxBranches {
		return ErrBranches
	}
	return nil
}

// Select plans that the conversation goes on with the newest branch that leads through a
// message or an answer. It returns nil if it does so already. Turns that are open belong to
// the branches of their prompts, and go on.
func (m Moment) Select(target chat.Message, by chat.UserID, client chat.ClientID) ([]chat.Event, *chat.Error) {
	if target.ID == "" {
		return nil, ErrNoSuch
	}
	path, end, ok := m.Branches.Through(target)
	switch {
	case !ok:
		return nil, ErrNoSuch
	case end == 0:
		return nil, nil
	}
	return []chat.Event{chat.BranchSelected{
		MessageID: target.ID, After: end, From: m.Branches.Current().Diverges(path), By: by, ClientID: client,
	}}, m.branched()
}

// goOn selects a branch that ends with a message or an answer, for what a user is about to say
// behind that. It returns nil if the current one does.
func (m Moment) goOn(from chat.Message, by chat.UserID) ([]chat.Event, *chat.Error) {
	end, current, ok := m.Branches.Behind(from)
	switch {
	case from.ID == "" || !ok:
		return nil, ErrNoSuch
	case current:
		return nil, nil
	}
	selected := chat.BranchSelected{MessageID: from.ID, After: end, By: by}
	path := m.Branches.After(chat.Record{Seq: m.Seq + 1, Event: selected}).Current()
	selected.From = m.Branches.Current().Diverges(path)
	return []chat.Event{selected}, m.branched()
}

// back selects the branch that was left for an answer that was to be given anew, if that
// has ended without a text: nobody could find what followed the answer before.
func (m Moment) back(end chat.TurnEnded) []chat.Event {
	if end.Content != "" {
		return nil
	}
	open := func(version uint64) bool {
		return slices.ContainsFunc(m.Turns, func(t chat.Turn) bool { return t.Version == version })
	}
	path, after, ok := m.Branches.Back(end.Version, open)
	if !ok {
		return nil
	}
	return []chat.Event{chat.BranchSelected{MessageID: end.Prompt, After: after, From: m.Branches.Current().Diverges(path)}}
}

// PathOf returns the branch of which the prompt of a turn is made: that of the message
// which it answers, whichever is the current one. A message that is not written down yet
// goes on from the current branch.
func (s *State) PathOf(t chat.Turn) chat.Path {
	if t.PromptSeq == 0 || s.Branches.Shows(t.PromptSeq) {
		return s.Branches.Current()
	}
	if path, _, ok := s.Branches.Through(chat.Message{Seq: t.PromptSeq}); ok {
		return path
	}
	return s.Branches.Current()
}
