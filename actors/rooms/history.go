package rooms

import (
	"context"
	"iter"
	"slices"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// MaxHistoryBytes limits a page of [Rooms.History], in bytes of JSON. A session may
// queue no more than so much for its client, so a page must not be larger.
const MaxHistoryBytes = 128 << 10

// History returns a page of a conversation, oldest message first: the newest
// messages before the record before, or the newest of all if before is 0. A page
// has up to limit messages and [MaxHistoryBytes], but at least one message. History
// also reports whether there are older messages.
func (r *Rooms) History(ctx context.Context, u chat.User, id chat.RoomID, before uint64, limit int) (messages []chat.Message, more bool, err error) {
	err = r.query(ctx, u, func(read *read) error {
		info, err := r.info(u, id)
		if err != nil {
			return err
		}
		superseded, err := r.superseded(ctx, read, info)
		if err != nil {
			return err
		}
		messages, more, err = page{limit, MaxHistoryBytes}.collect(paced(ctx, read, r.log.ReadBack(string(id), before)), superseded)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	slices.Reverse(messages)
	return messages, more, nil
}

// Messages yields the same messages as History, oldest first and up to limit,
// however long they are. It reads while it yields: a slow loop has only a few of
// them in memory, and keeps no other query waiting. It ends after an error.
func (r *Rooms) Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		name := string(id.Room())
		first, superseded, err := r.firstOf(ctx, u, id.Room(), before, limit)
		if err != nil {
			yield(chat.Message{}, err)
			return
		}
		for record, err := range r.stream(ctx, u, r.log.Read(name, first-1), chat.HoldsMessage) {
			if err != nil {
				yield(chat.Message{}, err)
				return
			}
			if before > 0 && record.Seq >= before {
				return
			}
			if m, ok := record.Message(); ok && !superseded.Hides(record) && !yield(m, nil) {
				return
			}
		}
	}
}

// Records yields the records of a room that follow record after. It does not ask
// for access: the caller is a member that the room has just admitted. The loop may
// be slow, as with Messages. It ends after an error.
func (r *Rooms) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return r.stream(ctx, u, r.log.Read(string(id), after), func([]byte) bool { return true })
}

// stream decodes and yields the wanted entries. It reads them in batches, and gives
// up its place at the gate while it yields a batch.
func (r *Rooms) stream(ctx context.Context, u chat.User, entries iter.Seq2[persistence.Entry, error], wanted func([]byte) bool) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		read, err := r.reads.enter(ctx, u.ID)
		if err != nil {
			yield(chat.Record{}, r.failed(ctx, err))
			return
		}
		defer read.leave()
		var b batch
		for entry, err := range paced(ctx, read, entries) {
			if err == nil && wanted(entry.Data) {
				err = b.add(entry)
			}
			if err == nil && !b.full() {
				continue
			}
			read.leave()
			if !b.flush(yield) {
				return
			}
			if err == nil {
				err = read.resume(ctx)
			}
			if err != nil {
				yield(chat.Record{}, r.failed(ctx, err))
				return
			}
		}
		read.leave()
		b.flush(yield)
	}
}

// A batch is the records that a stream reads before it yields them.
type batch struct {
	records []chat.Record
	bytes   int
}

const (
	batchRecords = 32
	batchBytes   = 128 << 10 // the last record may exceed it
)

func (b *batch) full() bool { return len(b.records) >= batchRecords || b.bytes >= batchBytes }

func (b *batch) add(e persistence.Entry) error {
	record, err := chat.DecodeRecord(e.Seq, e.Data)
	if err != nil {
		return err
	}
	b.records, b.bytes = append(b.records, record), b.bytes+len(e.Data)
	return nil
}

// flush yields the records and empties the batch. It reports whether the loop wants
// more.
func (b *batch) flush(yield func(chat.Record, error) bool) bool {
	for _, record := range b.records {
		if !yield(record, nil) {
			return false
		}
	}
	b.records, b.bytes = b.records[:0], 0
	return true
}

// firstOf returns the number of the record with which a page of limit messages
// begins, and what edits have taken out of the conversation.
func (r *Rooms) firstOf(ctx context.Context, u chat.User, id chat.RoomID, before uint64, limit int) (first uint64, superseded chat.Superseded, err error) {
	err = r.query(ctx, u, func(read *read) error {
		info, err := r.info(u, id)
		if err != nil {
			return err
		}
		if superseded, err = r.superseded(ctx, read, info); err != nil {
			return err
		}
		first, err = oldest(paced(ctx, read, r.log.ReadBack(string(id), before)), limit, superseded)
		return err
	})
	return first, superseded, err
}

// oldest counts limit messages in entries that come newest first, and returns the
// number of the last of them.
func oldest(entries iter.Seq2[persistence.Entry, error], limit int, superseded chat.Superseded) (seq uint64, err error) {
	seq = 1
	for entry, err := range entries {
		switch {
		case err != nil:
			return 0, err
		case !chat.HoldsMessage(entry.Data):
			continue
		}
		if len(superseded) > 0 && entry.Seq >= superseded[0].From {
			if record, err := chat.DecodeRecord(entry.Seq, entry.Data); err != nil || superseded.Hides(record) {
				continue // a record that cannot be decoded is reported when it is yielded
			}
		}
		if seq, limit = entry.Seq, limit-1; limit == 0 {
			break
		}
	}
	return seq, nil
}

// A page limits one answer. One message always fits.
type page struct{ messages, bytes int }

// collect takes messages from entries that come newest first, and reports whether
// there are more.
func (p page) collect(entries iter.Seq2[persistence.Entry, error], superseded chat.Superseded) (messages []chat.Message, more bool, err error) {
	size := 0
	for entry, err := range entries {
		switch {
		case err != nil:
			return nil, false, err
		case !chat.HoldsMessage(entry.Data):
			continue
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return nil, false, err
		}
		m, ok := record.Message()
		if !ok || superseded.Hides(record) {
			continue
		}
		size += m.EncodedLen() + len(",")
		if len(messages) == p.messages || len(messages) > 0 && size > p.bytes {
			return messages, true, nil
		}
		messages = append(messages, m)
	}
	return messages, false, nil
}
