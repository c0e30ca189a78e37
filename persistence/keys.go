package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets and their keys. Numbers are big endian, so that their bytes sort
// as the numbers do. A name that is followed by more ends with 0x00, which it
// cannot contain: no name is a prefix of the keys of another one.
var (
	bucketMeta      = []byte("meta")      // format, epoch
	bucketChats     = []byte("chats")     // room → chat row
	bucketMembers   = []byte("members")   // user 0x00 → count; user 0x00 time room → nothing
	bucketShared    = []byte("shared")    // room 0x00 user → nothing, for each member besides the owner; since version 5
	bucketLog       = []byte("log")       // room 0x00 seq → entry, all rooms in one bucket
	bucketDedup     = []byte("dedup")     // room 0x00 key → seq
	bucketMessages  = []byte("messages")  // room 0x00 message id → seq; since version 4
	bucketTurns     = []byte("turns")     // room → nothing, present while a turn is open
	bucketSessions  = []byte("sessions")  // key → value, since version 2
	bucketSnapshots = []byte("snapshots") // room → seq, state; since version 2
	bucketTexts     = []byte("texts")     // room 0x00 offset → piece of the running turn's text; since version 2
	bucketUsage     = []byte("usage")     // user 0x00 hour room 0x00 model → counts; since version 3
	bucketOwned     = []byte("owned")     // owner 0x00 → chats and bytes; since version 6
	bucketRead      = []byte("read")      // room 0x00 user → seq; since version 7
	bucketAccounts  = []byte("accounts")  // key → who may sign in, since version 8
	bucketFiles     = []byte("files")     // room 0x00 file id → row; since version 9
	bucketBlobs     = []byte("blobs")     // room 0x00 blob 0x00 number → piece of a file; since version 9
	bucketUploads   = []byte("uploads")   // room 0x00 blob → nothing, present until its file has a row; since version 9
	bucketHooks     = []byte("hooks")     // room 0x00 name → what webhooks know of the room, since version 10
	bucketMarks     = []byte("marks")     // user 0x00 room → mark; since version 11
	bucketMarkers   = []byte("markers")   // room 0x00 user → nothing, for each mark; since version 11
	bucketAudit     = []byte("audit")     // number → what an administrator has done; since version 12
	bucketLarge     = []byte("large")     // number bucket 0x00 key → part of that row's value; since version 13, see large.go
	bucketCharged   = []byte("charged")   // room 0x00 hour user → nothing, present while usage names the room; since version 3
)

// Limits of names, in bytes.
const (
	MaxRoomLen       = 128
	MaxKeyLen        = 1024
	MaxOwnerLen      = 1024
	MaxSessionKeyLen = 128
	MaxModelLen      = 256
)

// checkRoom refuses names with anything but letters, digits and '-' in them.
func checkRoom(room string) error {
	if room == "" || len(room) > MaxRoomLen {
		return fmt.Errorf("%w: room name of %d bytes, want 1 to %d", ErrInvalid, len(room), MaxRoomLen)
	}
	if strings.ContainsFunc(room, func(r rune) bool { return !roomRune(r) }) {
		return fmt.Errorf("%w: room name %q, want only letters, digits and '-'", ErrInvalid, room)
	}
	return nil
}

func roomRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-'
}

// checkOwner refuses owners that are too long or contain 0x00. The error does
// not quote them: they may be somebody's address.
func checkOwner(owner string) error {
	if len(owner) > MaxOwnerLen {
		return fmt.Errorf("%w: owner of %d bytes, want at most %d", ErrInvalid, len(owner), MaxOwnerLen)
	}
	if strings.IndexByte(owner, 0) >= 0 {
		return fmt.Errorf("%w: the owner contains a zero byte", ErrInvalid)
	}
	return nil
}

// checkKey refuses idempotency keys and message ids that are empty or too long.
func checkKey(name string) error {
	if name == "" || len(name) > MaxKeyLen {
		return fmt.Errorf("%w: key of %d bytes, want 1 to %d", ErrInvalid, len(name), MaxKeyLen)
	}
	return nil
}

// checkSessionKey refuses keys that are empty or too long. The error does not
// quote them: whoever knows a key can take the session over.
func checkSessionKey(key string) error {
	if key == "" || len(key) > MaxSessionKeyLen {
		return fmt.Errorf("%w: session key of %d bytes, want 1 to %d", ErrInvalid, len(key), MaxSessionKeyLen)
	}
	return nil
}

func prefix(name string) []byte { return append(append(make([]byte, 0, len(name)+1), name...), 0) }

func logKey(room string, seq uint64) []byte {
	b := append(make([]byte, 0, len(room)+1+8), room...)
	return binary.BigEndian.AppendUint64(append(b, 0), seq)
}

// nameKey is where a room's idempotency key or message id is kept.
func nameKey(room, name string) []byte {
	b := append(make([]byte, 0, len(room)+1+len(name)), room...)
	return append(append(b, 0), name...)
}

// memberKey sorts an owner's chats newest first, and those of the same time
// by room.
func memberKey(owner string, created time.Time, room string) []byte {
	k := prefix(owner)
	k = binary.BigEndian.AppendUint64(k, ^(uint64(created.Unix()) + 1<<63)) // + 1<<63 sorts negative numbers first
	k = binary.BigEndian.AppendUint32(k, ^uint32(created.Nanosecond()))
	return append(k, room...)
}

const memberTimeLen = 8 + 4

// has reports whether b holds key. Get cannot tell: it returns nil for an empty
// value that was put in the same transaction.
func has(b *bolt.Bucket, key []byte) bool {
	k, _ := b.Cursor().Seek(key)
	return bytes.Equal(k, key)
}
