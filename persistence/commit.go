package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A Commit is what a room adds to the store in one step: all of it or nothing.
//
// A Commit without Entries is accepted if it changes something else. It too has
// to name the last entry in After. The slices belong to the store until done
// is called.
type Commit struct {
	Room string // letters, digits and '-', at most MaxRoomLen bytes

	// After is the number of the last entry that the caller knows of, zero for
	// none. If the room's log ends elsewhere, the commit is refused with
	// [ErrConflict].
	After   uint64
	Entries [][]byte // they become After+1, After+2 …
	Keys    []Key    // idempotency keys of Entries; one that the room knows already is an ErrConflict

	// Messages are the ids of the messages that Entries hold: see
	// [Store.Message]. If the room knows an id already, the id leads to the newer
	// entry from then on, as a search from the end of the log would. It is not
	// refused: the server makes ids unique, so only imported records can repeat
	// one, and a conversation is worth more than its index.
	Messages []Key

	// Chat, if not nil, replaces the room's row among the chats.
	Chat *Chat

	// Turn, if not nil, tells whether a turn of the room is queued or running
	// after this commit: see [Store.OpenTurns].
	Turn *bool

	// Text is the next piece of the running turn's answer, and TextAt the length
	// of the pieces before it, in bytes: see [Store.Text]. DropText drops the
	// pieces of earlier commits.
	Text     []byte
	TextAt   int
	DropText bool

	// Snapshot, if not nil, is the room's state after this commit, in its own
	// encoding: see [Store.Snapshot].
	Snapshot []byte

	// Limited commits are refused with [ErrChatQuota] or [ErrByteQuota] if the owner of
	// the chat would have more than [Options.Quota] allows. Others are not: what was
	// begun has to be ended.
	Limited bool

	// Flow names the line in which the commit waits. Lines take turns, so it should
	// name whoever causes commits, over many rooms: the owner of the chat. The commits
	// of a room keep their order also if it changes.
	Flow string

	// Charges are what the turns have cost that end with this commit. All are
	// charges of its room.
	Charges []Charge
}

// A Key is an idempotency key or the id of a message, and the number of the
// entry that it leads to. The entry has to be one of the same commit, and a
// commit must not hold a name of one kind twice. Name is 1 to [MaxKeyLen] bytes,
// any bytes.
type Key struct {
	Name string
	Seq  uint64
}

// requestOverhead is about how much memory one commit takes besides its bytes.
// It is counted so that a limit in bytes bounds tiny commits too.
const requestOverhead = 256

func (c *Commit) size() int {
	n := requestOverhead + len(c.Text) + len(c.Snapshot)
	for _, e := range c.Entries {
		n += len(e)
	}
	for _, k := range c.Keys {
		n += len(k.Name)
	}
	for _, m := range c.Messages {
		n += len(m.Name)
	}
	for _, charge := range c.Charges {
		n += len(charge.User) + len(charge.Model)
	}
	if c.Chat != nil {
		n += len(c.Chat.Owner) + len(c.Chat.Info)
		for _, m := range c.Chat.Members {
			n += len(m)
		}
	}
	return n
}

// check refuses a commit that no state of the log would accept.
func (c *Commit) check(maxBytes int) error {
	if err := checkRoom(c.Room); err != nil {
		return err
	}
	if n := c.size(); n > maxBytes {
		return fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, n, maxBytes)
	}
	if len(c.Entries) == 0 && c.Chat == nil && c.Turn == nil && c.Text == nil && !c.DropText && c.Snapshot == nil && c.Charges == nil {
		return fmt.Errorf("%w: a commit to room %q changes nothing", ErrInvalid, c.Room)
	}
	if err := c.checkKeys("key", c.Keys); err != nil {
		return err
	}
	if err := c.checkKeys("message id", c.Messages); err != nil {
		return err
	}
	if err := c.checkCharges(); err != nil {
		return err
	}
	return c.checkChat()
}

func (c *Commit) checkKeys(kind string, keys []Key) error {
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if err := checkKey(k.Name); err != nil {
			return err
		}
		if k.Seq <= c.After || k.Seq-c.After > uint64(len(c.Entries)) {
			return fmt.Errorf("%w: a %s of room %q names entry %d, which is not of its commit", ErrInvalid, kind, c.Room, k.Seq)
		}
		if seen[k.Name] {
			return fmt.Errorf("%w: a commit to room %q binds one %s twice", ErrInvalid, c.Room, kind)
		}
		seen[k.Name] = true
	}
	return nil
}

func (c *Commit) checkChat() error {
	if c.Chat == nil {
		return nil
	}
	if c.Chat.Room != c.Room {
		return fmt.Errorf("%w: a commit to room %q carries another room's chat", ErrInvalid, c.Room)
	}
	seen := map[string]bool{c.Chat.Owner: true}
	for _, m := range c.Chat.Members {
		if err := checkOwner(m); err != nil {
			return err
		}
		if m == "" || seen[m] {
			return fmt.Errorf("%w: a chat names a member twice, or one without a name", ErrInvalid)
		}
		seen[m] = true
	}
	return checkOwner(c.Chat.Owner)
}

