package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// writeState writes the room's snapshot, which saves reading the whole log, and
// the text of the running turn, which a crash must not lose.
func (c *Commit) writeState(tx *bolt.Tx) error {
	if c.Snapshot != nil {
		seq := binary.BigEndian.AppendUint64(nil, c.After+uint64(len(c.Entries)))
		key := []byte(c.Room)
		if err := replaceValue(tx, bucketSnapshots, key, append(seq, c.Snapshot...)); err != nil {
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
	return putWords(tx, bucketTexts, logKey(c.Room, uint64(c.TextAt)), c.Text)
}

func deleteState(tx *bolt.Tx, room string) error {
	if err := deleteValue(tx, bucketSnapshots, []byte(room)); err != nil {
		return err
	}
	_, err := deletePrefix(tx.Bucket(bucketTexts), prefix(room))
	return err
}

// Snapshot returns the last snapshot of the room and the number of the last
// entry that it includes. It returns zero and nil if there is no snapshot or if
// it is damaged: the log holds the same.
func (r *Reader) Snapshot(room string) (seq uint64, state []byte, err error) {
	if err := checkRoom(room); err != nil {
		return 0, nil, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		seq, state, err = getSnapshot(tx, room)
		state = bytes.Clone(state)
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		r.disk.log.Error("a snapshot cannot be read", "room", room, "err", err)
		return 0, nil, nil
	}
	return seq, state, err
}

func getSnapshot(tx *bolt.Tx, room string) (seq uint64, state []byte, err error) {
	v := tx.Bucket(bucketSnapshots).Get([]byte(room))
	if v == nil {
		return 0, nil, nil
	}
	if v, err = valueIn(tx, bucketSnapshots, []byte(room), v); err != nil {
		return 0, nil, err
	}
	if len(v) < 8 {
		return 0, nil, fmt.Errorf("%w: a snapshot of %d bytes", ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), v[8:], nil
}

// Text returns the part of the running turn's answer that was kept. With an
// error it returns what comes before the damage.
func (r *Reader) Text(room string) (text []byte, err error) {
	if err := checkRoom(room); err != nil {
		return nil, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		text, err = getText(tx, room)
		return err
	})
	return text, err
}

func getText(tx *bolt.Tx, room string) (text []byte, err error) {
	p := prefix(room)
	c := tx.Bucket(bucketTexts).Cursor()
	for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
		piece, err := unsealWords(tx, bucketTexts, k, v)
		if err == nil && !bytes.Equal(k, logKey(room, uint64(len(text)))) {
			err = fmt.Errorf("%w: a piece is missing", ErrCorrupt)
		}
		if err != nil {
			return text, fmt.Errorf("text of the running turn of room %q: %w", room, err)
		}
		text = append(text, piece...)
	}
	return text, nil
}
