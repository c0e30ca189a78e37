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
	type outcome struct {
		mark persistence.Mark
		err  error
	}
	done := make(chan outcome, 1)
	f.log.Mark(string(info.Room), string(u.ID), list, persistence.MarkChange(c), func(m persistence.Mark, err error) { done <- outcome{m, err} })
	var now outcome
	select {
	case now = <-done:
	case <-ctx.Done():
		return chat.Mark{}, ctx.Err()
	}
	switch {
	case errors.Is(now.err, persistence.ErrPinQuota):
		return chat.Mark{}, chat.Refuse(chat.CodeQuotaExceeded, "you have pinned as many chats as one may")
	case errors.Is(now.err, persistence.ErrFolderQuota):
		return chat.Mark{}, chat.Refuse(chat.CodeQuotaExceeded, "you have as many folders as one may")
	case now.err != nil:
		return chat.Mark{}, f.queries.Unwritable(now.err)
	}
	f.tellMark(ctx, u, info)
	return chat.Mark(now.mark), nil
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
	done := make(chan error, 1)
	f.log.MarkRead(string(id), string(u.ID), min(seq, last), func(err error) { done <- err })
	select {
	case err = <-done:
	case <-ctx.Done():
		return left, ctx.Err()
	}
	if err != nil {
		return left, f.queries.Unwritable(err)
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
