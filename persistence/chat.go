package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// MaxChatsPage is how many chats [Store.Chats] returns at most.
const MaxChatsPage = 1000

// A Chat is a room's row among the chats: what is listed without reading logs.
type Chat struct {
	Room    string
	Owner   string    // at most MaxOwnerLen bytes without 0x00; "" is nobody in particular
	Created time.Time // comes back in UTC
	Info    []byte    // the caller's own encoding
}

// Chat returns the room's row, or [ErrNotFound].
func (s *Store) Chat(room string) (c Chat, err error) {
	if err := checkRoom(room); err != nil {
		return Chat{}, err
	}
	err = s.disk.view(func(tx *bolt.Tx) error {
		c, err = getChat(tx, room)
		return err
	})
	return c, err
}

// Chats returns a page of the owner's chats, or with "" of everybody's, newest
// first, and how many there are in all. The page starts after offset chats
// and has at most limit and [MaxChatsPage] of them; a limit of zero asks for
// the number alone.
func (s *Store) Chats(owner string, offset, limit int) (page []Chat, total int, err error) {
	if err := checkOwner(owner); err != nil {
		return nil, 0, err
	}
	limit = min(limit, MaxChatsPage)
	err = s.disk.view(func(tx *bolt.Tx) error {
		total = countChats(tx, owner)
		if offset >= total {
			return nil
		}
		page, err = pageOfChats(tx, owner, offset, limit)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return page, total, nil
}

func pageOfChats(tx *bolt.Tx, owner string, offset, limit int) ([]Chat, error) {
	var page []Chat
	p := prefix(owner)
	c := tx.Bucket(bucketMembers).Cursor()
	c.Seek(p) // the count, which sorts before the chats
	for k, _ := c.Next(); bytes.HasPrefix(k, p) && len(page) < limit; k, _ = c.Next() {
		if offset > 0 {
			offset--
			continue
		}
		if len(k) <= len(p)+memberTimeLen {
			return nil, fmt.Errorf("%w: a short key among the members", ErrCorrupt)
		}
		chat, err := getChat(tx, string(k[len(p)+memberTimeLen:]))
		if err != nil {
			return nil, fmt.Errorf("%w: listed without a row: %w", ErrCorrupt, err)
		}
		page = append(page, chat)
	}
	return page, nil
}

func getChat(tx *bolt.Tx, room string) (Chat, error) {
	v := tx.Bucket(bucketChats).Get([]byte(room))
	if v == nil {
		return Chat{}, fmt.Errorf("%w: chat of room %q", ErrNotFound, room)
	}
	return decodeChat(room, v)
}

// putChat writes the row and, if its place in the lists is new, the lists.
func putChat(tx *bolt.Tx, c Chat) error {
	chats := tx.Bucket(bucketChats)
	if v := chats.Get([]byte(c.Room)); v != nil {
		old, err := decodeChat(c.Room, v)
		if err != nil {
			return err
		}
		if old.Owner == c.Owner && old.Created.Equal(c.Created) {
			return chats.Put([]byte(c.Room), encodeChat(c))
		}
		if err := unlistChat(tx, old); err != nil {
			return err
		}
	}
	if err := listChat(tx, c); err != nil {
		return err
	}
	return chats.Put([]byte(c.Room), encodeChat(c))
}

func deleteChat(tx *bolt.Tx, room string) (found bool, err error) {
	chats := tx.Bucket(bucketChats)
	v := chats.Get([]byte(room))
	if v == nil {
		return false, nil
	}
	c, err := decodeChat(room, v)
	if err != nil {
		return false, err
	}
	if err := unlistChat(tx, c); err != nil {
		return false, err
	}
	return true, chats.Delete([]byte(room))
}

// lists returns the owners whose lists name the chat; "" has everybody's.
func (c Chat) lists() []string {
	if c.Owner == "" {
		return []string{""}
	}
	return []string{"", c.Owner}
}

func listChat(tx *bolt.Tx, c Chat) error {
	for _, owner := range c.lists() {
		if err := tx.Bucket(bucketMembers).Put(memberKey(owner, c.Created, c.Room), nil); err != nil {
			return err
		}
		if err := addToCount(tx, owner, 1); err != nil {
			return err
		}
	}
	return nil
}

func unlistChat(tx *bolt.Tx, c Chat) error {
	for _, owner := range c.lists() {
		if err := tx.Bucket(bucketMembers).Delete(memberKey(owner, c.Created, c.Room)); err != nil {
			return err
		}
		if err := addToCount(tx, owner, -1); err != nil {
			return err
		}
	}
	return nil
}

// countChats returns the length of the owner's list. It is kept beside the
// list, so that a page costs no walk over all of it.
func countChats(tx *bolt.Tx, owner string) int {
	v := tx.Bucket(bucketMembers).Get(prefix(owner))
	if len(v) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(v))
}

func addToCount(tx *bolt.Tx, owner string, n int) error {
	n += countChats(tx, owner)
	if n <= 0 {
		return tx.Bucket(bucketMembers).Delete(prefix(owner))
	}
	return tx.Bucket(bucketMembers).Put(prefix(owner), binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// A chat row is seconds (8 bytes), nanoseconds (4), length of owner, owner, info.
func encodeChat(c Chat) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.Created.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Created.Nanosecond()))
	b = binary.AppendUvarint(b, uint64(len(c.Owner)))
	b = append(b, c.Owner...)
	return append(b, c.Info...)
}

func decodeChat(room string, b []byte) (Chat, error) {
	if len(b) < 12 {
		return Chat{}, fmt.Errorf("%w: short chat row of room %q", ErrCorrupt, room)
	}
	created := time.Unix(int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))).UTC()
	n, width := binary.Uvarint(b[12:])
	if width <= 0 || n > uint64(len(b)-12-width) {
		return Chat{}, fmt.Errorf("%w: chat row of room %q", ErrCorrupt, room)
	}
	rest := b[12+width:]
	return Chat{Room: room, Owner: string(rest[:n]), Created: created, Info: bytes.Clone(rest[n:])}, nil
}
