package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Limits of one transaction of a [Store.Reencrypt]. What people say meanwhile waits for one
// such transaction at most.
const (
	reencryptRows  = 1000
	reencryptBytes = 256 << 10 // the last value may exceed it
)

// reencryptPause is the time after which a step is tried again that failed.
const reencryptPause = time.Second

// keyReencrypting is where a rewriting goes on; absent once it is done. It is the number of
// damaged values so far, the name of a bucket, 0x00, and the last key that was rewritten.
var keyReencrypting = []byte("reencrypting")

// Reencrypt writes all values anew: with a new data key, or not encrypted at all if plain is
// true. The file must be encrypted, see [Store.SetKeys]. It is done in many short
// transactions, in turns with those of others. After a crash it goes on with the next
// [Open]. ended gets how many damaged values were left as they are: then the old data keys
// stay in the file, too. It gets [ErrClosed] if the store is closed before the end, or a
// later call has taken over, and may be nil. done is called as [Store.Append] calls it, when the beginning is durable.
//
// If such a rewriting is under way it goes on, and another one takes the place of one that is
// not.
func (s *Store) Reencrypt(plain bool, done func(error), ended func(damaged int, err error)) {
	var keys *fileKeys
	write := func(tx *bolt.Tx) (err error) {
		keys, err = beginReencrypt(tx, s.disk.keys.Load(), plain)
		return err
	}
	s.enqueue(&request{change: local(write), size: requestOverhead, done: func(err error) {
		if err == nil {
			s.disk.setKeys(keys)
			s.goOnReencrypting(ended)
		}
		done(err)
	}})
}

func beginReencrypt(tx *bolt.Tx, known *fileKeys, plain bool) (*fileKeys, error) {
	if known == nil {
		return nil, fmt.Errorf("%w: the file is not encrypted", ErrNotFound)
	}
	record, _, err := openRecord(tx, known.ring)
	switch {
	case err != nil:
		return nil, err
	case record == nil:
		return nil, fmt.Errorf("%w: the file is not encrypted", ErrNotFound)
	case plain == (record.Write == 0) && has(tx.Bucket(bucketMeta), keyReencrypting):
		return known, nil
	case plain:
		record.Write, record.Plain = 0, true
	default:
		err = record.addKey(known)
	}
	if err == nil {
		err = putRecord(tx, known.ring, record)
	}
	if err == nil {
		err = tx.Bucket(bucketMeta).Put(keyReencrypting, makeNote(wordy[0], nil, 0))
	}
	return record.use(known.ring, known.ring.keys[0].id), err
}

// goOnReencrypting queues the next step, and so on until the last one. A newer call ends the
// steps of an older one.
func (s *Store) goOnReencrypting(ended func(damaged int, err error)) {
	run := s.reencrypting.Add(1)
	var next func()
	next = func() {
		var st reencryptStep
		write := func(tx *bolt.Tx) (err error) {
			st, err = reencrypt(tx)
			return err
		}
		s.enqueue(&request{change: local(write), flow: "reencrypt", done: func(err error) {
			switch {
			case s.reencrypting.Load() != run:
				err = ErrClosed
			case err == nil && !st.last:
				next()
				return
			case err != nil && !errors.Is(err, ErrClosed):
				s.disk.log.Warn("a step of the encryption failed and is tried again", "err", err)
				time.AfterFunc(reencryptPause, next)
				return
			}
			if st.off {
				keys := *s.disk.keys.Load()
				keys.by = "" // readers may still see values of its keys
				s.disk.keys.Store(&keys)
			}
			if err == nil {
				s.disk.log.Info("all values are encrypted as they should be", "damaged", st.damaged)
			}
			if ended != nil {
				ended(st.damaged, err)
			}
		}})
	}
	next()
}

// isReencrypting reports whether a rewriting has to go on.
func (s *Store) isReencrypting() (is bool, err error) {
	err = s.disk.view(func(tx *bolt.Tx) error {
		is = has(tx.Bucket(bucketMeta), keyReencrypting)
		return nil
	})
	return is, err
}

type reencryptStep struct {
	last    bool
	off     bool // it was the last one, and the file is not encrypted any more
	damaged int
}

