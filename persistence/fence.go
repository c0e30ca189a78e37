package persistence

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Slots is the number of slots. Rooms are spread over them, and each slot belongs to one node.
const Slots = 256

// A Fence is the right by which a node proposes a command.
//
// Number makes a command happen once: a node that does not know what became of it proposes it
// again, with the same number. The store keeps the greatest number of each node, and refuses
// others with [ErrStale]. So commands of a node either happen in the order of their numbers
// or not at all.
//
// Slot and Epoch keep a node that was taken for dead from writing to rooms that another one
// has by now: see [AssignSlot]. The store refuses its commands with [ErrFenced], and does not
// make the changes.
type Fence struct {
	Node   string // 1 to MaxSessionKeyLen bytes
	Life   uint64 // of the node: greater after each start
	Number uint64 // in that life: 1, 2, 3 …
	Slot   int    // of the room, from 1 to Slots; 0 if the command is about no room
	Epoch  uint64 // since when the node has the slot
}

func (f *fields) fence(v *Fence) {
	f.string(&v.Node)
	f.uint64(&v.Life)
	f.uint64(&v.Number)
	number(f, &v.Slot)
	f.uint64(&v.Epoch)
}

func (f *Fence) check() error {
	switch {
	case f == nil:
		return nil
	case f.Slot < 0 || f.Slot > Slots:
		return fmt.Errorf("%w: slot %d of %d", ErrInvalid, f.Slot, Slots)
	}
	return checkSessionKey(f.Node)
}

// A Slot says which node has a slot. Each node that gets it has an epoch of its own.
type Slot struct {
	Node  string
	Epoch uint64
}

// Keys of the bucket meta under which a replicated store keeps what it knows of nodes.
var (
	keyApplied   = []byte("applied")   // index of the last entry of the replicated log; absent in others
	proposerName = []byte("proposer/") // node → life, number, outcomes
	slotName     = []byte("slot/")     // slot → epoch, node
)

func proposerKey(node string) []byte { return append(bytes.Clone(proposerName), node...) }
func slotKey(slot int) []byte {
	return binary.BigEndian.AppendUint16(bytes.Clone(slotName), uint16(slot))
}

// KeptOutcomes is how many outcomes of the last commands of a node a store keeps.
const KeptOutcomes = 4096

// Outcomes say what became of the last commands of a node. A node that has got a copy of another's
// store learns by them what it has not seen.
type Outcomes struct {
	Life uint64 // of the node
	Last uint64 // number of the last command in that life

	recorded []byte // a bit for each number, modulo KeptOutcomes
}

// Of reports whether a command was recorded. It is not known of commands behind Last, and of too
// old ones.
func (o Outcomes) Of(number uint64) (recorded, known bool) {
	if number > o.Last || o.Last-number >= KeptOutcomes {
		return false, false
	}
	at := number % KeptOutcomes
	return o.recorded[at/8]>>(at%8)&1 == 1, true
}

// note notes what became of a command that follows Last. Those in between were never applied.
func (o *Outcomes) note(number uint64, recorded bool) {
	for n := max(o.Last, number-min(number, KeptOutcomes)) + 1; n <= number; n++ {
		at := n % KeptOutcomes
		o.recorded[at/8] &^= 1 << (at % 8)
	}
	if at := number % KeptOutcomes; recorded {
		o.recorded[at/8] |= 1 << (at % 8)
	}
	o.Last = number
}

// outcomesOf returns what [Outcomes.put] has written, or none.
func outcomesOf(meta *bolt.Bucket, node string) Outcomes {
	o := Outcomes{recorded: make([]byte, KeptOutcomes/8)}
	if v := meta.Get(proposerKey(node)); len(v) == 16+len(o.recorded) {
		o.Life, o.Last = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
		copy(o.recorded, v[16:])
	}
	return o
}

