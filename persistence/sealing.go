package persistence

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// unsealedBuckets are the buckets of version 1, which does not seal values, in
// the order in which they are sealed. The bucket turns has no values.
var unsealedBuckets = []string{"log", "chats", "dedup", "members"}

// Limits of one transaction of [sealAll].
const (
	sealingRows  = 10_000
	sealingBytes = 4 << 20 // the last value may exceed it
)

// sealAll seals the values of a file of version 1, a bounded number in each
// transaction. Older programs refuse the file as soon as this has begun.
func sealAll(d *disk) error { return goOn(d, keySealing, sealRows) }

// sealRows seals the rows that follow at, and returns where to go on, or nil
// after the last row. at is the name of a bucket, followed by 0x00 and the last
// key that was sealed, if there is one.
func sealRows(tx *bolt.Tx, at []byte) (next []byte, err error) {
	name, last, begun := bytes.Cut(at, []byte{0})
	bucket := tx.Bucket(name)
	if bucket == nil {
		return nil, fmt.Errorf("%w: no bucket %q", ErrCorrupt, name)
	}
	keys, values := rowsAfter(bucket, string(name) == string(bucketMembers), last, begun)
	for i, key := range keys {
		if err := bucket.Put(key, values[i]); err != nil {
			return nil, err
		}
	}
	if len(keys) > 0 {
		return append(append(bytes.Clone(name), 0), keys[len(keys)-1]...), nil
	}
	for i, other := range unsealedBuckets[:len(unsealedBuckets)-1] {
		if other == string(name) {
			return []byte(unsealedBuckets[i+1]), nil
		}
	}
	return nil, nil
}

// rowsAfter returns keys and sealed values. It leaves out the rows of lists,
// which have no value.
func rowsAfter(bucket *bolt.Bucket, lists bool, last []byte, begun bool) (keys, values [][]byte) {
	c := bucket.Cursor()
	k, v := c.Seek(last)
	if begun && bytes.Equal(k, last) {
		k, v = c.Next()
	}
	for size := 0; k != nil && len(keys) < sealingRows && size < sealingBytes; k, v = c.Next() {
		if lists && len(v) == 0 {
			continue
		}
		size += len(k) + len(v)
		keys, values = append(keys, bytes.Clone(k)), append(values, seal(k, v))
	}
	return keys, values
}
