package recovery_test

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/recovery"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner counts how often its seat was taken.
type owner struct{ displaced int }

func (o *owner) Displace() { o.displaced++ }

// table is a table on a real store.
type table struct {
	*recovery.Table
	t     *testing.T
	store *persistence.Store
	path  string
	o     recovery.Options
}

func run(t *testing.T, o recovery.Options, f func(t *testing.T, table *table)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		table := &table{t: t, path: filepath.Join(t.TempDir(), "parlor.db"), o: o}
		table.open()
		t.Cleanup(table.close)
		f(t, table)
	})
}

func (t *table) open() {
	t.t.Helper()
	var err error
	if t.store, err = persistence.Open(t.path, persistence.Options{}); err != nil {
		t.t.Fatal(err)
	}
	t.o.Store = t.store
	if t.Table, err = recovery.Open(t.o); err != nil {
		t.t.Fatal(err)
	}
}

func (t *table) close() {
	t.Close()
	if err := t.store.Close(); err != nil {
		t.t.Error(err)
	}
}

// save saves and waits.
func (t *table) save(pid string, o *owner, s recovery.Seat) error {
	done := make(chan error, 1)
	t.Save(pid, o, s, func(err error) { done <- err })
	return <-done
}

// onDisk counts what the store keeps.
func (t *table) onDisk() (n int) {
	synctest.Wait()
	for _, err := range t.store.Sessions() {
		if err != nil {
			t.t.Fatal(err)
		}
		n++
	}
	return n
}

var (
	alice = chat.User{ID: "alice"}
	seat  = recovery.Seat{SID: "sid", User: "alice", Mark: 1, Places: []recovery.Place{{Room: chat.ID("1").Room(), Encoder: "e", Tag: "tag", Seq: 37}}}
)

// A client can claim its seat again and again, also after a restart. The last socket that
// claimed it has it.
func TestClaim(t *testing.T) {
	run(t, recovery.Options{}, func(t *testing.T, table *table) {
		first, second, third := new(owner), new(owner), new(owner)
		if err := table.save("pid", first, seat); err != nil {
			t.Fatal(err)
		}
		claim := func(pid string, u chat.User, o *owner) bool {
			t.Helper()
			got, ok := table.Claim(pid, u, o)
			if diff := cmp.Diff(seat, got); ok && diff != "" {
				t.Errorf("seat (-want +got):\n%s", diff)
			}
			return ok
		}
		if claim("dip", alice, second) || claim("pid", chat.User{ID: "mallory"}, second) || claim("pid", chat.User{ID: "guest-1", Guest: true}, second) {
			t.Error("claimed by the wrong one")
		}
		if first.displaced != 0 || !claim("pid", alice, second) || first.displaced != 1 {
			t.Errorf("first was displaced %d times", first.displaced)
		}
		table.Lost("pid", first)   // too late to matter
		table.Forget("pid", first) // the same
		if err := table.save("pid", first, seat); !errors.Is(err, recovery.ErrDisplaced) {
			t.Errorf("saved by the one that was displaced: %v", err)
		}
		time.Sleep(time.Hour) // connected: no window
		table.Lost("pid", second)
		time.Sleep(2 * time.Minute)
		if !claim("pid", alice, third) || second.displaced != 0 {
			t.Errorf("not claimed within the window; second was displaced %d times", second.displaced)
		}
		table.close()
		time.Sleep(time.Hour)
		table.open()
		time.Sleep(2 * time.Minute)
		if !claim("pid", alice, first) {
			t.Error("not claimed after a restart")
		}
		table.Forget("pid", first)
		if claim("pid", alice, second) || table.onDisk() != 0 {
			t.Error("not forgotten")
		}
	})
}

// A seat whose window is over leaves memory and disk, if need be at a later sweep.
func TestSweep(t *testing.T) {
	run(t, recovery.Options{MaxSeats: 2000, MaxSeatsPerUser: 2000}, func(t *testing.T, table *table) {
		kept := new(owner)
		for i := range 1500 {
			o := new(owner)
			pid := recovery.NewID()
			if i == 0 {
				o = kept
			}
			if err := table.save(pid, o, seat); err != nil {
				t.Fatal(err)
			}
			if o != kept {
				table.Lost(pid, o)
			}
		}
		if got := table.onDisk(); got != 1500 {
			t.Errorf("%d seats on disk", got)
		}
		time.Sleep(time.Hour)
		if got := table.onDisk(); got != 1 {
			t.Errorf("%d seats on disk after an hour, want the one that is connected", got)
		}
	})
}

// A sweep that the disk refuses is tried again.
func TestSweepAgain(t *testing.T) {
	run(t, recovery.Options{}, func(t *testing.T, table *table) {
		table.Close()
		faulty := &faultyStore{Store: table.store}
		o := table.o
		o.Store = faulty
		var err error
		if table.Table, err = recovery.Open(o); err != nil {
			t.Fatal(err)
		}
		gone := new(owner)
		if err := table.save("pid", gone, seat); err != nil {
			t.Fatal(err)
		}
		table.Lost("pid", gone)
		faulty.full.Store(true)
		time.Sleep(time.Hour)
		if _, ok := table.Claim("pid", alice, gone); ok || table.onDisk() != 1 {
			t.Error("the fault had no effect")
		}
		faulty.full.Store(false)
		time.Sleep(time.Hour)
		if table.onDisk() != 0 {
			t.Error("not tried again")
		}
	})
}

type faultyStore struct {
	recovery.Store
	full atomic.Bool
}

func (f *faultyStore) DeleteSessions(keys []string, done func(error)) {
	if f.full.Load() {
		done(errors.New("disk full"))
		return
	}
	f.Store.DeleteSessions(keys, done)
}

// There is room for so many seats; a user's own seats of connected clients stay.
func TestMaxSeats(t *testing.T) {
	run(t, recovery.Options{MaxSeats: 1}, func(t *testing.T, table *table) {
		first, second := new(owner), new(owner)
		if err := table.save("1", first, seat); err != nil {
			t.Error(err)
		}
		if err := table.save("2", second, seat); !errors.Is(err, recovery.ErrFull) {
			t.Errorf("the second: %v", err)
		}
		if err := table.save("1", first, seat); err != nil {
			t.Error(err)
		}
		table.Forget("1", first)
		if err := table.save("2", second, seat); err != nil {
			t.Error(err)
		}
	})
}

// Neither the private id nor anything that leads to it is on the disk.
func TestPrivateIDIsNotKept(t *testing.T) {
	run(t, recovery.Options{}, func(t *testing.T, table *table) {
		pid := recovery.NewID()
		if err := table.save(pid, new(owner), seat); err != nil {
			t.Fatal(err)
		}
		for s, err := range table.store.Sessions() {
			if err != nil || s.Key == pid || len(s.Key) != 16 {
				t.Errorf("key %q, %v", s.Key, err)
			}
			if diff := cmp.Diff(`{"sid":"sid","user":"alice","mark":1,"encoders":["e"],"places":["tag 11 0 `+string(seat.Places[0].Room)+`"]}`, string(s.Value)); diff != "" {
				t.Error(diff)
			}
		}
	})
}
