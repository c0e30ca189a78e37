package rooms

import (
	"context"
	"iter"
	"slices"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// MaxHistoryBytes is how long a page of [Rooms.History] may be as JSON, however
// few messages that is: what a session may queue for its client is bounded.
const MaxHistoryBytes = 128 << 10

// History returns the newest messages of a conversation before the record before, or
// of all if it is 0, oldest first: up to limit of them and [MaxHistoryBytes]. It
// also reports whether there are older ones.
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

// Messages yields up to limit of them, however long they are, while it reads
// them: for a loop that is slow only a few are in memory, and no other query
// waits. After an error it yields no more.
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

// Records yields what follows record after in a room's log, for a member that
// the room has just admitted. The loop may be slow, as with Messages. After an
// error it yields no more.
func (r *Rooms) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return r.stream(ctx, u, r.log.Read(string(id), after), func([]byte) bool { return true })
}

// stream yields the records that are wanted of the entries. It reads them in
// batches, each of which is a read, and yields them outside of that.
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

// A batch is what a stream reads before it yields that.
type batch struct {
	records []chat.Record
	bytes   int
}

const (
	batchRecords = 32
	batchBytes   = 128 << 10 // passed by one record at most
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

// flush empties the batch. It reports whether the loop wants more.
func (b *batch) flush(yield func(chat.Record, error) bool) bool {
	for _, record := range b.records {
		if !yield(record, nil) {
			return false
		}
	}
	b.records, b.bytes = b.records[:0], 0
	return true
}

// firstOf returns the number of the record that the last limit messages before
// before begin with, and what edits have taken out of the conversation.
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

// oldest returns the number of the last record that makes up limit messages,
// of entries that come newest first.
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
				continue // what cannot be decoded is told of when it is read
			}
		}
		if seq, limit = entry.Seq, limit-1; limit == 0 {
			break
		}
	}
	return seq, nil
}

// page is how much one answer may hold. One message always fits.
type page struct{ messages, bytes int }

// collect takes messages from entries that come newest first.
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
