package rooms

import (
	"context"
	"errors"
	"fmt"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// handoverPage is how many chats are looked up at once.
const handoverPage = 50

// HandOver gives to what from is in all chats, and how far from has read in them. It goes on
// behind a chat that cannot be changed, and returns what was wrong with those. It may be
// called again: what is done stays done.
func (r *Rooms) HandOver(ctx context.Context, from, to chat.UserID) error {
	var failed []error
	for ctx.Err() == nil {
		rows, _, err := r.log.Chats(string(from), len(failed), handoverPage)
		if err != nil {
			return r.unreadable(err)
		}
		if len(rows) == 0 {
			return errors.Join(failed...)
		}
		for _, row := range rows {
			if err := r.handOver(ctx, chat.RoomID(row.Room), from, to); err != nil {
				failed = append(failed, fmt.Errorf("room %s: %w", row.Room, err))
			}
		}
	}
	return ctx.Err()
}

func (r *Rooms) handOver(ctx context.Context, id chat.RoomID, from, to chat.UserID) error {
	_, err := r.ask(ctx, id, chat.User{}, func(c room.Caller) room.Command {
		return &room.Reassign{Caller: c, From: from, To: to}
	})
	if err != nil {
		return err
	}
	seq, err := r.log.ReadUpTo(string(id), string(from))
	if err != nil || seq == 0 {
		return err
	}
	done := make(chan error, 1)
	r.log.MarkRead(string(id), string(to), seq, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
