package rooms

import (
	"context"
	"slices"
	"sort"
	"time"

	"parlor/actors/access"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Limits of what is read of a chat to count messages. When they are reached, older
// messages do not count.
const (
	maxUnreadRecords = 500
	maxUnreadBytes   = 1 << 20
)

// A tail is the newest messages of a chat, as far as they count as unread.
type tail struct {
	last uint64    // record
	at   time.Time // when that was recorded
	said []said    // newest first
}

// said is a message: by whom, and whom it names. An answer is by nobody, and its place is
// that of its question.
type said struct {
	seq      uint64
	place    uint64
	author   chat.UserID
	mentions []chat.UserID
}

// tailOf returns the newest messages of a chat. It reads those that it does not remember.
func (r *Rooms) tailOf(info chat.Info) (tail, error) {
	known, _ := r.tails.of(info)
	last, err := r.log.Last(string(info.Room))
	if err != nil || last == known.last {
		return known, err
	}
	now := tail{last: last}
	n, bytes := 0, 0
	var gone []chat.Span // that nobody sees any more
	for entry, err := range r.log.ReadBack(string(info.Room), last+1) {
		if err != nil {
			return tail{}, err
		}
		if entry.Seq <= known.last || n == maxUnreadRecords || bytes >= maxUnreadBytes || len(now.said) == chat.MaxUnread {
			break
		}
		if n == 0 {
			record, err := chat.DecodeRecord(entry.Seq, entry.Data)
			if err != nil {
				return tail{}, err
			}
			now.at = record.At
		}
		n, bytes = n+1, bytes+len(entry.Data)
		span, takes, err := chat.TakesOut(entry.Seq, entry.Data)
		if err != nil {
			return tail{}, err
		}
		if takes {
			gone = append(gone, span)
		}
		if !chat.HoldsMessage(entry.Data) {
			continue
		}
		s, err := saidIn(entry)
		if err != nil {
			return tail{}, err
		}
		now.said = append(now.said, s)
	}
	now.said = slices.DeleteFunc(append(now.said, known.said...), func(s said) bool {
		return slices.ContainsFunc(gone, func(g chat.Span) bool { return g.From <= s.place && s.place < g.To })
	})
	now.said = now.said[:min(len(now.said), chat.MaxUnread)]
	r.tails.keep(info, now, len(now.said))
	return now, nil
}

func saidIn(entry persistence.Entry) (said, error) {
	s := said{seq: entry.Seq, place: entry.Seq}
	if !chat.Says(entry.Data) {
		s.place = max(chat.PromptOf(entry.Data), 1)
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
	if !t.at.IsZero() {
		counts.LastTimestamp = chat.Timestamp(t.at)
	}
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
			counts, err := r.unreadOf(u.ID, info)
			if err != nil {
				return err
			}
			all = append(all, counts)
		}
		return nil
	})
	return all, err
}

// mine is what a chat is to one user.
type mine struct {
	left chat.Unread
	mark chat.Mark
}

func (r *Rooms) mineOf(u chat.UserID, info chat.Info) (mine, error) {
	t, err := r.tailOf(info)
	if err != nil {
		return mine{}, err
	}
	return r.mineIn(u, info, t)
}

// mineIn is mineOf with the newest messages of the chat.
func (r *Rooms) mineIn(u chat.UserID, info chat.Info, t tail) (mine, error) {
	seq, err := r.log.ReadUpTo(string(info.Room), string(u))
	if err != nil {
		return mine{}, err
	}
	mark, err := r.log.MarkOf(string(info.Room), string(u))
	return mine{t.unread(u, seq), chat.Mark(mark)}, err
}

func (r *Rooms) unreadOf(u chat.UserID, info chat.Info) (chat.Unread, error) {
	seq, err := r.log.ReadUpTo(string(info.Room), string(u))
	if err != nil {
		return chat.Unread{}, err
	}
	t, err := r.tailOf(info)
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
	var now mine
	err = r.query(ctx, u, func(*read) error {
		now, err = r.mineOf(u.ID, info)
		return err
	})
	if err == nil {
		r.feed.tellUser(u.ID, info, now)
	}
	return now.left, err
}
