package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// An Hour is the number of an hour of UTC, counted from 1970.
type Hour uint32

// EndOfHours is after every hour.
const EndOfHours Hour = math.MaxUint32

// HourOf returns the hour that t is in.
func HourOf(t time.Time) Hour {
	return Hour(min(max(0, t.Unix()/3600), int64(EndOfHours)-1))
}

// Time returns when the hour begins, in UTC.
func (h Hour) Time() time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

// A Charge is what one user's turns with one model have cost in one room within
// one hour. Names hold no 0x00 and are at most [MaxOwnerLen] and [MaxModelLen]
// bytes long. The store adds a Charge to what it has for the same user, hour,
// room and model.
type Charge struct {
	User  string
	Hour  Hour
	Room  string // "" stands for all rooms that were deleted
	Model string
	Count
}

// A Count counts turns and tokens.
type Count struct {
	Turns      uint64
	Estimated  uint64 // how many of Turns have estimated tokens instead of counted ones
	Prompt     uint64 // tokens
	Completion uint64 // tokens
}

// Add adds o to c.
func (c *Count) Add(o Count) {
	c.Turns += o.Turns
	c.Estimated += o.Estimated
	c.Prompt += o.Prompt
	c.Completion += o.Completion
}

// Tokens returns the sum of both kinds of tokens.
func (c Count) Tokens() uint64 { return c.Prompt + c.Completion }

