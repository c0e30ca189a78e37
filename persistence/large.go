package persistence

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A large value lies apart from its row. The row holds a reference, and the sealed
// value lies in parts in a bucket of its own:
//
//	log    room 0x00 seq                → reference: first part, how many, bytes
//	large  number log 0x00 room 0x00 seq → part of the sealed value
//
// bbolt never splits a leaf of four rows. A row of 60 KiB would share its leaf with up
// to four others, and each commit to the room would write all of them again. The numbers
// of parts only grow, so new parts come to the end of the bucket, and the pages before
// are not written again.
//
// A value has five parts: two large ones that fill whole pages, and three small ones that
// share the next page. From more than four rows bbolt makes leaves of at least two, and
// begins a leaf with the row that does not fit into the page of those before. So the two
// become one leaf and the three another one, which alone is written again when the next
// value comes. When the value is deleted, no leaf of another one has to be written.

// A value is large if it has more than largeFrom bytes when it is sealed. A smaller one
// costs less in its row: a part has pages of its own to write, and branches above them.
const largeFrom = 4 << 10

// largePage is the length of the pages that parts fill. Where pages are longer, parts fill
// them less. All files divide values in the same way, whatever computer they are on.
const largePage = 4 << 10

// largeFill lets pages of parts be full.
const largeFill = 1

// addLarge leads from version 12 to 13. Until then each value was in its row. The large
// values that are there stay in their rows. The migrations that read logs end before the first
// commit, so they meet no reference.
func addLarge(tx *bolt.Tx) error { return createBuckets(tx, bucketLarge) }

// A reference says where the parts of a large value are.
type reference struct {
	first uint64 // the number of the first part
	count uint32 // of parts, whose numbers follow each other
	size  uint64 // of the sealed value
	boxed bool   // the value is encrypted
}

// A reference is a version (1 byte), which also says whether the value is encrypted, first
// (8), count (4), size (8). Its length is fixed, so that rows of other lengths need no
// second look.
const (
	referencePlain = 1
	referenceBoxed = 2
	referenceLen   = 1 + 8 + 4 + 8
)

func (r reference) encode() []byte {
	version := byte(referencePlain)
	if r.boxed {
		version = referenceBoxed
	}
	b := binary.BigEndian.AppendUint64([]byte{version}, r.first)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, r.count), r.size)
}

func decodeReference(b []byte) (reference, error) {
	if len(b) != referenceLen || b[0] != referencePlain && b[0] != referenceBoxed {
		return reference{}, fmt.Errorf("%w: a reference of %d bytes", ErrCorrupt, len(b))
	}
	r := reference{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9:]), binary.BigEndian.Uint64(b[13:]), b[0] == referenceBoxed}
	if r.first == 0 || r.count == 0 || r.first+uint64(r.count) < r.first || r.size < uint64(r.count) {
		return reference{}, fmt.Errorf("%w: a reference to %d parts of %d bytes from %d on", ErrCorrupt, r.count, r.size, r.first)
	}
	return r, nil
}

// counted is how many bytes the value counts in a [Share].
func (r reference) counted() int64 {
	if r.boxed {
		return int64(r.size) - boxLen + sealLen
	}
	return int64(r.size)
}

// has reports whether the part belongs to the value.
func (r reference) has(number uint64) bool { return number-r.first < uint64(r.count) }

// referenceKey is the key under which the reference of a row is sealed. No row has this
// key, so no value that is in its row can be taken for a reference.
func referenceKey(key []byte) []byte { return append(bytes.Clone(key), 1) }

// referenceIn returns the reference that a row holds, if it holds one. It returns an error
// if the row is damaged and may have held one.
func referenceIn(key, row []byte) (r reference, large bool, err error) {
	if len(row) != referenceLen+sealLen {
		return reference{}, false, nil
	}
	if b, err := unseal(referenceKey(key), row); err == nil {
		r, err = decodeReference(b)
		return r, err == nil, err
	}
	_, err = unseal(key, row)
	return reference{}, false, err
}

// placeOf names the row that parts belong to.
func placeOf(bucket, key []byte) []byte { return append(prefix(string(bucket)), key...) }

func partKey(number uint64, place []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, number), place...)
}

