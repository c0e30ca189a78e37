package rooms

import (
	"context"
	"maps"
	"slices"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// maxCircleChats is how many of a user's newest chats are read to find the user's circle.
// Those who share only older ones do not belong to it.
const maxCircleChats = 1000

// chatsPage is how many chats are read at once.
const chatsPage = 100

// Circle returns the users who are members of a chat that the user may read, with the user.
func (r *Rooms) Circle(ctx context.Context, u chat.User) (chat.Circle, error) {
	scope, refusal := r.options.Access.Scope(u, access.List)
	if refusal != nil {
		return chat.Circle{}, refusal
	}
	if scope.All {
		return chat.Circle{All: true}, nil
	}
	found := map[chat.UserID]bool{u.ID: true}
	err := r.query(ctx, u, func(*read) error {
		return r.eachChat(string(scope.User), maxCircleChats, func(info chat.Info) {
			for _, m := range info.Everybody() {
				found[m.ID] = true
			}
		})
	})
	return chat.Circle{Users: slices.Sorted(maps.Keys(found))}, err
}

// eachChat calls f with the newest limit chats of a user, or of all if the user is empty.
func (r *Rooms) eachChat(user string, limit int, f func(chat.Info)) error {
	for offset := 0; offset < limit; offset += chatsPage {
		infos, total, err := r.list(user, offset, chatsPage)
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
