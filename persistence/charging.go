package persistence

import (
	"bytes"
	"encoding/binary"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// Limits of one transaction of [chargeAll].
const (
	chargingRooms = 10_000
	chargingBytes = 32 << 20 // the last room may exceed it
)

// addUsage leads from version 2 to 3. [chargeAll] then adds what the turns in
// the logs have cost.
func addUsage(tx *bolt.Tx) error {
	if err := createBuckets(tx, bucketUsage, bucketCharged); err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyCharging, nil)
}

// chargeAll charges what the logs of a file of version 2 amount to, some rooms in
// each transaction. What deleted chats have cost is not known any more.
func chargeAll(d *disk, of func(room string, entries iter.Seq[Entry]) []Charge) error {
	return goOn(d, keyCharging, func(tx *bolt.Tx, after []byte) ([]byte, error) { return chargeRooms(tx, after, of) })
}

// chargeRooms charges the turns of the rooms that follow after. It returns the
// last of them, or nil if no room is left.
func chargeRooms(tx *bolt.Tx, after []byte, of func(string, iter.Seq[Entry]) []Charge) ([]byte, error) {
	if of == nil {
		return nil, nil
	}
	c := tx.Bucket(bucketLog).Cursor()
	read := &logReading{cursor: c}
	read.seek(append(after, 1)) // behind the keys of that room
	for n := 0; read.key != nil; n++ {
		if n == chargingRooms || read.bytes > chargingBytes {
			return after, nil
		}
		room, _, _ := bytes.Cut(read.key, []byte{0})
		after = bytes.Clone(room)
		if err := putCharges(tx, of(string(after), read.entries(prefix(string(after))))); err != nil {
			return nil, err
		}
		read.seek(append(bytes.Clone(after), 1))
	}
	return nil, nil
}

// A logReading reads logs and counts the bytes.
type logReading struct {
	cursor     *bolt.Cursor
	key, value []byte
	bytes      int
}

func (r *logReading) seek(key []byte) { r.key, r.value = r.cursor.Seek(key) }

// entries yields the entries whose keys begin with p, up to the first one that
// is damaged. Reads and [Check] report the damage.
func (r *logReading) entries(p []byte) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for ; bytes.HasPrefix(r.key, p) && len(r.key) == len(p)+8; r.key, r.value = r.cursor.Next() {
			r.bytes += len(r.value)
			data, err := unsealWords(r.cursor.Bucket().Tx(), bucketLog, r.key, r.value)
			if err != nil || !yield(Entry{binary.BigEndian.Uint64(r.key[len(p):]), data}) {
				return
			}
		}
	}
}