func (c *Commit) checkCharges() error {
	for _, charge := range c.Charges {
		if err := charge.check(c.Room); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a charge that is not one of the room.
func (c Charge) check(room string) error {
	switch err := checkOwner(c.User); {
	case err != nil:
		return err
	case c.Room != room:
		return fmt.Errorf("%w: a commit to room %q carries another room's charge", ErrInvalid, room)
	case len(c.Model) > MaxModelLen || strings.IndexByte(c.Model, 0) >= 0:
		return fmt.Errorf("%w: a charge of room %q for a model of %d bytes, or with a zero byte", ErrInvalid, room, len(c.Model))
	}
	return nil
}

// Charge queues what was used outside of any room, and returns. It is added to what the rooms
// have cost that were deleted. done is called as [Store.Append] calls it.
func (s *Writes) Charge(c Charge, done func(error)) {
	size := requestOverhead + len(c.User) + len(c.Model)
	s.enqueue(&request{flow: c.User, change: &charge{c}, size: size, err: c.check(""), done: done})
}

func putCharges(tx *bolt.Tx, charges []Charge) error {
	for _, c := range charges {
		if err := addCharge(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// addCharge adds to the row of the charge. A damaged row is begun anew, since it
// must not stop the room. [Check] reports that the row lacks something.
func addCharge(tx *bolt.Tx, c Charge) error {
	usage, key := tx.Bucket(bucketUsage), c.key()
	row := usage.Get(key)
	if count, err := decodeCount(key, row); err == nil {
		c.Add(count)
	}
	if err := usage.Put(key, encodeCount(key, c.Count)); err != nil || row != nil || c.Room == "" {
		return err
	}
	return tx.Bucket(bucketCharged).Put(c.place(), nil)
}

// forgetRoom moves what a room has cost to the rows of deleted rooms.
func forgetRoom(tx *bolt.Tx, room string) error {
	rows, err := dropCharges(tx, room)
	if err != nil {
		return err
	}
	for _, c := range rows {
		c.Room = ""
		if err := addCharge(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// dropCharges removes what a room has cost, and returns it.
func dropCharges(tx *bolt.Tx, room string) ([]Charge, error) {
	rows, _, err := chargesOfRoom(tx, room)
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if err := tx.Bucket(bucketUsage).Delete(c.key()); err != nil {
			return nil, err
		}
	}
	_, err = deletePrefix(tx.Bucket(bucketCharged), prefix(room))
	return rows, err
}

// chargesOfRoom returns the room's rows, and how many of them are damaged. Those
// have counts of zero.
func chargesOfRoom(tx *bolt.Tx, room string) (rows []Charge, damaged int, err error) {
	p := prefix(room)
	places := tx.Bucket(bucketCharged).Cursor()
	for place, _ := places.Seek(p); bytes.HasPrefix(place, p); place, _ = places.Next() {
		if len(place) < len(p)+hourLen {
			return nil, 0, fmt.Errorf("%w: a charge's place of %d bytes", ErrCorrupt, len(place))
		}
		hour, user := place[len(p):len(p)+hourLen], place[len(p)+hourLen:]
		of := append(append(prefix(string(user)), hour...), p...)
		c := tx.Bucket(bucketUsage).Cursor()
		for k, v := c.Seek(of); bytes.HasPrefix(k, of); k, v = c.Next() {
			charge, err := decodeCharge(k, v)
			if err != nil {
				damaged++
			}
			rows = append(rows, charge)
		}
	}
	return rows, damaged, nil
}

// Charges yields what all users were charged in the hours that begin at or after
// from and before to. ChargesOf yields what one user was charged. Both read in
// short transactions. The charges of a user are sorted by hour; otherwise the order
// means nothing. Damaged rows are left out and logged. After an error they yield
// no more.
func (r *Reader) Charges(from, to Hour) iter.Seq2[Charge, error] {
	return r.charges(nil, nil, from, to)
}

// ChargesOf is described at [Reader.Charges].
func (r *Reader) ChargesOf(user string, from, to Hour) iter.Seq2[Charge, error] {
	if err := checkOwner(user); err != nil {
		return func(yield func(Charge, error) bool) { yield(Charge{}, err) }
	}
	p := prefix(user)
	return r.charges(p, binary.BigEndian.AppendUint32(bytes.Clone(p), uint32(from)), from, to)
}

func (r *Reader) charges(p, start []byte, from, to Hour) iter.Seq2[Charge, error] {
	return func(yield func(Charge, error) bool) {
		for next := start; ; {
			var rows []Charge
			err := r.disk.view(func(tx *bolt.Tx) error {
				rows, next = r.chargesAt(tx.Bucket(bucketUsage).Cursor(), p, next)
				return nil
			})
			if err != nil {
				yield(Charge{}, err)
				return
			}
			for _, c := range rows {
				switch {
				case p != nil && c.Hour >= to:
					return
				case c.Hour < from || c.Hour >= to:
				case !yield(c, nil):
					return
				}
			}
			if next == nil {
				return
			}
		}
	}
}

// chargesAt reads a chunk of rows, and returns where the next chunk begins.
func (r *Reader) chargesAt(c *bolt.Cursor, p, start []byte) (rows []Charge, next []byte) {
	for k, v := c.Seek(start); k != nil && bytes.HasPrefix(k, p); k, v = c.Next() {
		if len(rows) == maxChunkEntries {
			return rows, bytes.Clone(k)
		}
		charge, err := decodeCharge(k, v)
		if err != nil {
			r.disk.log.Error("usage that cannot be read is left out", "err", err)
			continue
		}
		rows = append(rows, charge)
	}
	return rows, nil
}

const hourLen = 4

// key is user 0x00 hour room 0x00 model, so that a user's rows are sorted by time.
func (c Charge) key() []byte {
	k := binary.BigEndian.AppendUint32(prefix(c.User), uint32(c.Hour))
	return append(append(k, prefix(c.Room)...), c.Model...)
}

// place is the key by which the rows of a room are found: room 0x00 hour user.
func (c Charge) place() []byte {
	return append(binary.BigEndian.AppendUint32(prefix(c.Room), uint32(c.Hour)), c.User...)
}

// decodeCharge returns the names also if the row is damaged, as long as the key
// holds them.
func decodeCharge(key, value []byte) (Charge, error) {
	user, rest, ok := bytes.Cut(key, []byte{0})
	if !ok || len(rest) < hourLen {
		return Charge{}, fmt.Errorf("%w: a charge with a key of %d bytes", ErrCorrupt, len(key))
	}
	room, model, ok := bytes.Cut(rest[hourLen:], []byte{0})
	if !ok {
		return Charge{}, fmt.Errorf("%w: a charge with a key of %d bytes", ErrCorrupt, len(key))
	}
	count, err := decodeCount(key, value)
	return Charge{string(user), Hour(binary.BigEndian.Uint32(rest)), string(room), string(model), count}, err
}

// A count is four numbers, as varints.
func encodeCount(key []byte, c Count) []byte {
	var b []byte
	for _, n := range []uint64{c.Turns, c.Estimated, c.Prompt, c.Completion} {
		b = binary.AppendUvarint(b, n)
	}
	return seal(key, b)
}

func decodeCount(key, value []byte) (Count, error) {
	b, err := unseal(key, value)
	if err != nil {
		return Count{}, err
	}
	var n [4]uint64
	for i := range n {
		width := 0
		if n[i], width = binary.Uvarint(b); width <= 0 {
			return Count{}, fmt.Errorf("%w: a charge of %d numbers", ErrCorrupt, i)
		}
		b = b[width:]
	}
	return Count{n[0], n[1], n[2], n[3]}, nil
}

// charges reads what the room has cost.
func (k *checker) charges(tx *bolt.Tx, rows *RoomRows) {
	charges, damaged, err := chargesOfRoom(tx, rows.Room)
	if err != nil {
		k.fault(rows.Room, 0, "%v", err)
	}
	if damaged > 0 {
		k.fault(rows.Room, 0, "%d counts of its usage are damaged", damaged)
	}
	rows.Charges = charges
}

// usage reports the rows of the usage that are not found from their room.
func (k *checker) usage(tx *bolt.Tx) {
	charged := tx.Bucket(bucketCharged)
	c := tx.Bucket(bucketUsage).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		charge, err := decodeCharge(key, v)
		switch {
		case err != nil && charge.Room == "":
			k.fault("", 0, "usage of deleted chats: %v", err)
		case charge.Room != "" && !has(charged, charge.place()):
			k.fault(charge.Room, 0, "usage is noted that the room does not lead to")
		}
	}
}
