package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// MaxChatsPage is how many chats [Store.Chats] returns at most.
const MaxChatsPage = 1000

// A Chat is a room's row among the chats. Chats are listed from their rows,
// without reading logs.
type Chat struct {
	Room    string
	Owner   string    // at most MaxOwnerLen bytes without 0x00; "" if the chat is nobody's
	Created time.Time // comes back in UTC
	Info    []byte    // the caller's own encoding

	// Members are other users in whose lists the chat is, each as Owner. Only
	// [Check] gives them back.
	Members []string
}

// Chat returns the room's row, or [ErrNotFound].
func (r *Reader) Chat(room string) (c Chat, err error) {
	if err := checkRoom(room); err != nil {
		return Chat{}, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		c, err = getChat(tx, room)
		return err
	})
	return c, err
}

// Chats returns a page of a user's chats, newest first, and how many there are in all:
// those that the user owns, and those of which the user is a member. An owner of "" stands for everybody. The page begins after
// offset chats and has at most limit of them, and at most [MaxChatsPage]. A limit
// of zero asks for the number alone.
func (r *Reader) Chats(owner string, offset, limit int) (page []Chat, total int, err error) {
	if err := checkOwner(owner); err != nil {
		return nil, 0, err
	}
	limit = min(limit, MaxChatsPage)
	err = r.disk.view(func(tx *bolt.Tx) error {
		total, _ = countChats(tx, owner)
		if offset >= total {
			return nil
		}
		page = pageOfChats(tx, r.disk.log, owner, offset, limit, func(string) bool { return false })
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return page, total, nil
}

// A Placed is a chat, and its place in a list.
type Placed struct {
	Chat
	Place string
}

// ChatsFrom returns the chats of a list, newest first, from a place on, at most limit and
// at most [MaxChatsPage]. The place need not be taken; "" is before all. A place stays the
// same when others come and go. Damaged chats are left out.
func (r *Reader) ChatsFrom(list, place string, limit int) (chats []Placed, err error) {
	if err := checkOwner(list); err != nil {
		return nil, err
	}
	limit = min(limit, MaxChatsPage)
	err = r.disk.view(func(tx *bolt.Tx) error {
		p := prefix(list)
		c := tx.Bucket(bucketMembers).Cursor()
		for k, _ := c.Seek(append(bytes.Clone(p), place...)); bytes.HasPrefix(k, p) && len(chats) < limit; k, _ = c.Next() {
			at := string(k[len(p):])
			if len(at) <= memberTimeLen {
				continue // the count
			}
			chat, err := getChat(tx, at[memberTimeLen:])
			if err != nil {
				r.disk.log.Error("a chat that is listed cannot be read", "err", err)
				continue
			}
			chats = append(chats, Placed{chat, at})
		}
		return nil
	})
	return chats, err
}

// pageOfChats leaves out damaged chats: one of them must not keep the others
// from being listed. Chats that are skipped do not count.
func pageOfChats(tx *bolt.Tx, log *slog.Logger, owner string, offset, limit int, skip func(room string) bool) []Chat {
	var page []Chat
	p := prefix(owner)
	c := tx.Bucket(bucketMembers).Cursor()
	c.Seek(p) // to the count, which sorts before the chats
	for k, _ := c.Next(); bytes.HasPrefix(k, p) && len(page) < limit; k, _ = c.Next() {
		if len(k) <= len(p)+memberTimeLen || skip(string(k[len(p)+memberTimeLen:])) {
			continue
		}
		if offset > 0 {
			offset--
			continue
		}
		chat, err := getChat(tx, string(k[len(p)+memberTimeLen:]))
		if err != nil {
			log.Error("a chat that is listed cannot be read", "err", err)
			continue
		}
		page = append(page, chat)
	}
	return page
}

func getChat(tx *bolt.Tx, room string) (Chat, error) {
	v := tx.Bucket(bucketChats).Get([]byte(room))
	if v == nil {
		return Chat{}, fmt.Errorf("%w: chat of room %q", ErrNotFound, room)
	}
	v, err := unsealWords(tx, bucketChats, []byte(room), v)
	if err != nil {
		return Chat{}, fmt.Errorf("chat row of room %q: %w", room, err)
	}
	return decodeChat(room, v)
}

// putChat writes the row, and the lists too if its place in them has changed. old
// and unread are what [getChat] returns for the room.
func putChat(tx *bolt.Tx, c, old Chat, unread error) error {
	if unread == nil && old.Owner == c.Owner && old.Created.Equal(c.Created) && slices.Equal(membersOf(tx, c.Room), sortedMembers(c)) {
		return putRow(tx, c)
	}
	old.Members = membersOf(tx, c.Room)
	if err := dropLostMarks(tx, old, c); err != nil {
		return err
	}
	if _, err := deleteChat(tx, c.Room); err != nil {
		return err
	}
	if err := listChat(tx, c); err != nil {
		return err
	}
	return putRow(tx, c)
}

func putRow(tx *bolt.Tx, c Chat) error {
	return putWords(tx, bucketChats, []byte(c.Room), encodeChat(c))
}

// deleteChat removes the row, also a damaged one, and its places in the lists.
func deleteChat(tx *bolt.Tx, room string) (found bool, err error) {
	c, err := getChat(tx, room)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		err = unlistRoom(tx, room)
	default:
		c.Members = membersOf(tx, room)
		err = unlistChat(tx, c)
	}
	if err != nil {
		return false, err
	}
	if _, err := deletePrefix(tx.Bucket(bucketShared), prefix(room)); err != nil {
		return false, err
	}
	return true, tx.Bucket(bucketChats).Delete([]byte(room))
}

// unlistRoom is unlistChat for a chat whose row cannot be read. It walks over
// all lists.
func unlistRoom(tx *bolt.Tx, room string) error {
	var owners []string
	var keys [][]byte
	c := tx.Bucket(bucketMembers).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		owner, rest, _ := bytes.Cut(k, []byte{0})
		if len(rest) > memberTimeLen && string(rest[memberTimeLen:]) == room {
			owners, keys = append(owners, string(owner)), append(keys, bytes.Clone(k))
		}
	}
	for i, k := range keys {
		if err := tx.Bucket(bucketMembers).Delete(k); err != nil {
			return err
		}
		if err := addToCount(tx, owners[i], -1); err != nil {
			return err
		}
	}
	return nil
}

