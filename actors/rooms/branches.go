package rooms

import (
	"context"
	"iter"
	"slices"

	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// branched is the branches of a conversation up to record seq. It is remembered, so that
// queries need not read all records behind the last snapshot of a room. Those may be many:
// an imported chat has no snapshot, and a snapshot in an older format is not read.
type branched struct {
	seq      uint64
	branches chat.Branches
}

// branches returns the branches of a conversation, as far as they are on disk.
func (r *Rooms) branches(ctx context.Context, read *read, info chat.Info) (chat.Branches, error) {
	known, ok := r.edits.of(info)
	if !ok {
		seq, branches, err := room.SavedBranches(r.log, info.Room)
		if err != nil {
			return chat.Branches{}, err
		}
		known = branched{seq, branches}
	}
	for entry, err := range paced(ctx, read, r.log.Read(string(info.Room), known.seq)) {
		if err == nil {
			known.seq = entry.Seq
			known.branches, err = known.branches.Add(entry.Seq, entry.Data)
		}
		if err != nil {
			return chat.Branches{}, err
		}
	}
	r.edits.keep(info, known, known.branches.Len())
	return known.branches, nil
}

// path returns the branch that leads through a message, or the current one if that is empty.
func (r *Rooms) path(branches chat.Branches, id chat.RoomID, through chat.MessageID) (chat.Path, error) {
	if through == "" {
		return branches.Current(), nil
	}
	seq, ok, err := r.log.Message(string(id), string(through))
	if err != nil {
		return chat.Path{}, err
	}
	var m chat.Message
	if ok {
		m, err = conversation.MessageOf(context.Background(), r.log.Read(string(id), seq-1))
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
func (r *Rooms) back(ctx context.Context, read *read, id chat.RoomID, path chat.Path, before uint64) iter.Seq2[persistence.Entry, error] {
	return paced(ctx, read, conversation.Back(path, before, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return r.log.ReadBack(string(id), before)
	}))
}

// siblings returns a function that names, beside a message, its other versions.
func (r *Rooms) siblings(id chat.RoomID, branches chat.Branches) func(*chat.Message) error {
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
			id, err := r.idOf(id, seq)
			if err != nil {
				return err
			}
			m.Siblings.IDs = append(m.Siblings.IDs, id)
		}
		return nil
	}
}

// idOf returns the id of the message that a record holds.
func (r *Rooms) idOf(id chat.RoomID, seq uint64) (chat.MessageID, error) {
	for entry, err := range r.log.Read(string(id), seq-1) {
		if err != nil {
			return "", err
		}
		return chat.MessageIn(entry.Seq, entry.Data)
	}
	return "", nil
}
