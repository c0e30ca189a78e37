package persistence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Values are sealed: they end with a checksum of their key and themselves, so
// that a bit that has flipped on the disk is told as [ErrCorrupt] and not
// shown as somebody's words, and a value that has come under another key is
// not taken for that key's. bbolt has no checksums but those of its roots.

const sealLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // which processors know

// seal returns a sealed copy of the value.
func seal(key, value []byte) []byte {
	b := make([]byte, 0, len(value)+sealLen)
	b = append(b, value...)
	return binary.BigEndian.AppendUint32(b, checksum(key, value))
}

// unseal returns the value in b, which it does not copy. The key is not
// quoted in the error: some are secret.
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
