package persistence

import (
	"bytes"
	"cmp"
	"fmt"
	"math"

	bolt "go.etcd.io/bbolt"
)

// Rewrite queues the replacement of all that the room's log holds by what the commit has, for
// a user whose words are to be taken out of it: the user's marks, what the user has read, and
// the files with these ids go too, in the same transaction. The charges of the room become
// those of the commit. After has to be 0. No room may have the log in memory. done gets
// [ErrNotFound] if there is no such chat.
func (s *Writes) Rewrite(c Commit, user string, files []string, done func(error)) {
	r := &rewrite{c, user, files}
	s.enqueue(&request{room: c.Room, flow: c.Flow, change: r, size: c.size(), err: cmp.Or(c.check(s.limit), r.check()), done: done})
}

func (r *rewrite) check() error {
	if r.After != 0 {
		return fmt.Errorf("%w: a rewritten room begins with entry 1", ErrInvalid)
	}
	for _, id := range r.files {
		if err := checkFileID(r.Room, id); err != nil {
			return err
		}
	}
	return cmp.Or(r.Commit.check(math.MaxInt), checkOwner(r.user))
}

func (r *rewrite) apply(tx *bolt.Tx) error {
	c, user := &r.Commit, r.user
	before, err := getChat(tx, c.Room)
	if err != nil {
		return err
	}
	for _, id := range r.files {
		if err := (&deleteFile{c.Room, id}).apply(tx); err != nil {
			return err
		}
	}
	var size int64
	for _, bucket := range [][]byte{bucketLog, bucketDedup, bucketMessages} {
		size += bytesBelow(tx, bucket, prefix(c.Room))
		if _, err := deleteValues(tx, bucket, prefix(c.Room)); err != nil {
			return err
		}
	}
	if err := addToShare(tx, before.Owner, Share{0, -size}); err != nil {
		return err
	}
	if _, err := dropCharges(tx, c.Room); err != nil {
		return err
	}
	if err := deleteState(tx, c.Room); err != nil {
		return err
	}
	if err := dropMark(tx, c.Room, user); err != nil {
		return err
	}
	if err := tx.Bucket(bucketRead).Delete(nameKey(c.Room, user)); err != nil {
		return err
	}
	return c.write(tx, Quota{})
}

// ForgetUser queues the removal of what is kept of a user outside of rooms: what the user has
// cost in chats that were deleted, and what the user has read in chats without being in them.
// Rooms must have been rewritten before.
func (s *Writes) ForgetUser(user string, done func(error)) {
	c := &forgetUser{user}
	s.enqueue(&request{change: c, size: requestOverhead + len(user), err: c.check(), done: done})
}

func (c *forgetUser) check() error {
	if c.user == "" {
		return fmt.Errorf("%w: a user without a name", ErrInvalid)
	}
	return checkOwner(c.user)
}

func (c *forgetUser) apply(tx *bolt.Tx) error {
	if _, err := deletePrefix(tx.Bucket(bucketUsage), prefix(c.user)); err != nil {
		return err
	}
	return deleteSuffix(tx.Bucket(bucketRead), append([]byte{0}, c.user...))
}

// deleteSuffix removes the rows whose keys end so. It walks over all.
func deleteSuffix(b *bolt.Bucket, suffix []byte) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if bytes.HasSuffix(k, suffix) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
