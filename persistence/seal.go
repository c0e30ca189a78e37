package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// Values are sealed: they end with a checksum of their key and of themselves. A
// bit that has flipped on the disk is reported as [ErrCorrupt] instead of being
// shown as somebody's words, and so is a value that has ended up under another
// key. bbolt itself has checksums only in its root pages.
//
// In a file that is encrypted (encryption.go), values with words are sealed by
// XAES-256-GCM (xaes.go) in place of the checksum:
//
//	nonce (24 bytes), encrypted value, tag (16), 0xE5 and the number of the data key (4)
//
// The tag is also of bucket and key. An older value of the same key has a good
// tag too, and so has every value of an older copy of the file.

const (
	sealLen = 4

	trailerLen = 4
	boxLen     = xaesNonceLen + xaesTagLen + trailerLen // what encryption adds to a value
	boxMark    = 0xE5 << 24
	maxDataKey = 1<<24 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // processors compute this one

// seal returns a sealed copy of the value.
func seal(key, value []byte) []byte {
	b := make([]byte, 0, len(value)+sealLen)
	b = append(b, value...)
	return binary.BigEndian.AppendUint32(b, checksum(key, value))
}

// unseal returns the value in b without copying it. The error does not quote
// the key: some keys are secret.
func unseal(key, b []byte) ([]byte, error) {
	n := len(b) - sealLen
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != checksum(key, b[:n]) {
		return nil, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	}
	return b[:n:n], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// sealWords is [seal] for a value of a bucket that is [wordy].
func sealWords(tx *bolt.Tx, bucket, key, value []byte) []byte {
	if keys := keysOf(tx); keys != nil && keys.write != 0 {
		return keys.seal(bucket, key, value)
	}
	return seal(key, value)
}

// unsealWords returns what sealWords has sealed. It copies the value only if it was encrypted.
func unsealWords(tx *bolt.Tx, bucket, key, b []byte) ([]byte, error) {
	keys := keysOf(tx)
	if keys == nil {
		return unseal(key, b)
	}
	value, _, err := keys.unseal(bucket, key, b)
	return value, err
}

// putWords seals a value and puts it into a bucket that is wordy.
func putWords(tx *bolt.Tx, bucket, key, value []byte) error {
	return tx.Bucket(bucket).Put(key, sealWords(tx, bucket, key, value))
}

func (f *fileKeys) seal(bucket, key, value []byte) []byte {
	b := make([]byte, 0, len(value)+boxLen)
	b = f.data[f.write].seal(b, value, additional(bucket, key))
	return binary.BigEndian.AppendUint32(b, boxMark|f.write)
}

// unseal returns also the number of the data key, or 0 for a value that was not encrypted.
func (f *fileKeys) unseal(bucket, key, b []byte) (value []byte, by uint32, err error) {
	if by, ok := dataKeyOf(b); ok && f.data[by] != nil {
		if value, ok := f.data[by].open(b[:len(b)-trailerLen], additional(bucket, key)); ok {
			return value, by, nil
		}
	}
	if !f.plain {
		return nil, 0, fmt.Errorf("%w: it was not encrypted with a key of this file", ErrCorrupt)
	}
	value, err = unseal(key, b) // the checksum of a plain value can look like a trailer
	return value, 0, err
}

// dataKeyOf returns the number of the data key that the trailer names.
func dataKeyOf(b []byte) (n uint32, ok bool) {
	if len(b) < boxLen {
		return 0, false
	}
	n = binary.BigEndian.Uint32(b[len(b)-trailerLen:])
	return n & maxDataKey, n&^maxDataKey == boxMark
}

// additional is what a value is bound to. The name of a bucket has no zero.
func additional(bucket, key []byte) []byte {
	b := make([]byte, 0, len(bucket)+1+len(key))
	return append(append(append(b, bucket...), 0), key...)
}

// countedLen is how many bytes a sealed value counts in a [Share]: as many as
// if it was not encrypted, so that encryption changes no quota.
func countedLen(keys *fileKeys, b []byte) int {
	if keys == nil {
		return len(b)
	}
	if n, ok := dataKeyOf(b); ok && keys.data[n] != nil {
		return len(b) - boxLen + sealLen
	}
	return len(b)
}
