package persistence

import (
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Apply makes the changes of a log that several stores have in common, up to the entry with this
// index, in one transaction. refused says for each command why it has changed nothing, or is nil
// if it has. Either all stores refuse a command or none does. If the store has applied the index
// already it does nothing, and refused is nil.
//
// err is of this store alone: of its disk, or of damage. The store must not go on
// then: the others have made the changes, and this one may not have.
//
// Apply returns when the changes are durable. Calls must come in the order of the log, one at
// a time.
func (s *Store) Apply(index uint64, commands []Command) (refused []error, err error) {
	<-s.scanned
	s.writer.lock.Lock()
	defer s.writer.lock.Unlock()
	if s.disk.closed { // it is closed under the lock of the writer
		return nil, ErrClosed
	}
	begun, epoch := time.Now(), false
	err = s.disk.update(func(tx *bolt.Tx) (changed bool, err error) {
		meta := tx.Bucket(bucketMeta)
		if appliedIn(meta) >= index {
			return false, nil
		}
		refused = make([]error, len(commands))
		for i, c := range commands {
			if refused[i], err = c.apply(tx); err != nil {
				return false, err
			}
			epoch = epoch || c.change.kind() == kindSetEpoch
		}
		return true, meta.Put(keyApplied, binary.BigEndian.AppendUint64(nil, index))
	})
	s.writer.committed(len(commands), time.Since(begun), err)
	if err != nil {
		return nil, err
	}
	if epoch {
		err = s.prepare()
	}
	return refused, err
}

func (c Command) apply(tx *bolt.Tx) (refused, err error) {
	if c.Fence != nil {
		return c.Fence.apply(tx, c.change)
	}
	return alone(c.change.apply(tx))
}

// Applied returns the index of the last entry of a replicated log that the store has applied.
func (r *Reader) Applied() (index uint64, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		index = appliedIn(tx.Bucket(bucketMeta))
		return nil
	})
	return index, err
}

func appliedIn(meta *bolt.Bucket) uint64 {
	v := meta.Get(keyApplied)
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}
