package conversation

import (
	"context"
	"iter"
	"math"
	"slices"

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

// Back yields the entries before a record in which something on the path may be, newest
// first. It passes over those of other branches, and so calls read more than once. That
// yields the entries before a record, or all if that is 0.
func Back(p chat.Path, before uint64, read func(before uint64) iter.Seq2[persistence.Entry, error]) iter.Seq2[persistence.Entry, error] {
	if before == 0 {
		before = math.MaxUint64
	}
	return func(yield func(persistence.Entry, error) bool) {
		for _, span := range slices.Backward(p.Spans()) {
			if span.From >= before {
				continue
			}
			to := min(span.To, before)
			if to == math.MaxUint64 {
				to = 0
			}
			for entry, err := range read(to) {
				if err == nil && entry.Seq < span.From {
					break
				}
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

// Forward yields the entries from a record on in which something on the path may be,
// oldest first. It calls read, which yields the entries behind a record, more than once.
func Forward(p chat.Path, from uint64, read func(after uint64) iter.Seq2[persistence.Entry, error]) iter.Seq2[persistence.Entry, error] {
	return func(yield func(persistence.Entry, error) bool) {
		for _, span := range p.Spans() {
			if span.To <= from {
				continue
			}
			for entry, err := range read(max(span.From, from) - 1) {
				if err == nil && entry.Seq >= span.To {
					break
				}
				if !yield(entry, err) || err != nil {
					return
				}
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
