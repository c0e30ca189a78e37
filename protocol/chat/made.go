package chat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// MakeID makes the id of a chat that the server creates for owner. It is a UUID of
// version 8 (RFC 9562 §5.8), and its second half is a hash of the first half and the
// owner. So the id belongs to its owner for good: no other user can create a chat
// under it, also after the chat was deleted.
func MakeID(owner UserID, random [8]byte) ID {
	b := random[:]
	b[6] = b[6]&0x0f | 0x80 // the version
	sum := sha256.Sum256(append([]byte("parlor chat "+string(b)), owner...))
	b = append(b, sum[:8]...)
	b[8] = b[8]&0x3f | 0x80 // the variant
	return ID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// MadeForOther reports whether the server has made id for another user than u.
func (id ID) MadeForOther(u UserID) bool {
	const form, version = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", 14
	if len(id) != len(form) || id[version] != '8' {
		return false
	}
	digits := bytes.ReplaceAll([]byte(id), []byte("-"), nil)
	var b [16]byte
	if len(digits) != hex.EncodedLen(len(b)) {
		return false
	}
	if _, err := hex.Decode(b[:], digits); err != nil {
		return false
	}
	return MakeID(u, [8]byte(b[:8])) != id
}
