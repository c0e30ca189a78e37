package rooms

import (
	"context"
	"slices"
	"sort"

	"parlor/actors/access"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// maxUnreadRecords is how many records are read to count messages. Fewer than
// [chat.MaxUnread] may be among them.
const maxUnreadRecords = 1000

// A tail is the newest messages of a chat, as far as they count as unread.
type tail struct {
	last uint64 // record
	said []said // newest first
}

// said is a message: by whom, and whom it names. An answer is by nobody.
type said struct {
	seq      uint64
	author   chat.UserID
	mentions []chat.UserID
}

// tailOf reads the newest messages of a chat, those behind record after.
func (r *Rooms) tailOf(id chat.RoomID, after uint64) (t tail, err error) {
	n := 0
	for entry, err := range r.log.ReadBack(string(id), 0) {
		if err != nil {
			return t, err
		}
		if t.last = max(t.last, entry.Seq); entry.Seq <= after || n == maxUnreadRecords || len(t.said) == chat.MaxUnread {
			break
		}
		n++
		if !chat.HoldsMessage(entry.Data) {
			continue
		}
		s, err := saidIn(entry)
		if err != nil {
			return t, err
		}
		t.said = append(t.said, s)
	}
	return t, nil
}

func saidIn(entry persistence.Entry) (said, error) {
	s := said{seq: entry.Seq}
	if !chat.Says(entry.Data) {
		return s, nil
	}
	record, err := chat.DecodeRecord(entry.Seq, entry.Data)
	if m, ok := record.Event.(chat.MessageAdded); ok {
		s.author, s.mentions = m.Author.ID, m.Mentions
	}
	return s, err
}

// unread counts what a user who has read the records up to seq has not read.
func (t tail) unread(u chat.UserID, seq uint64) chat.Unread {
	counts := chat.Unread{LastSeq: t.last}
	behind := sort.Search(len(t.said), func(i int) bool { return t.said[i].seq <= seq })
	for _, s := range t.said[:behind] {
		if s.author == u && u != "" {
			continue
		}
		counts.Unread++
		if slices.Contains(s.mentions, u) {
			counts.Mentions++
		}
	}
	return counts
}

// Unread returns what the user has not read of chats that the user may read, in their
// order.
func (r *Rooms) Unread(ctx context.Context, u chat.User, chats []chat.Info) (all []chat.Unread, err error) {
	err = r.query(ctx, u, func(*read) error {
		for _, info := range chats {
			if r.options.Access.Check(info, u, access.Read) != nil {
				all = append(all, chat.Unread{})
				continue
			}
			counts, err := r.unreadOf(u.ID, info.Room)
			if err != nil {
				return err
			}
			all = append(all, counts)
		}
		return nil
	})
	return all, err
}

func (r *Rooms) unreadOf(u chat.UserID, id chat.RoomID) (chat.Unread, error) {
	seq, err := r.log.ReadUpTo(string(id), string(u))
	if err != nil {
		return chat.Unread{}, err
	}
	t, err := r.tailOf(id, seq)
	return t.unread(u, seq), err
}

// MarkRead notes that the user has read a chat up to record seq, and tells the user's
// other connections. It returns what is left.
func (r *Rooms) MarkRead(ctx context.Context, u chat.User, id chat.RoomID, seq uint64) (left chat.Unread, err error) {
	info, err := r.info(u, id)
	if err != nil {
		return left, err
	}
	last, err := r.log.Last(string(id))
	if err != nil {
		return left, r.unreadable(err)
	}
	done := make(chan error, 1)
	r.log.MarkRead(string(id), string(u.ID), min(seq, last), func(err error) { done <- err })
	select {
	case err = <-done:
	case <-ctx.Done():
		return left, ctx.Err()
	}
	if err != nil {
		return left, r.unwritable(err)
	}
	err = r.query(ctx, u, func(*read) error {
		left, err = r.unreadOf(u.ID, id)
		return err
	})
	if err == nil {
		r.feed.hasRead(u, info, left)
	}
	return left, err
}
