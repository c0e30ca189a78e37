package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// writeState writes what spares a room the reading of its whole log, and its
// running turn's text from a crash.
func (c *Commit) writeState(tx *bolt.Tx) error {
	if c.Snapshot != nil {
		seq := binary.BigEndian.AppendUint64(nil, c.After+uint64(len(c.Entries)))
		if err := tx.Bucket(bucketSnapshots).Put([]byte(c.Room), append(seq, c.Snapshot...)); err != nil {
			return err
		}
	}
	if c.DropText {
		if _, err := deletePrefix(tx.Bucket(bucketTexts), prefix(c.Room)); err != nil {
			return err
		}
	}
	if c.Text == nil {
		return nil
	}
	return tx.Bucket(bucketTexts).Put(logKey(c.Room, uint64(c.TextAt)), c.Text)
}

func deleteState(tx *bolt.Tx, room string) error {
	if err := tx.Bucket(bucketSnapshots).Delete([]byte(room)); err != nil {
		return err
	}
	_, err := deletePrefix(tx.Bucket(bucketTexts), prefix(room))
	return err
}

// Snapshot returns the last snapshot of the room and the number of the last
// entry that it holds; zero and nil if there is none.
func (s *Store) Snapshot(room string) (seq uint64, state []byte, err error) {
	if err := checkRoom(room); err != nil {
		return 0, nil, err
	}
	err = s.disk.view(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketSnapshots).Get([]byte(room))
		if v == nil {
			return nil
		}
		if len(v) < 8 {
			return fmt.Errorf("%w: snapshot of room %q", ErrCorrupt, room)
		}
		seq, state = binary.BigEndian.Uint64(v), bytes.Clone(v[8:])
		return nil
	})
	return seq, state, err
}

// Text returns what was kept of the running turn's answer.
func (s *Store) Text(room string) (text []byte, err error) {
	if err := checkRoom(room); err != nil {
		return nil, err
	}
	err = s.disk.view(func(tx *bolt.Tx) error {
		p := prefix(room)
		c := tx.Bucket(bucketTexts).Cursor()
		for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
			if !bytes.Equal(k, logKey(room, uint64(len(text)))) {
				return fmt.Errorf("%w: text of the running turn of room %q", ErrCorrupt, room)
			}
			text = append(text, v...)
		}
		return nil
	})
	return text, err
}
