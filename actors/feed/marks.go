package feed

import (
	"context"
	"errors"

	"parlor/actors/queries"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Mark changes what the user has noted of a chat that the user may read, and tells the
// user's connections that watch.
func (f *Feed) Mark(ctx context.Context, u chat.User, id chat.ID, c chat.MarkChanges) (chat.Mark, error) {
	c, refusal := c.Valid()
	if refusal != nil {
		return chat.Mark{}, refusal
	}
	info, err := f.queries.Get(ctx, u, id)
	if err != nil {
		return chat.Mark{}, err
	}
	list, refusal := f.queries.ListOf(u)
	if refusal != nil {
		return chat.Mark{}, refusal
	}
	var now persistence.Mark
	err = persistence.Wait(ctx, func(done func(error)) {
		f.log.Mark(string(info.Room), string(u.ID), list, persistence.MarkChange(c), func(m persistence.Mark, err error) {
			now = m
			done(err)
		})
	})
	switch {
	case errors.Is(err, persistence.ErrPinQuota):
		return chat.Mark{}, chat.Refuse(chat.CodeQuotaExceeded, "you have pinned as many chats as one may")
	case errors.Is(err, persistence.ErrFolderQuota):
		return chat.Mark{}, chat.Refuse(chat.CodeQuotaExceeded, "you have as many folders as one may")
	case err != nil:
		return chat.Mark{}, f.queries.Unwritable(ctx, err)
	}
	f.tellMark(ctx, u, info)
	return chat.Mark(now), nil
}

// tellMark tells the user's connections that watch. The mark is kept, so a failure to tell
// it is logged and no more.
func (f *Feed) tellMark(ctx context.Context, u chat.User, info chat.Info) {
	if !f.watched(u.ID) {
		return
	}
	_ = f.queries.Query(ctx, u, func() error {
		mine, err := f.queries.MineOf(u.ID, info)
		if err == nil {
			f.tellUser(u.ID, info, mine)
		}
		return err
	})
}

// MarkRead notes that the user has read a chat up to record seq, and tells the user's
// other connections. It returns what is left.
func (f *Feed) MarkRead(ctx context.Context, u chat.User, id chat.RoomID, seq uint64) (left chat.Unread, err error) {
	info, err := f.queries.Info(u, id)
	if err != nil {
		return left, err
	}
	last, err := f.log.Last(string(id))
	if err != nil {
		return left, f.queries.Unreadable(err)
	}
	err = persistence.Wait(ctx, func(done func(error)) { f.log.MarkRead(string(id), string(u.ID), min(seq, last), done) })
	if err != nil {
		return left, f.queries.Unwritable(ctx, err)
	}
	var now queries.Mine
	err = f.queries.Query(ctx, u, func() error {
		now, err = f.queries.MineOf(u.ID, info)
		return err
	})
	if err == nil {
		f.tellUser(u.ID, info, now)
	}
	return now.Left, err
}
