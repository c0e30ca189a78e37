package persistence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A model is what a Store should be, in memory.
type model map[string]*modelRoom

type modelRoom struct {
	entries  []string
	keys     map[string]uint64
	messages map[string]uint64
	chat     *Chat
	open     bool
	charges  []Charge // one for each row
}

func (m model) room(name string) *modelRoom {
	if r := m[name]; r != nil {
		return r
	}
	return &modelRoom{keys: make(map[string]uint64), messages: make(map[string]uint64)}
}

// modelQuota is small, so that it is often reached.
var modelQuota = Quota{Chats: 2, Bytes: 30_000}

// bytes is what the rows of the room take.
func (r *modelRoom) bytes(room string) (n int64) {
	for _, e := range r.entries {
		n += int64(len(room) + 1 + 8 + len(e) + sealLen)
	}
	for _, names := range []map[string]uint64{r.keys, r.messages} {
		for name := range names {
			n += int64(len(room) + 1 + len(name) + 8 + sealLen)
		}
	}
	return n
}

// owned is what the chats of an owner take.
func (m model) owned(owner string) (chats int, n int64) {
	for name, r := range m {
		if r.chat != nil && r.chat.Owner == owner {
			chats, n = chats+1, n+r.bytes(name)
		}
	}
	return chats, n
}

// within says what the quota says of a commit that leads from r to next.
func (m model) within(c Commit, r, next *modelRoom) error {
	if next.chat == nil || next.chat.Owner == "" || !c.Limited {
		return nil
	}
	chats, n := m.owned(next.chat.Owner)
	n += next.bytes(c.Room)
	switch {
	case r.chat == nil || r.chat.Owner != next.chat.Owner:
		if chats >= modelQuota.Chats {
			return ErrChatQuota
		}
	default:
		n -= r.bytes(c.Room)
	}
	if n > modelQuota.Bytes {
		return ErrByteQuota
	}
	return nil
}

func (r *modelRoom) clone() *modelRoom {
	c := *r
	c.entries, c.charges, c.keys, c.messages = slices.Clone(r.entries), slices.Clone(r.charges), maps.Clone(r.keys), maps.Clone(r.messages)
	return &c
}

func (m model) append(c Commit) error {
	before := m.room(c.Room)
	r := before.clone()
	if c.After != uint64(len(r.entries)) {
		return ErrConflict
	}
	for _, k := range c.Keys {
		if _, ok := r.keys[k.Name]; ok {
			return ErrConflict
		}
	}
	for _, e := range c.Entries {
		r.entries = append(r.entries, string(e))
	}
	for _, k := range c.Keys {
		r.keys[k.Name] = k.Seq
	}
	for _, m := range c.Messages {
		r.messages[m.Name] = m.Seq // an id that comes again leads to the newer entry
	}
	r.chat = cmp.Or(c.Chat, r.chat)
	if err := m.within(c, before, r); err != nil {
		return err
	}
	if c.Turn != nil {
		r.open = *c.Turn
	}
	for _, charge := range c.Charges {
		r.charges = charge.addTo(r.charges)
	}
	m[c.Room] = r
	return nil
}

// addTo adds the charge to its row.
func (c Charge) addTo(rows []Charge) []Charge {
	for i, row := range rows {
		if bytes.Equal(row.key(), c.key()) {
			rows[i].Add(c.Count)
			return rows
		}
	}
	return append(rows, c)
}

// deleted is where the model keeps what deleted rooms have cost.
const deleted = ""

func (m model) delete(room string) error {
	r := m.room(room)
	delete(m, room)
	gone := m.room(deleted)
	for _, charge := range r.charges {
		charge.Room = ""
		gone.charges = charge.addTo(gone.charges)
	}
	m[deleted] = gone
	if len(r.entries) == 0 && r.chat == nil && !r.open {
		return ErrNotFound
	}
	return nil
}