// logFill is how full a page of the log is left when it is split. A room's
// entries come in order, so the free part of a page is never filled later,
// unless it is the room's last page. With bbolt's 0.5 the file is nearly twice
// as large, and commits take longer.
const logFill = 0.9

// write puts the commit into the transaction. If it returns [ErrConflict],
// [ErrChatQuota] or [ErrByteQuota], it has changed nothing. After any other error the
// transaction must not be committed.
func (c *Commit) write(tx *bolt.Tx, q Quota) error {
	log, dedup := tx.Bucket(bucketLog), tx.Bucket(bucketDedup)
	if err := c.follows(log, dedup); err != nil {
		return err
	}
	before, unread := getChat(tx, c.Room)
	bill := c.bill(tx, before, unread)
	if err := c.within(tx, q, &bill); err != nil {
		return err
	}
	log.FillPercent = logFill
	for i, e := range c.Entries {
		key := logKey(c.Room, c.After+1+uint64(i))
		if err := putValue(tx, bucketLog, key, e); err != nil {
			return err
		}
	}
	if err := putKeys(dedup, c.Room, c.Keys); err != nil {
		return err
	}
	if err := putKeys(tx.Bucket(bucketMessages), c.Room, c.Messages); err != nil {
		return err
	}
	if err := c.writeTurn(tx.Bucket(bucketTurns)); err != nil {
		return err
	}
	if err := c.writeState(tx); err != nil {
		return err
	}
	if err := putCharges(tx, c.Charges); err != nil {
		return err
	}
	if c.Chat != nil {
		if err := putChat(tx, *c.Chat, before, unread); err != nil {
			return err
		}
	}
	return bill.charge(tx, c.Chat)
}

func putKeys(b *bolt.Bucket, room string, keys []Key) error {
	for _, k := range keys {
		key := nameKey(room, k.Name)
		if err := b.Put(key, seal(key, binary.BigEndian.AppendUint64(nil, k.Seq))); err != nil {
			return err
		}
	}
	return nil
}

// follows refuses the commit if it does not follow the room's last entry.
func (c *Commit) follows(log, dedup *bolt.Bucket) error {
	if !endsAt(log, c.Room, c.After) {
		return fmt.Errorf("%w: entry %d is not the last one of room %q", ErrConflict, c.After, c.Room)
	}
	for _, k := range c.Keys {
		if has(dedup, nameKey(c.Room, k.Name)) {
			return fmt.Errorf("%w: room %q knows the key of entry %d already", ErrConflict, c.Room, k.Seq)
		}
	}
	return nil
}

// endsAt reports whether entry seq is the room's last one. The log has no gaps, so
// it is if it exists and seq+1 does not, which is the next key then. A cursor that
// steps back would be wrong here: it stops at pages that a [Store.Delete] of the
// same transaction has emptied.
func endsAt(log *bolt.Bucket, room string, seq uint64) bool {
	if seq == 0 {
		return !has(log, logKey(room, 1))
	}
	c, key := log.Cursor(), logKey(room, seq)
	if k, _ := c.Seek(key); !bytes.Equal(k, key) {
		return false
	}
	next, _ := c.Next()
	return !bytes.Equal(next, logKey(room, seq+1))
}

func (c *Commit) writeTurn(turns *bolt.Bucket) error {
	switch {
	case c.Turn == nil:
		return nil
	case *c.Turn:
		return turns.Put([]byte(c.Room), nil)
	}
	return turns.Delete([]byte(c.Room))
}

// deleteRoom removes everything of a room. If it returns [ErrNotFound], it has
// changed nothing.
func (c *deleteRoom) apply(tx *bolt.Tx) error {
	room := c.room
	owner, owned := ownerOf(tx, room)
	size := bytesIn(tx, room)
	removed, err := deleteValues(tx, bucketLog, prefix(room))
	if err != nil {
		return err
	}
	keys, err := deletePrefix(tx.Bucket(bucketDedup), prefix(room))
	if err != nil {
		return err
	}
	messages, err := deletePrefix(tx.Bucket(bucketMessages), prefix(room))
	if err != nil {
		return err
	}
	chat, err := deleteChat(tx, room)
	if err != nil {
		return err
	}
	turns := tx.Bucket(bucketTurns)
	turn := has(turns, []byte(room))
	if removed+keys+messages == 0 && !chat && !turn {
		return fmt.Errorf("%w: room %q", ErrNotFound, room)
	}
	if owned {
		if err := addToShare(tx, owner, Share{-1, -size}); err != nil {
			return err
		}
	}
	if err := deleteState(tx, room); err != nil {
		return err
	}
	if err := deleteFiles(tx, room); err != nil {
		return err
	}
	if err := forgetRoom(tx, room); err != nil {
		return err
	}
	for _, bucket := range [][]byte{bucketRead, bucketHooks} {
		if _, err := deletePrefix(tx.Bucket(bucket), prefix(room)); err != nil {
			return err
		}
	}
	if err := dropMarks(tx, room); err != nil {
		return err
	}
	return turns.Delete([]byte(room))
}