// lists returns the users whose lists name the chat. The list of "" names all
// chats.
func (c Chat) lists() []string {
	lists := []string{""}
	if c.Owner != "" {
		lists = append(lists, c.Owner)
	}
	return append(lists, c.Members...)
}

// membersOf returns the members that [listChat] noted, in order.
func membersOf(tx *bolt.Tx, room string) (members []string) {
	p := prefix(room)
	c := tx.Bucket(bucketShared).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		members = append(members, string(k[len(p):]))
	}
	return members
}

func sortedMembers(c Chat) []string {
	if len(c.Members) == 0 {
		return nil
	}
	return slices.Sorted(slices.Values(c.Members))
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
	for _, member := range c.Members {
		if err := tx.Bucket(bucketShared).Put(nameKey(c.Room, member), nil); err != nil {
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
// list, so that a page costs no walk over the whole list. If the number is
// damaged, the list is counted, and whole is false.
func countChats(tx *bolt.Tx, owner string) (n int, whole bool) {
	p := prefix(owner)
	v := tx.Bucket(bucketMembers).Get(p)
	if v == nil {
		return 0, true
	}
	if v, err := unseal(p, v); err == nil && len(v) == 8 {
		return int(binary.BigEndian.Uint64(v)), true
	}
	return walkList(tx, owner), false
}

func walkList(tx *bolt.Tx, owner string) (n int) {
	p := prefix(owner)
	c := tx.Bucket(bucketMembers).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		if len(k) > len(p) {
			n++
		}
	}
	return n
}

// addToCount changes the length of the owner's list, after the list itself.
func addToCount(tx *bolt.Tx, owner string, change int) error {
	n, whole := countChats(tx, owner)
	if whole {
		n += change
	}
	key := prefix(owner)
	if n <= 0 {
		return tx.Bucket(bucketMembers).Delete(key)
	}
	return tx.Bucket(bucketMembers).Put(key, seal(key, binary.BigEndian.AppendUint64(nil, uint64(n))))
}

// A chat row is seconds (8 bytes), nanoseconds (4), length of owner, owner, info.
func encodeChat(c Chat) []byte {
	b := make([]byte, 0, 12+binary.MaxVarintLen16+len(c.Owner)+len(c.Info))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Created.Unix()))
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