// listed returns the chat as the store gives it back.
func (r *modelRoom) listed() Chat {
	chat := *r.chat
	chat.Members = nil
	return chat
}

func (m model) openTurns() (rooms []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name].open {
			rooms = append(rooms, name)
		}
	}
	return rooms
}

func (m model) chats(owner string) (page []Chat) {
	for _, r := range m {
		if r.chat != nil && (owner == "" || r.chat.Owner == owner || slices.Contains(r.chat.Members, owner)) {
			page = append(page, r.listed())
		}
	}
	slices.SortFunc(page, func(a, b Chat) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Room, b.Room))
	})
	return page
}

var (
	modelRooms  = rapid.SampledFrom([]string{"a", "a-", "a0", "b", "z"})
	modelOwners = rapid.SampledFrom([]string{"", "alice", "alice2", "bob"})
	modelKeys   = rapid.SampledFrom([]string{"k", "k\x00", "k\x00a", "long", "\xff"})
	modelTimes  = rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-2, 2).Draw(t, "s"), rapid.Int64Range(0, 2).Draw(t, "ns")).UTC()
	})
)

// drawCommit draws a commit that is valid, and mostly follows the log.
func (m model) drawCommit(t *rapid.T, inFlight map[string]int) Commit {
	room := modelRooms.Draw(t, "room")
	c := Commit{Room: room, Limited: rapid.Bool().Draw(t, "limited"), After: uint64(len(m.room(room).entries) + inFlight[room])}
	if rapid.IntRange(0, 9).Draw(t, "wrong") == 0 {
		c.After = uint64(rapid.IntRange(0, 5).Draw(t, "after"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "entries") {
		size := rapid.SampledFrom([]int{0, 1, 300, 4100, 9000}).Draw(t, "size")
		c.Entries = append(c.Entries, rapid.SliceOfN(rapid.Byte(), 1, 1).Draw(t, "byte"))
		c.Entries[len(c.Entries)-1] = slices.Repeat(c.Entries[len(c.Entries)-1], size)
	}
	if len(c.Entries) > 0 {
		c.Keys, c.Messages = drawKeys(t, c, "keys"), drawKeys(t, c, "messages")
	}
	if rapid.Bool().Draw(t, "with chat") || len(c.Entries) == 0 {
		c.Chat = &Chat{Room: room, Owner: modelOwners.Draw(t, "owner"), Created: modelTimes.Draw(t, "created"), Info: []byte("info")}
		for _, member := range rapid.Permutation([]string{"alice", "alice2", "bob"}).Draw(t, "members")[rapid.IntRange(0, 3).Draw(t, "without"):] {
			if member != c.Chat.Owner {
				c.Chat.Members = append(c.Chat.Members, member)
			}
		}
	}
	if rapid.Bool().Draw(t, "with turn") {
		open := rapid.Bool().Draw(t, "open")
		c.Turn = &open
	}
	for range rapid.IntRange(0, 2).Draw(t, "charges") {
		c.Charges = append(c.Charges, Charge{
			User: modelOwners.Draw(t, "who"), Hour: Hour(rapid.IntRange(0, 3).Draw(t, "hour")), Room: room,
			Model: rapid.SampledFrom([]string{"", "m", "model"}).Draw(t, "model"), Count: Count{1, 0, 1 << 40, 3},
		})
	}
	inFlight[room] += len(c.Entries)
	return c
}

// drawKeys draws some names of the commit's entries.
func drawKeys(t *rapid.T, c Commit, label string) (keys []Key) {
	for _, name := range rapid.SliceOfNDistinct(modelKeys, 0, 2, rapid.ID).Draw(t, label) {
		keys = append(keys, Key{name, c.After + 1 + uint64(rapid.IntRange(0, len(c.Entries)-1).Draw(t, "entry"))})
	}
	return keys
}

// A machine does the same to a Store and to a model, and compares them.
type machine struct {
	path     string
	store    *Store
	model    model
	sessions map[string]string
	keys     KeyRing
}

func (m *machine) open(t *rapid.T) {
	s, err := Open(m.path, Options{TxCommits: 3, InitialMmapSize: 1, Quota: modelQuota, Keys: m.keys})
	if err != nil {
		t.Fatal(err)
	}
	m.store = s
}

// charges returns all charges of the model, in the order of the file.
func (m model) charges() (all []Charge) {
	for _, r := range m {
		all = append(all, r.charges...)
	}
	slices.SortFunc(all, func(a, b Charge) int { return bytes.Compare(a.key(), b.key()) })
	return all
}

// Usage reads what a user was charged in some hours.
func (m *machine) Usage(t *rapid.T) {
	user := modelOwners.Draw(t, "user")
	from, to := Hour(rapid.IntRange(0, 3).Draw(t, "from")), Hour(rapid.IntRange(0, 4).Draw(t, "to"))
	want := slices.DeleteFunc(m.model.charges(), func(c Charge) bool { return c.User != user || c.Hour < from || c.Hour >= to })
	got, err := collect(m.store.ChargesOf(user, from, to))
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Fatalf("charges of %q, %v (-want +got):\n%s", user, err, diff)
	}
}

func collect(charges iter.Seq2[Charge, error]) (all []Charge, err error) {
	for c, err := range charges {
		if err != nil {
			return all, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Burst queues several requests at once. They are carried out in order.
func (m *machine) Burst(t *rapid.T) {
	n := rapid.IntRange(1, 6).Draw(t, "requests")
	var want []error
	got := make(chan error, n)
	done := func(err error) { got <- err }
	inFlight := make(map[string]int)
	var ask []func()
	for range n {
		switch rapid.IntRange(0, 7).Draw(t, "request") {
		case 0:
			room := modelRooms.Draw(t, "room")
			ask = append(ask, func() {
				want = append(want, m.model.delete(room))
				m.store.Delete(room, done)
			})
		case 1:
			key, value := modelKeys.Draw(t, "session"), rapid.StringN(0, 9, -1).Draw(t, "value")
			ask = append(ask, func() {
				want = append(want, nil)
				m.sessions[key] = value
				m.store.PutSession(key, []byte(value), done)
			})
		case 2:
			keys := rapid.SliceOfN(modelKeys, 0, 3).Draw(t, "sessions")
			ask = append(ask, func() {
				want = append(want, nil)
				maps.DeleteFunc(m.sessions, func(key, _ string) bool { return slices.Contains(keys, key) })
				m.store.DeleteSessions(keys, done)
			})
		default:
			c := m.model.drawCommit(t, inFlight)
			ask = append(ask, func() {
				want = append(want, m.model.append(c))
				m.store.Append(c, done)
			})
		}
	}
	release := stall(m.store) // so that runs can be repeated
	for _, f := range ask {
		f()
	}
	release()
	for i, want := range want {
		if err := <-got; !errors.Is(err, want) {
			t.Fatalf("request %d: %v, want %v", i, err, want)
		}
	}
}

// Reopen closes the file and opens it again.
func (m *machine) Reopen(t *rapid.T) {
	epoch := m.store.Epoch()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkFile(m.path); err != nil {
		t.Fatal(err)
	}
	if faults, err := checkWith(m.path, m.keys); len(faults) > 0 || err != nil {
		t.Fatalf("Check: %q, %v", faults, err)
	}
	m.open(t)
	if got := m.store.Epoch(); got != epoch {
		t.Fatalf("epoch %q after reopening, was %q", got, epoch)
	}
}

// Page reads a page of some owner's chats.
func (m *machine) Page(t *rapid.T) {
	owner := modelOwners.Draw(t, "owner")
	offset, limit := rapid.IntRange(0, 4).Draw(t, "offset"), rapid.IntRange(0, 4).Draw(t, "limit")
	all := m.model.chats(owner)
	want := all[min(offset, len(all)):min(offset+limit, len(all))]
	got, total, err := m.store.Chats(owner, offset, limit)
	if err != nil || total != len(all) {
		t.Fatalf("%d chats, %v, want %d", total, err, len(all))
	}
	if diff := gocmp.Diff(slices.Clone(want), slices.Clone(got), equateEmpty); diff != "" {
		t.Fatalf("Chats(%q, %d, %d) (-want +got):\n%s", owner, offset, limit, diff)
	}
}

var equateEmpty = gocmp.Transformer("empty", func(c []Chat) []Chat { return append([]Chat{}, c...) })

// Check compares all of the store with the model.
func (m *machine) Check(t *rapid.T) {
	for _, room := range []string{"a", "a-", "a0", "b", "z"} {
		m.checkRoom(t, room)
	}
	for _, owner := range []string{"", "alice", "alice2", "bob"} {
		chats, n := m.model.owned(owner)
		if got, err := m.store.Share(owner); got != (Share{chats, n}) || err != nil {
			t.Fatalf("%q has %+v, %v, want %d chats of %d bytes", owner, got, err, chats, n)
		}
	}
	sessions, err := readSessions(m.store)
	if diff := gocmp.Diff(m.sessions, sessions); diff != "" || err != nil {
		t.Fatalf("sessions, %v (-want +got):\n%s", err, diff)
	}
	charges, err := collect(m.store.Charges(0, EndOfHours))
	if diff := gocmp.Diff(m.model.charges(), charges); diff != "" || err != nil {
		t.Fatalf("charges, %v (-want +got):\n%s", err, diff)
	}
	turns, err := m.store.OpenTurns()
	if diff := gocmp.Diff(m.model.openTurns(), turns); diff != "" || err != nil {
		t.Fatalf("open turns, %v (-want +got):\n%s", err, diff)
	}
}

func (m *machine) checkRoom(t *rapid.T, room string) {
	r := m.model.room(room)
	got, err := readAll(m.store, room)
	if !slices.Equal(got, r.entries) || err != nil {
		t.Fatalf("%s holds %.20q, %v, want %.20q", room, got, err, r.entries)
	}
	var back []string
	for e, err := range m.store.ReadBack(room, 0) {
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, string(e.Data))
	}
	slices.Reverse(back)
	if !slices.Equal(back, r.entries) {
		t.Fatalf("%s holds backwards %.20q, want %.20q", room, back, r.entries)
	}
	if last, err := m.store.Last(room); last != uint64(len(r.entries)) || err != nil {
		t.Fatalf("%s ends at %d, %v, want %d", room, last, err, len(r.entries))
	}
	for _, name := range []string{"k", "k\x00", "k\x00a", "long", "\xff"} {
		seq, ok, err := m.store.Lookup(room, name)
		if want, known := r.keys[name]; seq != want || ok != known || err != nil {
			t.Fatalf("%s: key %q leads to %d, %v, %v, want %d", room, name, seq, ok, err, want)
		}
		seq, ok, err = m.store.Message(room, name)
		if want, known := r.messages[name]; seq != want || ok != known || err != nil {
			t.Fatalf("%s: message %q is %d, %v, %v, want %d", room, name, seq, ok, err, want)
		}
	}
	chat, err := m.store.Chat(room)
	switch {
	case r.chat == nil && !errors.Is(err, ErrNotFound):
		t.Fatalf("%s: chat %v, %v, want ErrNotFound", room, chat, err)
	case r.chat != nil && fmt.Sprint(r.listed()) != fmt.Sprint(chat):
		t.Fatalf("%s: chat %v, %v, want %v", room, chat, err, r.listed())
	}
}

func TestModel(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &machine{path: filepath.Join(dir, fmt.Sprint(n)), model: make(model), sessions: make(map[string]string)}
		m.open(t)
		defer func() {
			if err := m.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		t.Repeat(rapid.StateMachineActions(m))
	})
}
