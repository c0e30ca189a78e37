package conversation

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Fold is what a room's log amounts to: its state, and what is kept beside
// the log because of it. It serves to check a file, and to import records. The
// zero value is the fold of no records; it is not safe for concurrent use.
type Fold struct {
	state    State
	keys     map[string]uint64
	messages map[string]uint64
	costs    map[cost]persistence.Count
}

// A cost is what a row of the usage is kept under, besides the room.
type cost struct {
	user, model string
	hour        persistence.Hour
}

// Add folds the next entry. It fails if that cannot be decoded, cannot follow,
// or does not belong to a chat.
func (f *Fold) Add(e persistence.Entry) error {
	record, err := chat.DecodeRecord(e.Seq, e.Data)
	if err != nil {
		return err
	}
	created, first := record.Event.(chat.Created)
	switch {
	case first != !f.state.Exists():
		return fmt.Errorf("record %d: a chat is created by its first record and by no other", e.Seq)
	case first && created.Chat.ID.Room() != created.Chat.Room:
		return fmt.Errorf("record %d: chat %q does not belong to room %q", e.Seq, created.Chat.ID, created.Chat.Room)
	}
	charge, costs := ChargeOf(&f.state, record)
	if err := f.state.Apply(record); err != nil {
		return err
	}
	if costs {
		f.charge(charge)
	}
	if key := KeyOf(record.Event); key != "" {
		bind(&f.keys, key, e.Seq)
	}
	if id, ok := IDOf(record); ok {
		bind(&f.messages, id, e.Seq)
	}
	return nil
}

// Key returns the idempotency key of a user's command with the id, or "".
func Key(user chat.UserID, id chat.ClientID) string {
	if id == "" {
		return ""
	}
	return string(user) + "\x00" + string(id)
}

// KeyOf returns the idempotency key of the command that led to the event, or "". If a
// command leads to several events, one of them has its key.
func KeyOf(e chat.Event) string {
	switch e := e.(type) {
	case chat.MessageAdded:
		return Key(e.Author.ID, e.ClientID)
	case chat.Configured:
		return Key(e.By, e.ClientID)
	case chat.TurnQueued:
		return Key(e.By, e.ClientID)
	case chat.TurnEnded:
		return Key(e.By, e.ClientID)
	case chat.MessageWithdrawn:
		return Key(e.By, e.ClientID)
	case chat.TurnMoved:
		return Key(e.By, e.ClientID)
	case chat.BranchSelected:
		return Key(e.By, e.ClientID)
	case chat.ToolDecided:
		return Key(e.By, e.ClientID)
	case chat.ToolEnded:
		return Key(e.By, e.ClientID)
	}
	return ""
}

func bind(names *map[string]uint64, name string, seq uint64) {
	if *names == nil {
		*names = make(map[string]uint64)
	}
	(*names)[name] = seq
}

// Row returns the row that lists the chat.
func (f *Fold) Row() persistence.Chat { return Row(f.state.Chat) }

// Keys returns the idempotency keys of the entries.
func (f *Fold) Keys() []persistence.Key { return sorted(f.keys) }

// Messages returns the ids of the messages that entries hold. Of two with the
// same id, which only an import can bring, the newer one counts.
func (f *Fold) Messages() []persistence.Key { return sorted(f.messages) }

func sorted(names map[string]uint64) []persistence.Key {
	keys := make([]persistence.Key, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		keys = append(keys, persistence.Key{Name: name, Seq: names[name]})
	}
	return keys
}

// IDOf returns the id by which the store finds the message of a record. An
// imported message may have none, or one that is too long to be found by.
func IDOf(record chat.Record) (id string, ok bool) {
	m, ok := record.Message()
	return string(m.ID), ok && m.ID != "" && len(m.ID) <= persistence.MaxKeyLen
}

// MessageID returns the id of the message that an entry holds. See
// [persistence.Options].
func MessageID(e persistence.Entry) (id string, ok bool) {
	record, err := chat.DecodeRecord(e.Seq, e.Data)
	if err != nil {
		return "", false
	}
	return IDOf(record)
}

func (f *Fold) charge(c persistence.Charge) {
	if f.costs == nil {
		f.costs = make(map[cost]persistence.Count)
	}
	at := cost{c.User, c.Model, c.Hour}
	count := f.costs[at]
	count.Add(c.Count)
	f.costs[at] = count
}

