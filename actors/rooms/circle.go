package rooms

import (
	"context"
	"maps"
	"slices"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Limits of what is read to find a user's circle. Those who share only older chats do not
// belong to it.
const (
	maxCircleChats = 1000
	circlePage     = 100
)

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
		for offset := 0; offset < maxCircleChats; offset += circlePage {
			infos, total, err := r.list(string(scope.User), offset, circlePage)
			if err != nil {
				return err
			}
			for _, info := range infos {
				for _, m := range info.Everybody() {
					found[m.ID] = true
				}
			}
			if offset+circlePage >= total {
				break
			}
		}
		return nil
	})
	return chat.Circle{Users: slices.Sorted(maps.Keys(found))}, err
}