// putValue seals a value and puts it into the bucket, where the key has no row yet.
func putValue(tx *bolt.Tx, bucket, key, value []byte) error {
	row := sealWords(tx, bucket, key, value)
	if len(row) > largeFrom {
		r, err := putParts(tx.Bucket(bucketLarge), placeOf(bucket, key), row)
		if err != nil {
			return err
		}
		r.boxed = len(row) == len(value)+boxLen
		row = seal(referenceKey(key), r.encode())
	}
	return tx.Bucket(bucket).Put(key, row)
}

func putParts(large *bolt.Bucket, place, sealed []byte) (reference, error) {
	large.FillPercent = largeFill
	r := reference{first: large.Sequence() + 1, size: uint64(len(sealed))}
	for _, length := range divide(len(sealed), len(partKey(0, place))) {
		if err := large.Put(partKey(r.first+uint64(r.count), place), sealed[:length]); err != nil {
			return reference{}, err
		}
		r.count++
		sealed = sealed[length:]
	}
	return r, large.SetSequence(r.first + uint64(r.count) - 1)
}

// divide returns the lengths of the parts of a large value of n bytes, whose keys have as
// many bytes as key says.
func divide(n, key int) [5]int {
	row := pageElementLen + key
	tail := largePage - pageHeaderLen - 3*row // what the page of the small ones has room for
	pages := (n - tail + pageHeaderLen + 2*row + largePage - 1) / largePage
	body := min(pages*largePage-pageHeaderLen-2*row, n-3)
	rest := n - body
	return [...]int{(body + 1) / 2, body / 2, (rest + 2) / 3, (rest + 1) / 3, rest / 3}
}

// replaceValue is putValue for a key that may have a row.
func replaceValue(tx *bolt.Tx, bucket, key, value []byte) error {
	if err := deleteValue(tx, bucket, key); err != nil {
		return err
	}
	return putValue(tx, bucket, key, value)
}

// valueIn returns the value of a row. It is valid as long as the transaction is open.
func valueIn(tx *bolt.Tx, bucket, key, row []byte) ([]byte, error) {
	sealed, err := sealedIn(tx, bucket, key, row)
	if err != nil {
		return nil, err
	}
	return unsealWords(tx, bucket, key, sealed)
}

// sealedIn returns the sealed value of a row.
func sealedIn(tx *bolt.Tx, bucket, key, row []byte) ([]byte, error) {
	r, large, err := referenceIn(key, row)
	if err != nil || !large {
		return row, err
	}
	return r.read(tx.Bucket(bucketLarge), placeOf(bucket, key))
}

// ownValueIn returns a value that the caller may keep.
func ownValueIn(tx *bolt.Tx, bucket, key, row []byte) ([]byte, error) {
	v, err := valueIn(tx, bucket, key, row)
	if err != nil || len(v) > len(row) { // put together from parts, so it is a copy already
		return v, err
	}
	return bytes.Clone(v), nil
}

// read puts the parts of a value together.
func (r reference) read(large *bolt.Bucket, place []byte) ([]byte, error) {
	sealed := make([]byte, 0, min(r.size, DefaultMaxCommitBytes))
	key := partKey(r.first, place)
	c := large.Cursor()
	k, v := c.Seek(key)
	for n := range r.count {
		binary.BigEndian.PutUint64(key, r.first+uint64(n))
		if !bytes.Equal(k, key) {
			return nil, fmt.Errorf("%w: part %d of %d is missing", ErrCorrupt, n+1, r.count)
		}
		sealed = append(sealed, v...)
		k, v = c.Next()
	}
	if uint64(len(sealed)) != r.size {
		return nil, fmt.Errorf("%w: the parts have %d bytes, want %d", ErrCorrupt, len(sealed), r.size)
	}
	return sealed, nil
}

// deleteValue removes a row with the parts of its value. The row need not be there.
func deleteValue(tx *bolt.Tx, bucket, key []byte) error {
	b := tx.Bucket(bucket)
	row := b.Get(key)
	if row == nil {
		return nil
	}
	r, large, err := referenceIn(key, row)
	switch {
	case err != nil:
		err = deleteStrays(tx, placeOf(bucket, key))
	case large:
		err = r.delete(tx.Bucket(bucketLarge), placeOf(bucket, key))
	}
	if err != nil {
		return err
	}
	return b.Delete(key)
}

