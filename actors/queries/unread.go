package queries

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

// A Tail is the newest messages of a chat, as far as they count as unread.
type Tail struct {
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

// Tail returns the newest messages of a chat. It reads those that it does not remember.
func (q *Queries) Tail(info chat.Info) (Tail, error) {
	known, _ := q.tails.of(info)
	last, err := q.Log.Last(string(info.Room))
	if err != nil || last == known.last {
		return known, err
	}
	now := Tail{last: last}
	n, bytes := 0, 0
	var gone []chat.Span // that nobody sees any more
	for entry, err := range q.Log.ReadBack(string(info.Room), last+1) {
		if err != nil {
			return Tail{}, err
		}
		if entry.Seq <= known.last || n == maxUnreadRecords || bytes >= maxUnreadBytes || len(now.said) == chat.MaxUnread {
			break
		}
		if n == 0 {
			record, err := chat.DecodeRecord(entry.Seq, entry.Data)
			if err != nil {
				return Tail{}, err
			}
			now.at = record.At
		}
		n, bytes = n+1, bytes+len(entry.Data)
		span, takes, err := chat.TakesOut(entry.Seq, entry.Data)
		if err != nil {
			return Tail{}, err
		}
		if takes {
			gone = append(gone, span)
		}
		if !chat.HoldsMessage(entry.Data) {
			continue
		}
		s, err := saidIn(entry)
		if err != nil {
			return Tail{}, err
		}
		now.said = append(now.said, s)
	}
	now.said = slices.DeleteFunc(append(now.said, known.said...), func(s said) bool {
		return slices.ContainsFunc(gone, func(g chat.Span) bool { return g.From <= s.place && s.place < g.To })
	})
	now.said = now.said[:min(len(now.said), chat.MaxUnread)]
	q.tails.keep(info, now, len(now.said))
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
func (t Tail) unread(u chat.UserID, seq uint64) chat.Unread {
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
func (q *Queries) Unread(ctx context.Context, u chat.User, chats []chat.Info) (all []chat.Unread, err error) {
	err = q.query(ctx, u, func(*read) error {
		for _, info := range chats {
			if q.Access.Check(info, u, access.Read) != nil {
				all = append(all, chat.Unread{})
				continue
			}
			counts, err := q.unreadOf(u.ID, info)
			if err != nil {
				return err
			}
			all = append(all, counts)
		}
		return nil
	})
	return all, err
}

// Mine is what a chat is to one user.
type Mine struct {
	Left chat.Unread
	Mark chat.Mark
}

// MineOf returns what a chat is to a user.
func (q *Queries) MineOf(u chat.UserID, info chat.Info) (Mine, error) {
	t, err := q.Tail(info)
	if err != nil {
		return Mine{}, err
	}
	return q.MineIn(u, info, t)
}

// MineIn is MineOf with the newest messages of the chat.
func (q *Queries) MineIn(u chat.UserID, info chat.Info, t Tail) (Mine, error) {
	seq, err := q.Log.ReadUpTo(string(info.Room), string(u))
	if err != nil {
		return Mine{}, err
	}
	mark, err := q.Log.MarkOf(string(info.Room), string(u))
	return Mine{t.unread(u, seq), chat.Mark(mark)}, err
}

func (q *Queries) unreadOf(u chat.UserID, info chat.Info) (chat.Unread, error) {
	seq, err := q.Log.ReadUpTo(string(info.Room), string(u))
	if err != nil {
		return chat.Unread{}, err
	}
	t, err := q.Tail(info)
	return t.unread(u, seq), err
}
