package queries

import (
	"context"
	"time"

	"parlor/protocol/chat"
)

// Since returns the place of the last record that was made before a time, and the place at
// the end of the chat. The user may read the chat.
func (q *Queries) Since(ctx context.Context, u chat.User, id chat.RoomID, at time.Time) (before, last chat.Place, err error) {
	err = q.query(ctx, u, func(read *read) error {
		info, err := q.Info(u, id)
		if err != nil {
			return err
		}
		epoch := info.Epoch + "." + q.Log.Epoch()
		before, last = chat.Place{Epoch: epoch}, chat.Place{Epoch: epoch}
		for entry, err := range paced(ctx, read, q.Log.ReadBack(string(id), 0)) {
			if err != nil {
				return err
			}
			last.Seq = max(last.Seq, entry.Seq)
			record, err := chat.DecodeRecord(entry.Seq, entry.Data)
			if err != nil {
				return err
			}
			if record.At.Before(at) {
				before.Seq = record.Seq
				break
			}
		}
		return nil
	})
	return before, last, err
}
