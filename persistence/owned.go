package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A Quota limits what the chats of one owner may take, and what one user may mark. A zero
// means no limit. Chats that are nobody's have no quota.
type Quota struct {
	Chats int
	Bytes int64 // see [Share]

	Folders int // see [Mark]
	Pinned  int
}

// A Share is what the chats that an owner owns take. Bytes are those of the rows that a
// chat adds to the file with each entry: entries, idempotency keys and ids of messages; and
// those of its files. They count the same whether values are encrypted or not. Pages have
// some free space besides.
type Share struct {
	Chats int
	Bytes int64
}

// Share returns what the chats of an owner take.
func (r *Reader) Share(owner string) (s Share, err error) {
	if err := checkOwner(owner); err != nil {
		return Share{}, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		s, _ = shareOf(tx, owner)
		return nil
	})
	return s, err
}

// An Owned is an owner and the owner's share.
type Owned struct {
	Owner string
	Share
}

// Shares yields the shares of all owners, sorted by owner. It reads in short
// transactions. Damaged ones are left out and logged. After an error it yields no more.
func (r *Reader) Shares() iter.Seq2[Owned, error] {
	return func(yield func(Owned, error) bool) {
		for next := []byte{}; next != nil; {
			var shares []Owned
			err := r.disk.view(func(tx *bolt.Tx) error {
				shares, next = r.sharesAt(tx.Bucket(bucketOwned).Cursor(), next)
				return nil
			})
			if err != nil {
				yield(Owned{}, err)
				return
			}
			for _, s := range shares {
				if !yield(s, nil) {
					return
				}
			}
		}
	}
}

func (r *Reader) sharesAt(c *bolt.Cursor, start []byte) (shares []Owned, next []byte) {
	for k, v := c.Seek(start); k != nil; k, v = c.Next() {
		if len(shares) == maxChunkEntries {
			return shares, bytes.Clone(k)
		}
		s, err := unsealShare(k, v)
		if err != nil {
			r.disk.log.Error("the share of an owner cannot be read", "err", err)
			continue
		}
		shares = append(shares, Owned{string(bytes.TrimSuffix(k, []byte{0})), s})
	}
	return shares, nil
}

// A share is two numbers of 8 bytes.
func sealShare(key []byte, s Share) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(s.Chats))
	return seal(key, binary.BigEndian.AppendUint64(v, uint64(s.Bytes)))
}

func unsealShare(key, b []byte) (Share, error) {
	v, err := unseal(key, b)
	if err == nil && len(v) != 16 {
		err = fmt.Errorf("%w: a share of %d bytes", ErrCorrupt, len(v))
	}
	if err != nil {
		return Share{}, err
	}
	return Share{int(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))}, nil
}

// shareOf returns the share of an owner. It is kept, so that commits need not add it up.
// If it is damaged, the rows are added up, and whole is false.
func shareOf(tx *bolt.Tx, owner string) (s Share, whole bool) {
	key := prefix(owner)
	v := tx.Bucket(bucketOwned).Get(key)
	if v == nil {
		return Share{}, true
	}
	if s, err := unsealShare(key, v); err == nil {
		return s, true
	}
	list := tx.Bucket(bucketMembers).Cursor()
	for k, _ := list.Seek(key); bytes.HasPrefix(k, key); k, _ = list.Next() {
		if len(k) <= len(key)+memberTimeLen {
			continue
		}
		room := string(k[len(key)+memberTimeLen:])
		if c, err := getChat(tx, room); err == nil && c.Owner == owner { // the list has the chats of others too
			s.Chats, s.Bytes = s.Chats+1, s.Bytes+bytesIn(tx, room)
		}
	}
	return s, false
}

// addToShare changes a share, after the rows themselves.
func addToShare(tx *bolt.Tx, owner string, change Share) error {
	if change == (Share{}) {
		return nil
	}
	s, whole := shareOf(tx, owner)
	if whole {
		s.Chats, s.Bytes = s.Chats+change.Chats, s.Bytes+change.Bytes
	}
	return putShare(tx, owner, s)
}

func putShare(tx *bolt.Tx, owner string, s Share) error {
	key := prefix(owner)
	if s.Chats <= 0 {
		return tx.Bucket(bucketOwned).Delete(key)
	}
	return tx.Bucket(bucketOwned).Put(key, sealShare(key, s))
}

// growing are the buckets to which a room adds rows with its entries and files.
var growing = [][]byte{bucketLog, bucketDedup, bucketMessages, bucketFiles, bucketBlobs}

// bytesIn adds up the rows of a room.
func bytesIn(tx *bolt.Tx, room string) (n int64) {
	for _, bucket := range growing {
		n += bytesBelow(tx, bucket, prefix(room))
	}
	return n
}

// rowBytes is how many bytes the commit adds to the rows of its room.
func (c *Commit) rowBytes(tx *bolt.Tx) (n int64) {
	key := int64(len(c.Room) + 1)
	for _, e := range c.Entries {
		n += key + 8 + int64(len(e)) + sealLen
	}
	for _, k := range c.Keys {
		n += key + int64(len(k.Name)) + 8 + sealLen
	}
	messages := tx.Bucket(bucketMessages)
	for _, m := range c.Messages {
		if !has(messages, nameKey(c.Room, m.Name)) {
			n += key + int64(len(m.Name)) + 8 + sealLen
		}
	}
	return n
}

