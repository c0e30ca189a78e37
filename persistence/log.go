package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	bolt "go.etcd.io/bbolt"
)

// Limits of what is read of a log in one transaction. They keep a reader with a
// slow loop from holding up the writer or the reuse of pages. Reads start small,
// since many want only the newest few entries.
const (
	firstChunkEntries = 32
	maxChunkEntries   = 1024
	maxChunkBytes     = 128 << 10 // the last entry may exceed it
)

// An Entry is one recorded event of a room.
type Entry struct {
	Seq  uint64 // 1, 2, 3 … within the room, without a gap
	Data []byte // the caller's copy
}

// Read yields the entries that follow after, oldest first. It also yields
// entries that are committed while the loop runs. It yields nothing for a room
// without entries. After an error it yields no more.
//
// The loop may take its time and may use the store; it runs in no transaction.
// If the room is deleted meanwhile, Read ends early.
func (r *Reader) Read(room string, after uint64) iter.Seq2[Entry, error] {
	if after == math.MaxUint64 {
		return func(func(Entry, error) bool) {}
	}
	return r.walk(room, after+1, forward)
}

// ReadBack is Read from the newest entry to the oldest. It begins with the entry
// that precedes before; zero means from the end.
func (r *Reader) ReadBack(room string, before uint64) iter.Seq2[Entry, error] {
	if before == 1 {
		return func(func(Entry, error) bool) {}
	}
	return r.walk(room, before-1, backward) // 0 wraps to the greatest
}

// Last returns the number of the room's last entry, zero if it has none.
func (r *Reader) Last(room string) (last uint64, err error) {
	if err := checkRoom(room); err != nil {
		return 0, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		last = lastSeq(tx.Bucket(bucketLog), room)
		return nil
	})
	return last, err
}

// Lookup returns the number of the entry that an idempotency key led to.
func (r *Reader) Lookup(room, key string) (seq uint64, ok bool, err error) {
	return r.find(bucketDedup, "key", room, key)
}

// Message returns the number of the entry that holds the message.
func (r *Reader) Message(room, id string) (seq uint64, ok bool, err error) {
	return r.find(bucketMessages, "message id", room, id)
}

// find reads what [putKeys] wrote. It finds nothing under a name that no entry may have.
func (r *Reader) find(bucket []byte, kind, room, name string) (seq uint64, ok bool, err error) {
	if err := checkRoom(room); err != nil {
		return 0, false, err
	}
	if checkKey(name) != nil {
		return 0, false, nil
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		key := nameKey(room, name)
		v := tx.Bucket(bucket).Get(key)
		if v == nil {
			return nil
		}
		seq, err = unsealSeq(key, v)
		if err != nil {
			return fmt.Errorf("a %s of room %q: %w", kind, room, err)
		}
		ok = true
		return nil
	})
	return seq, ok, err
}

func unsealSeq(key, b []byte) (uint64, error) {
	v, err := unseal(key, b)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: %d bytes where 8 should be", ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

// OpenTurns returns the rooms that have an open turn, by the last of their
// commits with a Turn. The order means nothing.
func (r *Reader) OpenTurns() (rooms []string, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketTurns).ForEach(func(k, _ []byte) error {
			rooms = append(rooms, string(k))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return rooms, nil
}

// A direction is that of a walk over a log.
type direction int

const (
	forward  direction = 1
	backward direction = -1
)

func (d direction) step(c *bolt.Cursor) (key, value []byte) {
	if d == backward {
		return c.Prev()
	}
	return c.Next()
}

// walk yields the entries from number from on. A backward walk begins with the
// last entry if from is greater.
func (r *Reader) walk(room string, from uint64, d direction) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := checkRoom(room); err != nil {
			yield(Entry{}, err)
			return
		}
		for n, from := firstChunkEntries, from; ; n = min(2*n, maxChunkEntries) {
			entries, more, err := r.chunk(room, from, d, n)
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
				from = e.Seq + uint64(d)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// chunk reads up to n entries in one transaction and reports whether more follow.
func (r *Reader) chunk(room string, from uint64, d direction, n int) (entries []Entry, more bool, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		log := tx.Bucket(bucketLog)
		last, seq := lastSeq(log, room), from
		if d == backward {
			seq = min(seq, last)
		}
		more = 1 <= seq && seq <= last
		if !more {
			return nil
		}
		c := log.Cursor()
		k, v := c.Seek(logKey(room, seq))
		for size := 0; more && len(entries) < n && size < maxChunkBytes; {
			if !bytes.Equal(k, logKey(room, seq)) {
				return fmt.Errorf("%w: entry %d of room %q is missing", ErrCorrupt, seq, room)
			}
			data, err := ownValueIn(tx, bucketLog, k, v)
			if err != nil {
				return fmt.Errorf("entry %d of room %q: %w", seq, room, err)
			}
			entries = append(entries, Entry{Seq: seq, Data: data})
			size += len(data)
			seq += uint64(d)
			more = 1 <= seq && seq <= last
			k, v = d.step(c)
		}
		return nil
	})
	return entries, more, err
}

// lastSeq returns the number of the room's last entry. It is only for read
// transactions: in one that has deleted rows, Prev stops at pages that became
// empty.
func lastSeq(log *bolt.Bucket, room string) uint64 {
	p := prefix(room)
	c := log.Cursor()
	k, _ := c.Seek(append([]byte(room), 1)) // after all that begin with p
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if !bytes.HasPrefix(k, p) || len(k) != len(p)+8 {
		return 0
	}
	return binary.BigEndian.Uint64(k[len(p):])
}

// deletePrefix removes all keys that begin with p and returns their number. It
// collects them first: a cursor skips keys when rows are deleted under it.
func deletePrefix(b *bolt.Bucket, p []byte) (int, error) {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
