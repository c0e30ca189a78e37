package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A Fault is something that is wrong with a file.
type Fault struct {
	Room string // "" if the fault is not about a room
	Seq  uint64 // 0 if the fault is not about an entry
	What string
}

// A Checking configures [Check]. Report is called for each fault. Room and
// Session check what this package stores without knowing what it means. Each may
// be nil.
type Checking struct {
	Options Options
	Report  func(Fault)
	Room    func(RoomRows) []Fault
	Session func(key string, value []byte) error
}

// RoomRows are all rows of a room. They are valid during the call.
type RoomRows struct {
	Room    string
	Entries iter.Seq[Entry] // up to the first that is missing or damaged; Data is valid until the next one
	Whole   bool            // no entry is missing or damaged
	Chat    *Chat           // nil if there is no row, or it is damaged
	Turn    bool            // the room is noted as one with an open turn

	Keys, Messages []Key // without the damaged ones

	Charges []Charge // what the room has cost; damaged rows have counts of zero

	bytes int64 // of the rows that count for the owner

	Snapshot   []byte // nil if there is none, or it is damaged
	SnapshotAt uint64 // the number of the last entry that the snapshot includes
}

// A Summary counts what a file holds.
type Summary struct {
	Chats, Records, Sessions int
	Bytes                    int64
}

// Check reads all of a file and reports what is wrong with it. It never writes to
// the file. It returns an error if it cannot read the file, or cannot go on: the
// error names the file, and is [ErrLocked] while another process writes to it.
//
// If somebody cuts the file short meanwhile, the process ends.
func Check(path string, c Checking) (Summary, error) {
	if c.Report == nil {
		c.Report = func(Fault) {}
	}
	k := &checker{Checking: c, owned: make(map[string]Share)}
	if err := k.file(path); err != nil {
		return k.sum, fmt.Errorf("check database %s: %w", path, err)
	}
	return k.sum, nil
}

type checker struct {
	Checking
	sum   Summary
	owned map[string]Share // by owner; nil if the row of a chat is damaged
}

func (k *checker) fault(room string, seq uint64, format string, args ...any) {
	k.Report(Fault{room, seq, fmt.Sprintf(format, args...)})
}

// file checks the roots, then the pages, then the rows. It goes on only if it
// can trust what it has checked so far.
func (k *checker) file(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	k.sum.Bytes = info.Size()
	if info.Size() == 0 {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	o := k.Options.withDefaults()
	ring := o.Keys
	o.keyless = true // its record is read when the pages have been scanned
	d, err := openDisk(path, o, true)
	if err != nil {
		return err
	}
	defer d.close()
	if err := k.roots(d); err != nil {
		return err
	}
	if err := k.pages(d, info.Size()); err != nil {
		return err
	}
	if err := d.readKeys(ring); err != nil {
		return err
	}
	return d.view(func(tx *bolt.Tx) error {
		k.contents(tx)
		return nil
	})
}

// pages checks the pages and the format.
func (k *checker) pages(d *disk, size int64) error {
	return d.view(func(tx *bolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("%w: cut short: %d bytes long where %d are in use", ErrCorrupt, size, tx.Size())
		}
		if err := newScan(tx, d.file).run(); err != nil {
			return fmt.Errorf("what is in the file was not looked at, since its pages are damaged: %w", err)
		}
		for err := range tx.Check() {
			k.fault("", 0, "bbolt: %v", err)
		}
		return (&Reader{disk: d}).prepare()
	})
}

// roots checks the two meta pages. bbolt is content with one. It may then show
// the state before the last commit, and does not say so.
func (k *checker) roots(d *disk) error {
	size := d.db.Info().PageSize
	pages := make([]byte, 2*size)
	if _, err := d.file.ReadAt(pages, 0); err != nil {
		return err
	}
	for i := range 2 {
		if !validRoot(pages[i*size:]) {
			k.fault("", 0, "root page %d is damaged: the last commit may be lost", i)
		}
	}
	return nil
}

// validRoot checks bbolt's own checksum (FNV-1a). The root lies behind the header
// of its page and ends with the checksum.
func validRoot(page []byte) bool {
	const length = 56
	root := page[pageHeaderLen:]
	h := fnv.New64a()
	h.Write(root[:length])
	return h.Sum64() == binary.NativeEndian.Uint64(root[length:])
}

func (k *checker) contents(tx *bolt.Tx) {
	rooms := roomsIn(tx)
	lists := k.lists(tx)
	for _, room := range rooms {
		rows := k.room(tx, room, lists)
		if k.Room == nil {
			continue
		}
		for _, f := range k.Room(rows) {
			k.Report(f)
		}
	}
	for place := range lists {
		k.fault(place.room, 0, "the list of %q names it, where it does not belong", place.owner)
	}
	k.shares(tx)
	k.usage(tx)
	k.sessions(tx)
	k.accounts(tx)
	k.hooks(tx)
	k.marks(tx)
	k.audit(tx)
	k.parts(tx)
}

// roomsIn returns the names of all rooms that have a row anywhere.
func roomsIn(tx *bolt.Tx) []string {
	names := make(map[string]bool)
	for _, bucket := range [][]byte{bucketLog, bucketDedup, bucketMessages, bucketChats, bucketTurns, bucketSnapshots, bucketTexts, bucketCharged, bucketShared, bucketRead, bucketFiles, bucketBlobs, bucketUploads, bucketMarkers} {
		c := tx.Bucket(bucket).Cursor()
		for k, _ := c.First(); k != nil; {
			room, _, _ := bytes.Cut(k, []byte{0})
			names[string(room)] = true
			k, _ = c.Seek(append(bytes.Clone(room), 1)) // behind the keys of the room
		}
	}
	rooms := make([]string, 0, len(names))
	for name := range names {
		rooms = append(rooms, name)
	}
	slices.Sort(rooms)
	return rooms
}

