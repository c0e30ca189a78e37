package persistence

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// A file whose values are encrypted has data keys of its own. They lie in the bucket meta,
// encrypted with a key of the operator, who can so exchange that key without a look at the
// values:
//
//	operator's key ── encrypts ── record in meta: data keys ── encrypt ── values
//
// A value says which data key it was encrypted with, so a file can have several, and also
// values that are not encrypted at all, while it is rewritten (reencrypt.go). The record says
// whether there may be such values. If not, they are refused: so nobody can put
// words into the file without a key.
//
// A file without a record is as it was before there was encryption, byte for byte.

// wordy are the buckets whose values hold words of people or secrets, and are encrypted. The
// values of the others are numbers and ids.
var wordy = [][]byte{
	bucketAccounts, bucketAudit, bucketBlobs, bucketChats, bucketFiles, bucketHooks, bucketLog, bucketMarks, bucketSessions, bucketSnapshots, bucketTexts,
}

var keyEncryption = []byte("encryption") // the record; absent in a file that is not encrypted

// A keyRecord is what the record in meta says.
type keyRecord struct {
	Write uint32            `json:"write"` // the number of the data key that new values are encrypted with; 0 for none
	Plain bool              `json:"plain"` // some values may not be encrypted
	Keys  map[uint32][]byte `json:"keys"`  // by number, from 1 on; a number is not used again
}

// fileKeys are the keys of an open file. They never change: others take their place.
type fileKeys struct {
	ring  KeyRing // with the key of the record
	by    string  // the id of that key
	write uint32
	plain bool
	data  map[uint32]*xaes
}

// openFiles are the keys of the open files that are encrypted. Code that has only a
// transaction finds the keys here.
var openFiles sync.Map // from *bolt.DB to *atomic.Pointer[fileKeys]

// keysOf returns the keys of the file that tx reads, or nil.
func keysOf(tx *bolt.Tx) *fileKeys {
	if keys, ok := openFiles.Load(tx.DB()); ok {
		return keys.(*atomic.Pointer[fileKeys]).Load()
	}
	return nil
}

// setKeys replaces the keys of an open file. Transactions that are open may still see values
// of the keys before, so these stay in memory until the file is closed.
func (d *disk) setKeys(keys *fileKeys) {
	if before := d.keys.Load(); before != nil && keys != nil {
		data := maps.Clone(before.data)
		maps.Copy(data, keys.data)
		keys = &fileKeys{keys.ring, keys.by, keys.write, keys.plain || before.plain, data}
	}
	d.keys.Store(keys)
	if keys != nil {
		openFiles.Store(d.db, &d.keys)
	}
}

// readKeys reads the record with one of the operator's keys.
func (d *disk) readKeys(ring KeyRing) error {
	return d.view(func(tx *bolt.Tx) error {
		record, by, err := openRecord(tx, ring)
		if err == nil && record != nil {
			d.setKeys(record.use(ring, by))
		}
		return err
	})
}

func (r *keyRecord) use(ring KeyRing, by string) *fileKeys {
	keys := &fileKeys{ring: ring, by: by, write: r.Write, plain: r.Plain, data: make(map[uint32]*xaes)}
	for n, key := range r.Keys {
		keys.data[n] = newXAES(key)
	}
	return keys
}

// openRecord returns the record of a file and the id of its key, or nil if the file is not
// encrypted.
func openRecord(tx *bolt.Tx, ring KeyRing) (record *keyRecord, by string, err error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return nil, "", nil // a fresh file, or none of ours
	}
	sealed := meta.Get(keyEncryption)
	if sealed == nil {
		if saysEncrypted(meta) {
			return nil, "", fmt.Errorf("%w: the record of its keys is gone", ErrCorrupt)
		}
		return nil, "", nil
	}
	by, box, err := cutRecord(sealed)
	if err != nil {
		return nil, "", err
	}
	key := ring.find(by)
	switch {
	case len(ring.keys) == 0:
		return nil, "", fmt.Errorf("%w: the file is encrypted, and its key %q is not given", ErrKey, by)
	case key == nil:
		return nil, "", fmt.Errorf("%w: the file is encrypted with the key %q, which is not among those that are given: %q", ErrKey, by, ring.IDs())
	}
	text, ok := key.open(box, recordData(by))
	if !ok {
		return nil, "", fmt.Errorf("%w: the key %q is not the one of that id that the file was encrypted with", ErrKey, by)
	}
	defer clear(text)
	record = new(keyRecord)
	if err := json.Unmarshal(text, record); err != nil || !record.sound() {
		return nil, "", fmt.Errorf("%w: the record of its keys", ErrCorrupt)
	}
	return record, by, nil
}

func (r *keyRecord) sound() bool {
	for n, key := range r.Keys {
		if n == 0 || n > maxDataKey || len(key) != xaesKeyLen {
			return false
		}
	}
	return r.Write == 0 && r.Plain || r.Keys[r.Write] != nil
}

// cutRecord returns the id of the operator's key and what is encrypted with it. A record has
// a checksum, so that damage is not taken for a wrong key.
func cutRecord(sealed []byte) (by string, box []byte, err error) {
	b, err := unseal(keyEncryption, sealed)
	if err == nil {
		if n, width := binary.Uvarint(b); width > 0 && n <= uint64(len(b)-width) {
			return string(b[width:][:n]), b[uint64(width)+n:], nil
		}
		err = ErrCorrupt
	}
	return "", nil, fmt.Errorf("the record of its keys: %w", err)
}

