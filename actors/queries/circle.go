package queries

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

// Circle returns the users who are members of a chat that the user may read, with the user.
func (q *Queries) Circle(ctx context.Context, u chat.User) (chat.Circle, error) {
	scope, refusal := q.Access.Scope(u, access.List)
	if refusal != nil {
		return chat.Circle{}, refusal
	}
	if scope.All {
		return chat.Circle{All: true}, nil
	}
	found := map[chat.UserID]bool{u.ID: true}
	err := q.query(ctx, u, func(*read) error {
		return q.eachChat(string(scope.User), maxCircleChats, func(info chat.Info) {
			for _, m := range info.Everybody() {
				found[m.ID] = true
			}
		})
	})
	return chat.Circle{Users: slices.Sorted(maps.Keys(found))}, err
}
