package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Values are sealed: they end with a checksum of their key and of themselves. A
// bit that has flipped on the disk is reported as [ErrCorrupt] instead of being
// shown as somebody's words, and so is a value that has ended up under another
// key. bbolt itself has checksums only in its root pages.

const sealLen = 4

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
