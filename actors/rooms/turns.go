package rooms

import (
	"context"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Turns returns the open turns of a chat that the user may read: first the one that runs.
func (r *Rooms) Turns(ctx context.Context, u chat.User, id chat.RoomID) ([]chat.Turn, error) {
	reply, err := r.ask(ctx, id, u, func(c room.Caller) room.Command { return &room.ListTurns{Caller: c} })
	if err != nil {
		return nil, err
	}
	return reply.Body.(room.Turns).Turns, nil
}