// A bill says how a commit changes what owners have.
type bill struct {
	before Chat  // the row before the commit
	known  bool  // there was one
	added  int64 // bytes of rows
	moved  int64 // bytes of the room before the commit, if the commit gives it to another owner

	// has is what the owner after the commit had before it, if that was read.
	has  Share
	read bool
}

// bill returns the bill of a commit. before and unread are what [getChat] returns for
// its room. If the row of the chat is damaged and not replaced,
// nobody knows whom to bill, and [Check] reports the row.
func (c *Commit) bill(tx *bolt.Tx, before Chat, unread error) bill {
	b := bill{added: c.rowBytes(tx), before: before, known: unread == nil}
	if errors.Is(unread, ErrCorrupt) && c.Chat != nil {
		b.before.Owner, b.known = listedOwner(tx, c.Room)
	}
	if c.Chat != nil && !b.owns(c.Chat.Owner) {
		b.moved = bytesIn(tx, c.Room)
	}
	return b
}

// owns reports whether the owner had the chat before the commit.
func (b *bill) owns(owner string) bool { return b.known && b.before.Owner == owner }

// within returns an error if the commit would exceed the quota of the owner.
func (c *Commit) within(tx *bolt.Tx, q Quota, b *bill) error {
	owner := ""
	switch {
	case c.Chat != nil:
		owner = c.Chat.Owner
	case b.known:
		owner = b.before.Owner
	}
	if !c.Limited || owner == "" || q == (Quota{}) {
		return nil
	}
	b.has, b.read = shareOf(tx, owner)
	switch {
	case !b.owns(owner) && q.Chats > 0 && b.has.Chats >= q.Chats:
		return fmt.Errorf("%w: %d", ErrChatQuota, b.has.Chats)
	case q.Bytes > 0 && b.has.Bytes+b.moved+b.added > q.Bytes:
		return fmt.Errorf("%w: %d and %d more", ErrByteQuota, b.has.Bytes, b.moved+b.added)
	}
	return nil
}

// charge changes the shares of the owners, after the rows of the commit.
func (b *bill) charge(tx *bolt.Tx, chat *Chat) error {
	switch {
	case chat == nil && !b.known:
		return nil
	case chat == nil || b.owns(chat.Owner):
		return b.add(tx, b.before.Owner, Share{0, b.added})
	case b.known:
		if err := addToShare(tx, b.before.Owner, Share{-1, -b.moved}); err != nil {
			return err
		}
	}
	return b.add(tx, chat.Owner, Share{1, b.moved + b.added})
}

// add changes the share of the owner after the commit, without a second look at it.
func (b *bill) add(tx *bolt.Tx, owner string, change Share) error {
	if !b.read || change == (Share{}) {
		return addToShare(tx, owner, change)
	}
	return putShare(tx, owner, Share{b.has.Chats + change.Chats, b.has.Bytes + change.Bytes})
}

// ownerOf returns the owner of a room that has a chat.
func ownerOf(tx *bolt.Tx, room string) (owner string, ok bool) {
	c, err := getChat(tx, room)
	if errors.Is(err, ErrCorrupt) {
		return listedOwner(tx, room)
	}
	return c.Owner, err == nil
}

// listedOwner is ownerOf for a chat whose row cannot be read. It walks over all lists.
func listedOwner(tx *bolt.Tx, room string) (owner string, ok bool) {
	members := membersOf(tx, room)
	c := tx.Bucket(bucketMembers).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		of, rest, _ := bytes.Cut(k, []byte{0})
		if len(rest) > memberTimeLen && string(rest[memberTimeLen:]) == room {
			ok = true // also if it is nobody's, which only the list of all chats names
			if !slices.Contains(members, string(of)) {
				owner = string(of) // the list of all chats comes first
			}
		}
	}
	return owner, ok
}

// Limits of one transaction of [sizeAll].
const (
	sizingRooms = 10_000
	sizingBytes = 64 << 20 // the last room may exceed it
)

// addOwned leads from version 5 to 6. [sizeAll] then adds up what is there.
func addOwned(tx *bolt.Tx) error {
	if err := createBuckets(tx, bucketOwned); err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keySizing, nil)
}

// sizeAll adds up the bytes of the chats in a file of version 5, some chats in each
// transaction.
func sizeAll(d *disk) error { return goOn(d, keySizing, sizeChats) }

// sizeChats adds up the chats that follow after. It returns the last of them, or nil if
// no chat is left. A chat whose row is damaged has no owner: [Check] reports it.
func sizeChats(tx *bolt.Tx, after []byte) (next []byte, err error) {
	c := tx.Bucket(bucketChats).Cursor()
	size := int64(0)
	k, _ := c.Seek(append(after, 0)) // the next possible name
	for n := 0; k != nil; k, _ = c.Next() {
		if n == sizingRooms || size > sizingBytes {
			return after, nil
		}
		n, after = n+1, bytes.Clone(k)
		chat, err := getChat(tx, string(k))
		switch {
		case errors.Is(err, ErrCorrupt):
			continue
		case err != nil:
			return nil, err
		}
		b := bytesIn(tx, chat.Room)
		size += b
		if err := addToShare(tx, chat.Owner, Share{1, b}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
