package chats

import (
	"context"
	"errors"
	"fmt"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// handoverPage is how many chats are looked up at once.
const handoverPage = 50

// HandOver gives to what from is in all chats, and how far from has read in them. It goes on
// behind a chat that cannot be changed, and returns what was wrong with those. It may be
// called again: what is done stays done.
func (c *Chats) HandOver(ctx context.Context, from, to chat.UserID) error {
	var failed []error
	for ctx.Err() == nil {
		rows, _, err := c.log.Chats(string(from), len(failed), handoverPage)
		if err != nil {
			return c.Unreadable(err)
		}
		if len(rows) == 0 {
			return errors.Join(failed...)
		}
		for _, row := range rows {
			if err := c.handOver(ctx, chat.RoomID(row.Room), from, to); err != nil {
				failed = append(failed, fmt.Errorf("room %s: %w", row.Room, err))
			}
		}
	}
	return ctx.Err()
}

func (c *Chats) handOver(ctx context.Context, id chat.RoomID, from, to chat.UserID) error {
	seq, err := c.log.ReadUpTo(string(id), string(from))
	if err == nil && seq > 0 {
		err = persistence.Wait(ctx, func(done func(error)) { c.log.MarkRead(string(id), string(to), seq, done) })
	}
	if err != nil {
		return err
	}
	return c.Reassign(ctx, id, from, to) // the last, since a chat that was handed over is not looked at again
}
