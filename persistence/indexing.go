package persistence

import (
	"bytes"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// Limits of one transaction of [indexAll].
const (
	indexingEntries = 10_000
	indexingBytes   = 32 << 20 // the last entry may exceed it
)

// addMessages leads from version 3 to 4. [indexAll] then fills the index from the
// logs.
func addMessages(tx *bolt.Tx) error {
	if err := createBuckets(tx, bucketMessages); err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyIndexing, nil)
}

// indexAll indexes the messages in the logs of a file of version 3, a bounded
// number in each transaction.
func indexAll(d *disk, idOf func(Entry) (id string, ok bool)) error {
	return goOn(d, keyIndexing, func(tx *bolt.Tx, after []byte) ([]byte, error) { return indexEntries(tx, after, idOf) })
}

// indexEntries indexes the messages of the entries whose keys follow after. It
// returns the last of these keys, or nil if no entry is left.
func indexEntries(tx *bolt.Tx, after []byte, idOf func(Entry) (string, bool)) ([]byte, error) {
	if idOf == nil {
		return nil, nil
	}
	messages := tx.Bucket(bucketMessages)
	c := tx.Bucket(bucketLog).Cursor()
	k, v := c.Seek(append(bytes.Clone(after), 0)) // the next possible key
	for n, size := 0, 0; k != nil; k, v = c.Next() {
		if n == indexingEntries || size > indexingBytes {
			return bytes.Clone(after), nil
		}
		n, size, after = n+1, size+len(v), k
		room, key, ok := messageOf(tx, k, v, idOf)
		if !ok {
			continue
		}
		if err := putKeys(messages, room, []Key{key}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// messageOf returns the message that a row of the log holds. A damaged row holds
// none: reads and [Check] report it, and it must not keep the server from
// starting.
func messageOf(tx *bolt.Tx, k, v []byte, idOf func(Entry) (string, bool)) (room string, key Key, ok bool) {
	name, number, _ := bytes.Cut(k, []byte{0})
	data, err := unsealWords(tx, bucketLog, k, v)
	if err != nil || len(number) != 8 {
		return "", Key{}, false
	}
	seq := binary.BigEndian.Uint64(number)
	id, ok := idOf(Entry{seq, data})
	return string(name), Key{id, seq}, ok && checkKey(id) == nil
}
