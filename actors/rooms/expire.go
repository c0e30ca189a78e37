package rooms

import (
	"context"
	"errors"
	"time"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Expire deletes a chat if nothing was recorded in it since before, and reports
// whether it did. With unused it keeps a chat that has members or an open turn.
// The members are told that the chat was deleted.
func (r *Rooms) Expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) (deleted bool, err error) {
	reply, err := r.ask(ctx, id, chat.User{}, func(c room.Caller) room.Command {
		return &room.Expire{Caller: c, Before: before, Unused: unused}
	})
	var refusal *chat.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == chat.CodeNotFound:
		return false, nil // a user has deleted it
	case err != nil:
		return false, err
	}
	_, deleted = reply.Body.(room.Deleted)
	return deleted, nil
}