func (o Outcomes) put(meta *bolt.Bucket, node string) error {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(o.recorded)), o.Life)
	return meta.Put(proposerKey(node), append(binary.BigEndian.AppendUint64(b, o.Last), o.recorded...))
}

// Outcomes returns what became of the last commands of a node.
func (r *Reader) Outcomes(node string) (o Outcomes, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		o = outcomesOf(tx.Bucket(bucketMeta), node)
		return nil
	})
	return o, err
}

// apply applies a change if the fence lets it through, and notes the outcome.
func (f *Fence) apply(tx *bolt.Tx, c change) (refused, err error) {
	meta := tx.Bucket(bucketMeta)
	o := outcomesOf(meta, f.Node)
	if f.Life < o.Life || f.Life == o.Life && f.Number <= o.Last {
		return fmt.Errorf("%w: command %d of life %d of node %q", ErrStale, f.Number, f.Life, f.Node), nil
	}
	if f.Life > o.Life {
		o = Outcomes{Life: f.Life, recorded: make([]byte, KeptOutcomes/8)}
	}
	if s := slotIn(meta, f.Slot); f.Slot > 0 && (s.Node != f.Node || s.Epoch != f.Epoch) {
		refused = fmt.Errorf("%w: slot %d is of epoch %d, not %d of node %q", ErrFenced, f.Slot, s.Epoch, f.Epoch, f.Node)
	} else if refused, err = alone(c.apply(tx)); err != nil {
		return nil, err
	}
	o.note(f.Number, refused == nil)
	return refused, o.put(meta, f.Node)
}

func slotIn(meta *bolt.Bucket, slot int) Slot {
	v := meta.Get(slotKey(slot))
	if len(v) < 8 {
		return Slot{}
	}
	return Slot{Epoch: binary.BigEndian.Uint64(v), Node: string(v[8:])}
}

// assignSlot gives a slot to a node.
type assignSlot struct {
	slot  int
	epoch uint64
	node  string
}

// AssignSlot returns the command that gives a slot to a node. It is refused with [ErrFenced]
// unless epoch follows that which the slot has.
func AssignSlot(slot int, epoch uint64, node string) Command {
	return Command{change: &assignSlot{slot, epoch, node}}
}

func (c *assignSlot) fields(f *fields) {
	number(f, &c.slot)
	f.uint64(&c.epoch)
	f.string(&c.node)
}

func (c *assignSlot) check() error {
	if c.slot < 1 || c.slot > Slots {
		return fmt.Errorf("%w: slot %d of %d", ErrInvalid, c.slot, Slots)
	}
	return checkSessionKey(c.node)
}

func (c *assignSlot) apply(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if s := slotIn(meta, c.slot); s.Epoch+1 != c.epoch {
		return fmt.Errorf("%w: slot %d has epoch %d, and was to get %d", ErrFenced, c.slot, s.Epoch, c.epoch)
	}
	return meta.Put(slotKey(c.slot), append(binary.BigEndian.AppendUint64(nil, c.epoch), c.node...))
}

// SetEpoch returns the command that gives all stores the epoch of one of them, so that clients
// may resume with any of them: see [Reader.Epoch].
func SetEpoch(epoch string) Command { return Command{change: &setEpoch{epoch}} }

// Slots returns who has the slots, by their numbers. A slot that nobody has got is missing.
func (r *Reader) Slots() (slots map[int]Slot, err error) {
	slots = make(map[int]Slot)
	err = r.disk.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		for n := 1; n <= Slots; n++ {
			if s := slotIn(meta, n); s != (Slot{}) {
				slots[n] = s
			}
		}
		return nil
	})
	return slots, err
}

// Assignment returns the slot that the command gives to a node, if it does.
func (c Command) Assignment() (slot int, to Slot, ok bool) {
	a, ok := c.change.(*assignSlot)
	if !ok {
		return 0, Slot{}, false
	}
	return a.slot, Slot{a.node, a.epoch}, true
}