// reencrypt rewrites the next values, and notes where to go on.
func reencrypt(tx *bolt.Tx) (st reencryptStep, err error) {
	meta, keys := tx.Bucket(bucketMeta), keysOf(tx)
	note := meta.Get(keyReencrypting)
	if note == nil || keys == nil {
		return reencryptStep{last: true}, nil
	}
	record, _, err := openRecord(tx, keys.ring)
	if err != nil {
		return st, err
	}
	if record != nil && record.Write != keys.write {
		return st, nil // a newer call has begun in this very transaction: its steps have its keys
	}
	name, after, damaged, err := cutNote(bytes.Clone(note))
	if err != nil {
		return st, err
	}
	if tx.Bucket(name) == nil {
		return st, fmt.Errorf("%w: no bucket %q", ErrCorrupt, name)
	}
	last, more, err := reencryptRowsOf(tx, keys, name, after)
	if err != nil {
		return st, err
	}
	st.damaged = damaged + more
	if last == nil {
		i := slices.IndexFunc(wordy, func(b []byte) bool { return bytes.Equal(b, name) })
		if i+1 == len(wordy) {
			st.last = true
			st.off, err = endReencrypt(tx, keys, st.damaged)
			return st, err
		}
		name = wordy[i+1]
	}
	return st, meta.Put(keyReencrypting, makeNote(name, last, st.damaged))
}

// reencryptRowsOf rewrites rows of a bucket behind one. It returns the last of them, or nil
// if there is none, and how many were damaged.
func reencryptRowsOf(tx *bolt.Tx, keys *fileKeys, name, after []byte) (last []byte, damaged int, err error) {
	var rows, values [][]byte
	bucket := tx.Bucket(name)
	c := bucket.Cursor()
	k, v := c.Seek(append(bytes.Clone(after), 0)) // the next possible key
	if after == nil {
		k, v = c.First()
	}
	for n, size := 0, 0; k != nil && n < reencryptRows && size < reencryptBytes; k, v = c.Next() {
		n, last = n+1, bytes.Clone(k)
		value, by, err := keys.valueIn(tx, name, k, v)
		size += len(k) + len(v) + len(value)
		switch {
		case err != nil:
			damaged++
			continue
		case by == keys.write:
			continue
		}
		rows, values = append(rows, last), append(values, bytes.Clone(value))
	}
	bucket.FillPercent = logFill
	put := putWords
	if mayBeLarge(name) {
		put = replaceValue
	}
	for i, key := range rows {
		if err := put(tx, name, key, values[i]); err != nil {
			return nil, 0, err
		}
	}
	return last, damaged, nil
}

// valueIn returns the value of a row, and the number of its data key.
func (f *fileKeys) valueIn(tx *bolt.Tx, bucket, key, row []byte) (value []byte, by uint32, err error) {
	if mayBeLarge(bucket) {
		row, err = sealedIn(tx, bucket, key, row)
	}
	if err != nil {
		return nil, 0, err
	}
	return f.unseal(bucket, key, row)
}

// mayBeLarge reports whether values of the bucket are written by [putValue].
func mayBeLarge(bucket []byte) bool {
	return bytes.Equal(bucket, bucketLog) || bytes.Equal(bucket, bucketSnapshots) || bytes.Equal(bucket, bucketBlobs)
}

// endReencrypt drops the data keys that no value needs any more.
func endReencrypt(tx *bolt.Tx, keys *fileKeys, damaged int) (off bool, err error) {
	meta := tx.Bucket(bucketMeta)
	record, _, err := openRecord(tx, keys.ring)
	if err != nil || record == nil {
		return false, err
	}
	if err := meta.Delete(keyReencrypting); err != nil || damaged > 0 {
		return false, err
	}
	if record.Write == 0 {
		if err := meta.Delete(keyEncryption); err != nil {
			return false, err
		}
		return true, setEncrypted(tx, false)
	}
	return false, putRecord(tx, keys.ring, &keyRecord{Write: record.Write, Keys: map[uint32][]byte{record.Write: record.Keys[record.Write]}})
}

func makeNote(bucket, last []byte, damaged int) []byte {
	note := append(binary.AppendUvarint(nil, uint64(damaged)), bucket...)
	if last == nil {
		return note
	}
	return append(append(note, 0), last...)
}

func cutNote(note []byte) (bucket, last []byte, damaged int, err error) {
	n, width := binary.Uvarint(note)
	if width <= 0 {
		return nil, nil, 0, fmt.Errorf("%w: the place of a rewriting", ErrCorrupt)
	}
	bucket, last, begun := bytes.Cut(note[width:], []byte{0})
	if !begun {
		last = nil
	}
	return bucket, last, int(n), nil
}