// room reads the rows of a room, and removes its places from lists. The places
// that are left in the end belong to no chat.
func (k *checker) room(tx *bolt.Tx, room string, lists map[listPlace]bool) RoomRows {
	rows := RoomRows{Room: room, Turn: has(tx.Bucket(bucketTurns), []byte(room))}
	if err := checkRoom(room); err != nil {
		k.fault(room, 0, "%v", err)
	}
	k.entries(tx, &rows)
	rows.Keys = k.keys(tx, bucketDedup, "an idempotency key", &rows)
	rows.Messages = k.keys(tx, bucketMessages, "a message id", &rows)
	k.state(tx, &rows)
	k.charges(tx, &rows)
	k.read(tx, room)
	rows.bytes += k.files(tx, room)
	if !has(tx.Bucket(bucketChats), []byte(room)) {
		return rows
	}
	k.sum.Chats++
	chat, err := getChat(tx, room)
	if err != nil {
		k.fault(room, 0, "%v", err)
		k.owned = nil
		return rows
	}
	chat.Members = membersOf(tx, room)
	rows.Chat = &chat
	if k.owned != nil {
		share := k.owned[chat.Owner]
		k.owned[chat.Owner] = Share{share.Chats + 1, share.Bytes + rows.bytes}
	}
	for _, owner := range chat.lists() {
		place := listPlace{owner, room, string(memberKey(owner, chat.Created, room))}
		if !lists[place] {
			k.fault(room, 0, "the list of %q lacks it", owner)
		}
		delete(lists, place)
	}
	return rows
}

func (k *checker) entries(tx *bolt.Tx, rows *RoomRows) {
	p, next := prefix(rows.Room), uint64(1)
	rows.bytes += bytesBelow(tx, bucketLog, p)
	rows.Whole, rows.Entries = true, soundEntries(tx, p)
	c := tx.Bucket(bucketLog).Cursor()
	for key, v := c.Seek(p); bytes.HasPrefix(key, p); key, v = c.Next() {
		if len(key) != len(p)+8 {
			k.fault(rows.Room, 0, "the log has a key of %d bytes", len(key))
			continue
		}
		k.sum.Records++
		seq := binary.BigEndian.Uint64(key[len(p):])
		if seq != next {
			k.fault(rows.Room, next, "missing: the next entry is %d", seq)
			rows.Whole = false
		}
		next = seq + 1
		if _, err := valueIn(tx, bucketLog, key, v); err != nil {
			k.fault(rows.Room, seq, "%v", err)
			rows.Whole = false
		}
	}
}

// soundEntries yields the entries whose keys begin with p, up to the first that is missing
// or damaged. They are read one by one, since a room may be larger than the memory.
func soundEntries(tx *bolt.Tx, p []byte) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		c := tx.Bucket(bucketLog).Cursor()
		key, v := c.Seek(p)
		for seq := uint64(1); bytes.Equal(key, binary.BigEndian.AppendUint64(p[:len(p):len(p)], seq)); seq++ {
			data, err := valueIn(tx, bucketLog, key, v)
			if err != nil || !yield(Entry{seq, data}) {
				return
			}
			key, v = c.Next()
		}
	}
}

func (k *checker) keys(tx *bolt.Tx, bucket []byte, kind string, rows *RoomRows) (keys []Key) {
	p := prefix(rows.Room)
	c := tx.Bucket(bucket).Cursor()
	for key, v := c.Seek(p); bytes.HasPrefix(key, p); key, v = c.Next() {
		rows.bytes += int64(len(key) + len(v))
		seq, err := unsealSeq(key, v)
		if err != nil {
			k.fault(rows.Room, 0, "%s: %v", kind, err)
			continue
		}
		keys = append(keys, Key{string(key[len(p):]), seq})
	}
	return keys
}

// read looks at what users have read.
func (k *checker) read(tx *bolt.Tx, room string) {
	p := prefix(room)
	c := tx.Bucket(bucketRead).Cursor()
	for key, v := c.Seek(p); bytes.HasPrefix(key, p); key, v = c.Next() {
		if _, err := unsealSeq(key, v); err != nil {
			k.fault(room, 0, "what a user has read: %v", err)
		}
	}
}

func (k *checker) state(tx *bolt.Tx, rows *RoomRows) {
	var err error
	if rows.SnapshotAt, rows.Snapshot, err = getSnapshot(tx, rows.Room); err != nil {
		k.fault(rows.Room, 0, "the snapshot, which can be done without: %v", err)
	}
	if _, err := getText(tx, rows.Room); err != nil {
		k.fault(rows.Room, 0, "%v", err)
	}
}

func (k *checker) sessions(tx *bolt.Tx) {
	c := tx.Bucket(bucketSessions).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		k.sum.Sessions++
		value, err := unsealWords(tx, bucketSessions, key, v)
		if err == nil && k.Session != nil {
			err = k.Session(string(key), value)
		}
		if err != nil {
			k.fault("", 0, "a session: %v", err)
		}
	}
}
