package persistence

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A Commit is what a room adds to the log in one step: all of it or nothing.
//
// A Commit without Entries is accepted if it changes anything else; it too has
// to name the last entry in After. The slices belong to the store until done
// is called.
type Commit struct {
	Room string // letters, digits and '-', at most MaxRoomLen bytes

	// After is the number of the room's last entry as the writer knows it,
	// zero for none. The commit is refused with [ErrConflict] if the log has
	// moved on.
	After   uint64
	Entries [][]byte // they become After+1, After+2 …
	Keys    []Key    // idempotency keys of Entries, refused with ErrConflict if known already
	// Messages are the ids of messages that Entries hold: see [Store.Message].
	// An id that the room knows already leads to the newer entry from then on,
	// as a search from the end of the log would. The server makes ids unique, so
	// only imported records can hold one twice, and a conversation is worth more
	// than its index.
	Messages []Key

	Chat *Chat // if not nil, replaces the room's row among the chats

	// Turn, if not nil, says whether the room has a turn that is queued or
	// running after this commit: see [Store.OpenTurns].
	Turn *bool

	// Text is what the running turn has answered since the commit before this
	// one that had a Text, and TextAt how many bytes those hold: see
	// [Store.Text]. DropText drops the text of earlier commits.
	Text     []byte
	TextAt   int
	DropText bool

	// Snapshot, if not nil, is the room's state after this commit, in its own
	// encoding: see [Store.Snapshot].
	Snapshot []byte

	// Charges are what the turns that end with this commit have cost, all of
	// its room.
	Charges []Charge
}

// A Key binds a name, which is an idempotency key or the id of a message, to
// the entry that it leads to. That has to be one of the same commit, which binds
// no name of a kind twice. Name is 1 to [MaxKeyLen] bytes, any bytes.
type Key struct {
	Name string
	Seq  uint64
}

// requestOverhead is what one commit costs in memory besides its bytes,
// roughly, so that tiny commits too are bounded by a limit in bytes.
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
	}
	return n
}

// check refuses what no state of the log would accept.
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
	return checkOwner(c.Chat.Owner)
}

// logFill is how full a page of the log stays when it is split. A room's
// entries come in order, so what is left free in a page that is not the
// room's last stays free for ever: with bbolt's 0.5 the file is nearly twice
// as large, and commits take longer.
const logFill = 0.9

// write puts the commit into the transaction. An [ErrConflict] comes before
// the first change; any other error leaves the transaction unfit to commit.
func (c *Commit) write(tx *bolt.Tx) error {
	log, dedup := tx.Bucket(bucketLog), tx.Bucket(bucketDedup)
	if err := c.follows(log, dedup); err != nil {
		return err
	}
	log.FillPercent = logFill
	for i, e := range c.Entries {
		key := logKey(c.Room, c.After+1+uint64(i))
		if err := log.Put(key, seal(key, e)); err != nil {
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
	if c.Chat == nil {
		return nil
	}
	return putChat(tx, *c.Chat)
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

// follows refuses the commit if it does not follow the room's last entry. The
// log has no gaps, so its end is where After is and After+1 is not; a cursor
// that steps back would stop at pages that a [Store.Delete] of the same
// transaction has emptied.
func (c *Commit) follows(log, dedup *bolt.Bucket) error {
	if c.After > 0 && !has(log, logKey(c.Room, c.After)) || has(log, logKey(c.Room, c.After+1)) {
		return fmt.Errorf("%w: entry %d is not the last one of room %q", ErrConflict, c.After, c.Room)
	}
	for _, k := range c.Keys {
		if has(dedup, nameKey(c.Room, k.Name)) {
			return fmt.Errorf("%w: room %q knows the key of entry %d already", ErrConflict, c.Room, k.Seq)
		}
	}
	return nil
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

// deleteRoom removes everything of a room. An [ErrNotFound] comes before the
// first change.
func deleteRoom(tx *bolt.Tx, room string) error {
	removed, err := deletePrefix(tx.Bucket(bucketLog), prefix(room))
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
	if err := deleteState(tx, room); err != nil {
		return err
	}
	if err := forgetRoom(tx, room); err != nil {
		return err
	}
	return turns.Delete([]byte(room))
}