// Charges returns what the turns of the log have cost.
func (f *Fold) Charges() []persistence.Charge {
	charges := make([]persistence.Charge, 0, len(f.costs))
	for c, count := range f.costs {
		charges = append(charges, persistence.Charge{User: c.user, Hour: c.hour, Room: string(f.state.Chat.Room), Model: c.model, Count: count})
	}
	return charges
}

// Charges returns what the entries of a room have cost, up to the first that
// cannot be read. See [persistence.Options].
func Charges(_ string, entries iter.Seq[persistence.Entry]) []persistence.Charge {
	var f Fold
	for e := range entries {
		if err := f.Add(e); err != nil {
			break
		}
	}
	return f.Charges()
}

// Open reports whether a turn has not ended.
func (f *Fold) Open() bool { return len(f.state.Turns) > 0 }

// Audit compares what a file keeps of a room with the fold of its log. See
// [persistence.Checking].
func Audit(rows persistence.RoomRows) (faults []persistence.Fault) {
	fault := func(seq uint64, format string, args ...any) {
		faults = append(faults, persistence.Fault{Room: rows.Room, Seq: seq, What: fmt.Sprintf(format, args...)})
	}
	var f Fold
	for e := range rows.Entries {
		if err := f.Add(e); err != nil {
			fault(e.Seq, "%v", err)
			return faults
		}
		if e.Seq == rows.SnapshotAt && !f.agrees(rows.Snapshot) {
			fault(e.Seq, "the snapshot of this moment says something else than the log")
		}
	}
	switch {
	case !rows.Whole: // which the file's own check has told
	case !f.state.Exists():
		fault(0, "there is no log of it")
	default:
		f.auditRows(rows, fault)
		auditNames("idempotency key", rows.Keys, f.keys, fault)
		auditNames("message id", rows.Messages, f.messages, fault)
		f.auditCharges(rows.Charges, fault)
	}
	return faults
}

// agrees reports whether a snapshot says what f does. A snapshot of another
// version is ignored, as a room ignores it.
func (f *Fold) agrees(snapshot []byte) bool {
	state, ok := DecodeState(f.state.Seq, snapshot)
	return !ok || bytes.Equal(state.Encode(), f.state.Encode())
}

func (f *Fold) auditRows(rows persistence.RoomRows, fault func(uint64, string, ...any)) {
	row := f.Row()
	switch listed := rows.Chat; {
	case listed == nil:
		fault(0, "there is no chat row of it")
	case row.Room != rows.Room || row.Owner != listed.Owner || !row.Created.Equal(listed.Created) || !bytes.Equal(row.Info, listed.Info) ||
		!slices.Equal(slices.Sorted(slices.Values(row.Members)), listed.Members):
		fault(0, "the chat row says something else than the log")
	}
	if rows.Turn != f.Open() {
		fault(0, "an open turn is noted: %v, the log has one: %v", rows.Turn, f.Open())
	}
	if rows.SnapshotAt > f.state.Seq {
		fault(rows.SnapshotAt, "there is a snapshot of it, and no record")
	}
}

// auditNames compares the names that lead to records with those in the log.
func auditNames(kind string, keys []persistence.Key, log map[string]uint64, fault func(uint64, string, ...any)) {
	found := make(map[string]bool, len(keys))
	for _, k := range keys {
		found[k.Name] = true
		if log[k.Name] != k.Seq {
			fault(k.Seq, "the %s that leads here is not this record's", kind)
		}
	}
	for name, seq := range log {
		if !found[name] {
			fault(seq, "its %s is missing", kind)
		}
	}
}

func (f *Fold) auditCharges(charges []persistence.Charge, fault func(uint64, string, ...any)) {
	rest := maps.Clone(f.costs)
	for _, c := range charges {
		at := cost{c.User, c.Model, c.Hour}
		if rest[at] != c.Count {
			fault(0, "its usage in the hour of %s is noted as %+v, the log has %+v", c.Hour.Time().Format(time.RFC3339), c.Count, rest[at])
		}
		delete(rest, at)
	}
	if len(rest) > 0 {
		fault(0, "usage is not noted: %d rows", len(rest))
	}
}
