package queries

import (
	"context"
	"iter"
	"slices"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// MaxHistoryBytes limits a page of [Queries.History], in bytes of JSON. A session may
// queue no more than so much for its client, so a page must not be larger.
const MaxHistoryBytes = 128 << 10

// History returns a page of a conversation, oldest message first: the newest
// messages before the record before, or the newest of all if before is 0. A page
// has up to limit messages and [MaxHistoryBytes], but at least one message. History
// also reports whether there are older messages. It is of the current branch.
func (q *Queries) History(ctx context.Context, u chat.User, id chat.RoomID, before uint64, limit int) ([]chat.Message, bool, error) {
	return q.HistoryOf(ctx, u, id, "", before, limit)
}

// HistoryOf is the History of the branch that leads through a message, or of the current
// one if that is empty. It fails with a [chat.Error] if there is no such message.
func (q *Queries) HistoryOf(ctx context.Context, u chat.User, id chat.RoomID, branch chat.MessageID, before uint64, limit int) (messages []chat.Message, more bool, err error) {
	err = q.query(ctx, u, func(read *read) error {
		info, err := q.Info(u, id)
		if err != nil {
			return err
		}
		branches, err := q.trees.of(ctx, read, info)
		if err != nil {
			return err
		}
		path, err := q.trees.path(ctx, branches, id, branch)
		if err != nil {
			return err
		}
		p := page{limit, MaxHistoryBytes, q.trees.siblings(id, branches)}
		messages, more, err = p.collect(q.trees.back(ctx, read, id, path, before), path)
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
func (q *Queries) Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return q.MessagesOf(ctx, u, id, "", before, limit)
}

// MessagesOf is the Messages of the branch that leads through a message, or of the current
// one if that is empty.
func (q *Queries) MessagesOf(ctx context.Context, u chat.User, id chat.ID, branch chat.MessageID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		first, path, branches, err := q.firstOf(ctx, u, id.Room(), branch, before, limit)
		if err != nil {
			yield(chat.Message{}, err)
			return
		}
		complete := q.trees.siblings(id.Room(), branches)
		read := func(after uint64) iter.Seq2[persistence.Entry, error] { return q.Log.Read(string(id.Room()), after) }
		for record, err := range q.stream(ctx, u, conversation.Forward(path, first, read), chat.HoldsMessage) {
			if before > 0 && record.Seq >= before {
				return
			}
			m, ok := record.Message()
			if err == nil && (!ok || path.Hides(record)) {
				continue
			}
			if err == nil {
				err = q.failed(ctx, complete(&m))
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// Records yields the records of a room that follow record after. It does not ask
// for access: the caller is a listener that the room has just admitted. The loop may
// be slow, as with Messages. It ends after an error.
func (q *Queries) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return q.stream(ctx, u, q.Log.Read(string(id), after), func([]byte) bool { return true })
}

// stream decodes and yields the wanted entries. It reads them in batches, and gives
// up its place at the gate while it yields a batch.
func (q *Queries) stream(ctx context.Context, u chat.User, entries iter.Seq2[persistence.Entry, error], wanted func([]byte) bool) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		read, err := q.reads.enter(ctx, u.ID)
		if err != nil {
			yield(chat.Record{}, q.failed(ctx, err))
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
				yield(chat.Record{}, q.failed(ctx, err))
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
// begins, and the branch that it is of.
func (q *Queries) firstOf(ctx context.Context, u chat.User, id chat.RoomID, branch chat.MessageID, before uint64, limit int) (first uint64, path chat.Path, branches chat.Branches, err error) {
	err = q.query(ctx, u, func(read *read) error {
		info, err := q.Info(u, id)
		if err != nil {
			return err
		}
		if branches, err = q.trees.of(ctx, read, info); err != nil {
			return err
		}
		if path, err = q.trees.path(ctx, branches, id, branch); err != nil {
			return err
		}
		first, err = oldest(q.trees.back(ctx, read, id, path, before), limit, path)
		return err
	})
	return first, path, branches, err
}

// oldest counts limit messages in entries that come newest first, and returns the
// number of the last of them.
func oldest(entries iter.Seq2[persistence.Entry, error], limit int, path chat.Path) (seq uint64, err error) {
	seq = 1
	for entry, err := range entries {
		switch {
		case err != nil:
			return 0, err
		case !chat.HoldsMessage(entry.Data):
			continue
		}
		if path.Chooses(entry.Seq) {
			if record, err := chat.DecodeRecord(entry.Seq, entry.Data); err != nil || path.Hides(record) {
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
type page struct {
	messages, bytes int
	complete        func(*chat.Message) error // adds what a record does not say
}

// collect takes messages from entries that come newest first, and reports whether
// there are more.
func (p page) collect(entries iter.Seq2[persistence.Entry, error], path chat.Path) (messages []chat.Message, more bool, err error) {
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
		if !ok || path.Hides(record) {
			continue
		}
		if err := p.complete(&m); err != nil {
			return nil, false, err
		}
		size += m.EncodedLen() + len(",")
		if len(messages) == p.messages || len(messages) > 0 && size > p.bytes {
			return messages, true, nil
		}
		messages = append(messages, m)
	}
	return messages, false, nil
}