func (r reference) delete(large *bolt.Bucket, place []byte) error {
	for n := range r.count {
		if err := large.Delete(partKey(r.first+uint64(n), place)); err != nil {
			return err
		}
	}
	return nil
}

// deleteValues is [deletePrefix] for a bucket with large values.
func deleteValues(tx *bolt.Tx, bucket, p []byte) (int, error) {
	large, damaged := tx.Bucket(bucketLarge), false
	c := tx.Bucket(bucket).Cursor()
	for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
		r, isLarge, err := referenceIn(k, v)
		damaged = damaged || err != nil
		if !isLarge {
			continue
		}
		if err := r.delete(large, placeOf(bucket, k)); err != nil {
			return 0, err
		}
	}
	if damaged {
		if err := deleteStrays(tx, placeOf(bucket, p)); err != nil {
			return 0, err
		}
	}
	return deletePrefix(tx.Bucket(bucket), p)
}

// deleteStrays removes the parts whose places begin with p. It walks over all parts, so
// it is only for parts to which no row leads, since that is damaged.
func deleteStrays(tx *bolt.Tx, p []byte) error {
	large := tx.Bucket(bucketLarge)
	var keys [][]byte
	c := large.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if bytes.HasPrefix(k[min(8, len(k)):], p) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		if err := large.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// bytesBelow adds up the rows whose keys begin with p. A large value counts as if it were
// in its row, also if the row is damaged.
func bytesBelow(tx *bolt.Tx, bucket, p []byte) (n int64) {
	var damaged map[string]int64 // place → length of the row
	keys := keysOf(tx)
	c := tx.Bucket(bucket).Cursor()
	for k, v := c.Seek(p); bytes.HasPrefix(k, p); k, v = c.Next() {
		n += int64(len(k))
		switch r, large, err := referenceIn(k, v); {
		case err != nil:
			if damaged == nil {
				damaged = make(map[string]int64)
			}
			damaged[string(placeOf(bucket, k))] = int64(len(v))
		case large:
			n += r.counted()
		default:
			n += int64(countedLen(keys, v))
		}
	}
	if damaged == nil {
		return n
	}
	parts := make(map[string]int64)
	c = tx.Bucket(bucketLarge).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if place := string(k[min(8, len(k)):]); damaged[place] > 0 {
			parts[place] += int64(len(v))
		}
	}
	for place, row := range damaged {
		if parts[place] > 0 && keys != nil && keys.write != 0 { // the reference said so
			row = parts[place] - boxLen + sealLen
		} else {
			row = cmp.Or(parts[place], row)
		}
		n += row
	}
	return n
}

// parts reports the parts that belong to no value. The values themselves are read where
// their rows are.
func (k *checker) parts(tx *bolt.Tx) {
	large, last := tx.Bucket(bucketLarge), uint64(0)
	var of reference
	var place []byte // that of the part before
	c := large.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if len(key) < 8 {
			k.fault("", 0, "a part of a large value has a key of %d bytes", len(key))
			continue
		}
		number, at := binary.BigEndian.Uint64(key), key[8:]
		last = max(last, number)
		if bytes.Equal(at, place) && (of.has(number) || of.count == 0) {
			continue
		}
		place = bytes.Clone(at)
		var known bool
		if of, known = rowOfParts(tx, place); known && (of.has(number) || of.count == 0) {
			continue
		}
		of = reference{} // so that one fault is reported for all parts of a value
		_, row, _ := bytes.Cut(place, []byte{0})
		room, _, _ := bytes.Cut(row, []byte{0})
		k.fault(string(room), 0, "part %d of a large value belongs to no row", number)
	}
	if last > large.Sequence() {
		k.fault("", 0, "part %d of a large value was written, and the last number is said to be %d", last, large.Sequence())
	}
}

// rowOfParts returns the reference in the row that parts name. If that row is damaged,
// which is reported elsewhere, the reference is empty.
func rowOfParts(tx *bolt.Tx, place []byte) (r reference, known bool) {
	name, key, _ := bytes.Cut(place, []byte{0})
	b := tx.Bucket(name)
	if b == nil || len(key) == 0 {
		return reference{}, false
	}
	row := b.Get(key)
	r, large, err := referenceIn(key, row)
	return r, large || err != nil
}
