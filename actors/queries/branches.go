package queries

import (
	"context"
	"iter"
	"slices"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// trees finds the branches of conversations, and reads along them.
type trees struct {
	log   Log
	edits memo[branched]
}

// branched is the branches of a conversation up to record seq. It is remembered, so that
// queries need not read all records behind the last snapshot of a room. Those may be many:
// an imported chat has no snapshot, and a snapshot in an older format is not read.
type branched struct {
	seq      uint64
	branches chat.Branches
}

// of returns the branches of a conversation, as far as they are on disk.
func (t *trees) of(ctx context.Context, read *read, info chat.Info) (chat.Branches, error) {
	known, ok := t.edits.of(info)
	if !ok {
		var err error
		if known, err = t.saved(info.Room); err != nil {
			return chat.Branches{}, err
		}
	}
	for entry, err := range paced(ctx, read, t.log.Read(string(info.Room), known.seq)) {
		if err == nil {
			known.seq = entry.Seq
			known.branches, err = known.branches.Add(entry.Seq, entry.Data)
		}
		if err != nil {
			return chat.Branches{}, err
		}
	}
	t.edits.keep(info, known, known.branches.Len())
	return known.branches, nil
}

// saved returns the branches of a conversation up to its last snapshot, if there is one.
func (t *trees) saved(id chat.RoomID) (branched, error) {
	seq, b, err := t.log.Snapshot(string(id))
	if err != nil {
		return branched{}, err
	}
	state, ok := conversation.DecodeState(seq, b)
	if !ok {
		return branched{}, nil
	}
	return branched{seq, state.Branches}, nil
}

// path returns the branch that leads through a message, or the current one if that is empty.
func (t *trees) path(ctx context.Context, branches chat.Branches, id chat.RoomID, through chat.MessageID) (chat.Path, error) {
	if through == "" {
		return branches.Current(), nil
	}
	seq, ok, err := t.log.Message(string(id), string(through))
	if err != nil {
		return chat.Path{}, err
	}
	var m chat.Message
	if ok {
		m, err = conversation.MessageOf(ctx, t.log.Read(string(id), seq-1))
	}
	if err != nil {
		return chat.Path{}, err
	}
	path, _, ok := branches.Through(m)
	if m.ID == "" || !ok {
		return chat.Path{}, conversation.ErrNoSuch
	}
	return path, nil
}

// back yields the entries of a path, newest first.
func (t *trees) back(ctx context.Context, read *read, id chat.RoomID, path chat.Path, before uint64) iter.Seq2[persistence.Entry, error] {
	return paced(ctx, read, conversation.Back(path, before, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return t.log.ReadBack(string(id), before)
	}))
}

// siblings returns a function that names, beside a message, its other versions.
func (t *trees) siblings(id chat.RoomID, branches chat.Branches) func(*chat.Message) error {
	versionsOf := branches.Versions()
	return func(m *chat.Message) error {
		versions := versionsOf(*m)
		place := slices.Index(versions, m.Seq)
		if place < 0 {
			return nil
		}
		m.Siblings = &chat.Siblings{Place: place + 1, Count: len(versions)}
		from := max(0, min(place-chat.MaxSiblings/2, len(versions)-chat.MaxSiblings))
		for _, seq := range versions[from:min(len(versions), from+chat.MaxSiblings)] {
			id, err := t.idOf(id, seq)
			if err != nil {
				return err
			}
			m.Siblings.IDs = append(m.Siblings.IDs, id)
		}
		return nil
	}
}

// idOf returns the id of the message that a record holds.
func (t *trees) idOf(id chat.RoomID, seq uint64) (chat.MessageID, error) {
	for entry, err := range t.log.Read(string(id), seq-1) {
		if err != nil {
			return "", err
		}
		return chat.MessageIn(entry.Seq, entry.Data)
	}
	return "", nil
}
