package queries

import (
	"context"
	"maps"
	"slices"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// chatsPage is how many chats are read at once.
const chatsPage = 100

// List returns a page of the user's chats, newest first, and the number of all of
// them. If chats are shared, these are the chats of all users.
func (q *Queries) List(ctx context.Context, u chat.User, offset, limit int) (infos []chat.Info, total int, err error) {
	list, refusal := q.ListOf(u)
	if refusal != nil {
		return nil, 0, refusal
	}
	err = q.query(ctx, u, func(*read) error {
		infos, total, err = q.list(list, offset, limit)
		return err
	})
	return infos, total, err
}

// ListOf names the list of chats that the user reads: the user's own, or that of everybody,
// whose name is empty.
func (q *Queries) ListOf(u chat.User) (string, *chat.Error) {
	scope, refusal := q.Access.Scope(u, access.List)
	return string(scope.User), refusal
}

func (q *Queries) list(owner string, offset, limit int) ([]chat.Info, int, error) {
	rows, total, err := q.Log.Chats(owner, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	infos := make([]chat.Info, 0, len(rows))
	for _, row := range rows {
		info, err := conversation.ReadRow(row)
		if err != nil {
			return nil, 0, err
		}
		infos = append(infos, info)
	}
	return infos, total, nil
}

// eachChat calls f with the newest limit chats of a list.
func (q *Queries) eachChat(list string, limit int, f func(chat.Info)) error {
	for offset := 0; offset < limit; offset += chatsPage {
		infos, total, err := q.list(list, offset, chatsPage)
		if err != nil {
			return err
		}
		for _, info := range infos {
			f(info)
		}
		if offset+chatsPage >= total {
			break
		}
	}
	return nil
}

// MarkOf returns what the user has noted of a chat that the user may read.
func (q *Queries) MarkOf(_ context.Context, u chat.User, info chat.Info) (chat.Mark, error) {
	m, err := q.Log.MarkOf(string(info.Room), string(u.ID))
	if err != nil {
		return chat.Mark{}, q.Unreadable(err)
	}
	return chat.Mark(m), nil
}

// Listed returns a page of the user's chats that the view shows, the pinned ones first,
// then newest first, and the number of all of them. If chats are shared, these are the
// chats of all users.
func (q *Queries) Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) (page []chat.Listed, total int, err error) {
	list, refusal := q.ListOf(u)
	if refusal != nil {
		return nil, 0, refusal
	}
	err = q.query(ctx, u, func(*read) error {
		rows, n, err := q.Log.MarkedChats(list, string(u.ID), persistence.View(v), offset, limit)
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
func (q *Queries) Folders(ctx context.Context, u chat.User) (folders []chat.Folder, err error) {
	list, refusal := q.ListOf(u)
	if refusal != nil {
		return nil, refusal
	}
	err = q.query(ctx, u, func(*read) error {
		counts, err := q.Log.Folders(list, string(u.ID))
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			folders = append(folders, chat.Folder{Name: name, Chats: counts[name]})
		}
		return err
	})
	return folders, err
}
