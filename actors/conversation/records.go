package conversation

import (
	"context"
	"iter"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Records decodes entries of a room, and ends after an error, which is ctx's if
// that has ended.
func Records(ctx context.Context, entries iter.Seq2[persistence.Entry, error]) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		for entry, err := range entries {
			var record chat.Record
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				record, err = chat.DecodeRecord(entry.Seq, entry.Data)
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// MessageOf returns the message that the first entry holds, or none if that is
// another event, or there is no entry.
func MessageOf(ctx context.Context, entries iter.Seq2[persistence.Entry, error]) (m chat.Message, err error) {
	for record, err := range Records(ctx, entries) {
		m, _ = record.Message()
		return m, err
	}
	return m, nil
}
