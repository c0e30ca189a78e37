package rooms

import (
	"context"
	"errors"
	"maps"
	"slices"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Mark changes what the user has noted of a chat that the user may read, and tells the
// user's connections that watch.
func (r *Rooms) Mark(ctx context.Context, u chat.User, id chat.ID, c chat.MarkChanges) (chat.Mark, error) {
	c, refusal := c.Valid()
	if refusal != nil {
		return chat.Mark{}, refusal
	}
	info, err := r.info(u, id.Room())
	if err != nil {
		return chat.Mark{}, err
	}
	list, refusal := r.listOf(u)
	if refusal != nil {
		return chat.Mark{}, refusal
	}
	type outcome struct {
		mark persistence.Mark
		err  error
	}
	done := make(chan outcome, 1)
	r.log.Mark(string(info.Room), string(u.ID), list, persistence.MarkChange(c), func(m persistence.Mark, err error) { done <- outcome{m, err} })
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
		return chat.Mark{}, r.unwritable(now.err)
	}
	r.tellMark(ctx, u, info)
	return chat.Mark(now.mark), nil
}

// tellMark tells the user's connections that watch. The mark is kept, so a failure to tell
// it is logged and no more.
func (r *Rooms) tellMark(ctx context.Context, u chat.User, info chat.Info) {
	if !r.feed.watched(u.ID) {
		return
	}
	_ = r.query(ctx, u, func(*read) error {
		mine, err := r.mineOf(u.ID, info)
		if err == nil {
			r.feed.tellUser(u.ID, info, mine)
		}
		return err
	})
}

// listOf names the list of chats that the user reads: the user's own, or that of everybody.
func (r *Rooms) listOf(u chat.User) (string, *chat.Error) {
	scope, refusal := r.options.Access.Scope(u, access.List)
	return string(scope.User), refusal
}

// MarkOf returns what the user has noted of a chat that the user may read.
func (r *Rooms) MarkOf(_ context.Context, u chat.User, info chat.Info) (chat.Mark, error) {
	m, err := r.log.MarkOf(string(info.Room), string(u.ID))
	if err != nil {
		return chat.Mark{}, r.unreadable(err)
	}
	return chat.Mark(m), nil
}

// Listed returns a page of the user's chats that the view shows, the pinned ones first,
// then newest first, and the number of all of them. If chats are shared, these are the
// chats of all users.
func (r *Rooms) Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) (page []chat.Listed, total int, err error) {
	list, refusal := r.listOf(u)
	if refusal != nil {
		return nil, 0, refusal
	}
	err = r.query(ctx, u, func(*read) error {
		rows, n, err := r.log.MarkedChats(list, string(u.ID), persistence.View(v), offset, limit)
		if err != nil {
			return err
		}
		total = n
		for _, row := range rows {
			info, err := conversation.ReadRow(row.Chat)
			if err != nil {
				return err
			}
			page = append(page, chat.Listed{Info: info, Mark: chat.Mark(row.Mark)})
		}
		return nil
	})
	return page, total, err
}

// Folders returns the user's folders, sorted by name.
func (r *Rooms) Folders(ctx context.Context, u chat.User) (folders []chat.Folder, err error) {
	list, refusal := r.listOf(u)
	if refusal != nil {
		return nil, refusal
	}
	err = r.query(ctx, u, func(*read) error {
		counts, err := r.log.Folders(list, string(u.ID))
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			folders = append(folders, chat.Folder{Name: name, Chats: counts[name]})
		}
		return err
	})
	return folders, err
}
