package room

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// ChatRow returns the row that lists a chat.
func ChatRow(info chat.Info) persistence.Chat {
	b, err := json.Marshal(info)
	if err != nil {
		panic("room: encode a chat's row: " + err.Error())
	}
	return persistence.Chat{Room: string(info.Room), Owner: string(info.Owner), Created: info.Created, Info: b}
}

// ReadRow reads what [ChatRow] wrote.
func ReadRow(row persistence.Chat) (chat.Info, error) {
	var info chat.Info
	if err := json.Unmarshal(row.Info, &info); err != nil {
		return chat.Info{}, fmt.Errorf("decode the row of room %q: %w", row.Room, err)
	}
	return info, nil
}

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

// message returns the message that record seq of the room holds, of which it is
// known that it is on disk; another record has none.
func message(ctx context.Context, log Log, id chat.RoomID, seq uint64) (m chat.Message, err error) {
	for record, err := range Records(ctx, log.Read(string(id), seq-1)) {
		m, _ = record.Message()
		return m, err
	}
	return m, nil
}

func (r *Room) message(seq uint64) (chat.Message, error) {
	return message(context.Background(), r.Log, r.id, seq)
}