func recordData(by string) []byte { return []byte("parlor data keys\x00" + by) }

// putRecord writes the record with the first key of the ring.
func putRecord(tx *bolt.Tx, ring KeyRing, r *keyRecord) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	defer clear(text)
	first := ring.keys[0]
	b := append(binary.AppendUvarint(nil, uint64(len(first.id))), first.id...)
	b = first.key.seal(b, text, recordData(first.id))
	return tx.Bucket(bucketMeta).Put(keyEncryption, seal(keyEncryption, b))
}

// addKey makes a new data key, which encrypts new values. known are the keys in memory.
func (r *keyRecord) addKey(known *fileKeys) error {
	last := uint32(0)
	for n := range r.Keys {
		last = max(last, n)
	}
	if known != nil {
		for n := range known.data {
			last = max(last, n)
		}
	}
	if last == maxDataKey {
		return fmt.Errorf("%w: the file has had %d data keys", ErrInvalid, last)
	}
	key := make([]byte, xaesKeyLen)
	rand.Read(key)
	if r.Keys == nil {
		r.Keys = make(map[uint32][]byte)
	}
	r.Write, r.Keys[last+1] = last+1, key
	return nil
}

// adoptKeys makes the file one that is encrypted, or its record one of the ring's first key,
// if that is needed. It returns the keys for [disk.setKeys] once the transaction is durable,
// or nil. In a file that becomes encrypted there are values that are not, if plain is true.
func adoptKeys(tx *bolt.Tx, known *fileKeys, ring KeyRing, plain bool) (*fileKeys, error) {
	if len(ring.keys) == 0 {
		return nil, nil
	}
	old := ring
	if known != nil {
		old = known.ring
	}
	record, by, err := openRecord(tx, old)
	switch {
	case err != nil:
		return nil, err
	case record == nil:
		record = &keyRecord{Plain: plain}
		if err := record.addKey(known); err != nil {
			return nil, err
		}
		if err := setEncrypted(tx, true); err != nil {
			return nil, err
		}
	case by == ring.keys[0].id && old.find(by).same(ring.keys[0].key):
		return nil, nil
	}
	if err := putRecord(tx, ring, record); err != nil {
		return nil, err
	}
	return record.use(ring, ring.keys[0].id), nil
}

// adoptKeys is for a file that has just been opened.
func (d *disk) adoptKeys(ring KeyRing) error {
	var keys *fileKeys
	err := d.update(func(tx *bolt.Tx) (changed bool, err error) {
		keys, err = adoptKeys(tx, d.keys.Load(), ring, hasWords(tx))
		return keys != nil, err
	})
	if err == nil && keys != nil {
		d.setKeys(keys)
	}
	if now := d.keys.Load(); err == nil && now != nil && now.plain {
		d.log.Warn("the file has values that are not encrypted yet", "file", d.path)
	}
	return err
}

// hasWords reports whether the file has a value that is to be encrypted.
func hasWords(tx *bolt.Tx) bool {
	for _, name := range wordy {
		if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
			return true
		}
	}
	return false
}

// SetKeys replaces the operator's keys. It encrypts the record of the data keys with the
// first one, if it is another one than before, and turns encryption on for a file that has
// none. It fails with [ErrKey] if the file is encrypted and there is no key. done is called
// as [Store.Append] calls it.
func (s *Store) SetKeys(ring KeyRing, done func(changed bool, err error)) {
	var err error
	if keys := s.disk.keys.Load(); len(ring.keys) == 0 && keys != nil && keys.by != "" {
		err = fmt.Errorf("%w: the file is encrypted, and no key is given", ErrKey)
	}
	var keys *fileKeys
	write := func(tx *bolt.Tx) (err error) {
		const plain = true // as a write behind this one is, in the same transaction
		keys, err = adoptKeys(tx, s.disk.keys.Load(), ring, plain)
		return err
	}
	s.enqueue(&request{change: local(write), size: requestOverhead, err: err, done: func(err error) {
		if err == nil && keys != nil {
			s.disk.setKeys(keys)
		}
		done(keys != nil, err)
	}})
}

// An Encryption is how the values of a file are encrypted.
type Encryption struct {
	Key      string // the id of the operator's key; "" if they are not
	DataKeys int    // how many the file has
	On       bool   // new values are encrypted
	Plain    bool   // there may be values that are not encrypted
	At       string // the bucket that is being rewritten, or ""
	Damaged  int    // values that could not be rewritten
}

// Encryption returns how the values of the file are encrypted.
func (r *Reader) Encryption() (e Encryption, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		e.Plain = hasWords(tx)
		keys := r.disk.keys.Load()
		if keys == nil {
			return nil
		}
		record, by, err := openRecord(tx, keys.ring)
		if record == nil || err != nil {
			return err
		}
		e = Encryption{Key: by, DataKeys: len(record.Keys), On: record.Write != 0, Plain: record.Plain}
		if note := tx.Bucket(bucketMeta).Get(keyReencrypting); note != nil {
			var bucket []byte
			bucket, _, e.Damaged, err = cutNote(note)
			e.At = string(bucket)
		}
		return err
	})
	return e, err
}
