package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// addRead leads from version 6 to 7. Until then nobody knew what users had read.
func addRead(tx *bolt.Tx) error { return createBuckets(tx, bucketRead) }

// MarkRead queues the note that the user has read the room's entries up to seq, and
// returns. A user never has read less than before. done is called as [Store.Append] calls
// it, with [ErrNotFound] if the room has no row among the chats.
func (s *Writes) MarkRead(room, user string, seq uint64, done func(error)) {
	size := requestOverhead + len(room) + len(user)
	c := &markRead{room, user, seq}
	s.enqueue(&request{change: c, size: size, err: c.check(), done: done})
}

func (c *markRead) apply(tx *bolt.Tx) error {
	room, seq := c.room, c.seq
	if !has(tx.Bucket(bucketChats), []byte(room)) {
		return fmt.Errorf("%w: chat of room %q", ErrNotFound, room)
	}
	key := nameKey(room, c.user)
	if before, err := readUpTo(tx, key); err == nil && before >= seq {
		return nil
	}
	return tx.Bucket(bucketRead).Put(key, seal(key, binary.BigEndian.AppendUint64(nil, seq)))
}

// readUpTo returns what markRead has noted, or 0.
func readUpTo(tx *bolt.Tx, key []byte) (uint64, error) {
	v := tx.Bucket(bucketRead).Get(key)
	if v == nil {
		return 0, nil
	}
	return unsealSeq(key, v)
}

// ReadUpTo returns the number of the last entry of the room that the user has read, zero
// for none.
func (r *Reader) ReadUpTo(room, user string) (seq uint64, err error) {
	if err := errors.Join(checkRoom(room), checkOwner(user)); err != nil {
		return 0, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		seq, err = readUpTo(tx, nameKey(room, user))
		if err != nil {
			return fmt.Errorf("what a user has read of room %q: %w", room, err)
		}
		return nil
	})
	return seq, err
}
