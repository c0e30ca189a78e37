package persistence

import (
	"bytes"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// addAudit leads from version 11 to 12. Until then nobody noted what administrators did.
func addAudit(tx *bolt.Tx) error { return createBuckets(tx, bucketAudit) }

// AddAudit queues an entry of what an administrator does behind all others, and the removal of the oldest ones past the
// newest keep. done gets the number of the entry once it is on the disk, or one of the errors
// of [Store.PutSession]. The value belongs to the store until then.
func (s *Writes) AddAudit(value []byte, keep int, done func(seq uint64, err error)) {
	c := &addToAudit{value: value, keep: uint64(max(keep, 1))}
	s.enqueue(&request{
		change: c, size: requestOverhead + len(value), err: checkSession("audit", value),
		done: func(err error) { done(c.seq, err) },
	})
}

func (c *addToAudit) apply(tx *bolt.Tx) error {
	b := tx.Bucket(bucketAudit)
	c.seq = lastAudit(b) + 1
	if err := putWords(tx, bucketAudit, auditKey(c.seq), c.value); err != nil {
		return err
	}
	return dropAudit(b, c.seq, c.keep)
}

// SetAudit queues another value for an entry. It does nothing if the entry was removed.
func (s *Writes) SetAudit(seq uint64, value []byte, done func(error)) {
	s.enqueue(&request{change: &setAudit{seq, value}, size: requestOverhead + len(value), err: checkSession("audit", value), done: done})
}

func (c *setAudit) apply(tx *bolt.Tx) error {
	if !has(tx.Bucket(bucketAudit), auditKey(c.seq)) {
		return nil
	}
	return putWords(tx, bucketAudit, auditKey(c.seq), c.value)
}

// EachAudit calls yield with at most limit entries that are older than before, or the newest
// if before is 0, newest first. The numbers of entries count up from 1. The value is the
// callee's to keep; a damaged one is nil, and logged.
func (r *Reader) EachAudit(before uint64, limit int, yield func(seq uint64, value []byte)) error {
	return r.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		k, v := c.Last()
		if before > 0 {
			if found, _ := c.Seek(auditKey(before)); found != nil {
				k, v = c.Prev()
			} else {
				k, v = c.Last()
			}
		}
		for ; k != nil && limit > 0; k, v = c.Prev() {
			value, err := unsealWords(tx, bucketAudit, k, v)
			if err != nil {
				r.disk.log.Error("an entry of the audit log cannot be read", "err", err)
			}
			yield(binary.BigEndian.Uint64(k), bytes.Clone(value))
			limit--
		}
		return nil
	})
}

func auditKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// lastAudit returns the number of the newest entry, or 0. The newest is never removed.
func lastAudit(b *bolt.Bucket) uint64 {
	if k, _ := b.Cursor().Last(); k != nil {
		return binary.BigEndian.Uint64(k)
	}
	return 0
}

// dropAudit removes the entries in front of the newest keep.
func dropAudit(b *bolt.Bucket, last, keep uint64) error {
	for {
		k, _ := b.Cursor().First()
		if k == nil || binary.BigEndian.Uint64(k)+keep > last {
			return nil
		}
		if err := b.Delete(k); err != nil {
			return err
		}
	}
}

func (k *checker) audit(tx *bolt.Tx) {
	c := tx.Bucket(bucketAudit).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		if _, err := unsealWords(tx, bucketAudit, key, v); err != nil {
			k.fault("", 0, "an entry of the audit log: %v", err)
		}
	}
}
