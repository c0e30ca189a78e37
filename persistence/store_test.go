package persistence

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppendIsReadInOrder(t *testing.T) {
	s := newStore(t)
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1", "2")})
	mustAppend(t, s, Commit{Room: "a-b", Entries: entries("other")}) // sorts beside a
	mustAppend(t, s, Commit{Room: "a", After: 2, Entries: entries("3", "")})
	if diff := cmp.Diff([]string{"1", "2", "3", ""}, contents(t, s, "a")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for room, want := range map[string]uint64{"a": 4, "a-b": 1, "b": 0} {
		if got, err := s.Last(room); got != want || err != nil {
			t.Errorf("Last(%q) = %d, %v, want %d", room, got, err, want)
		}
	}
}

func TestConflictRefusesOneCommitOnly(t *testing.T) {
	s := newStore(t)
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1"), Keys: []Key{{"k", 1}}})
	yes := true
	tests := []Commit{
		{Room: "a", After: 0, Entries: entries("again")},
		{Room: "a", After: 2, Entries: entries("gap")},
		{Room: "a", After: 2, Turn: &yes},
		{Room: "b", After: 1, Entries: entries("gap")},
		{Room: "a", After: 1, Entries: entries("x", "known key"), Keys: []Key{{"new", 2}, {"k", 3}}},
	}
	release := stall(s) // all in one transaction
	outcomes := make(chan error, len(tests)+1)
	for _, c := range tests {
		s.Append(c, func(err error) { outcomes <- err })
	}
	s.Append(Commit{Room: "a", After: 1, Entries: entries("2")}, func(err error) { outcomes <- err })
	release()
	for _, c := range tests {
		if err := <-outcomes; !errors.Is(err, ErrConflict) {
			t.Errorf("Append(%+v) = %v, want ErrConflict", c, err)
		}
	}
	if err := <-outcomes; err != nil {
		t.Errorf("the commit behind them: %v", err)
	}
	if diff := cmp.Diff([]string{"1", "2"}, contents(t, s, "a")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if _, ok, err := s.Lookup("a", "new"); ok || err != nil {
		t.Errorf("a refused commit left its key (%v)", err)
	}
	if turns, err := s.OpenTurns(); len(turns) != 0 || err != nil {
		t.Errorf("a refused commit left a turn: %q, %v", turns, err)
	}
}

func TestLaterCommitsOfARefusedOneConflict(t *testing.T) {
	s := newStore(t)
	var outcomes []error
	release := stall(s)
	for after := uint64(1); after < 4; after++ { // the first is wrong, and so are those that follow it
		s.Append(Commit{Room: "a", After: after, Entries: entries("x")}, func(err error) { outcomes = append(outcomes, err) })
	}
	release()
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1")}) // and the room goes on
	if len(outcomes) != 3 {
		t.Fatalf("%d outcomes, want 3", len(outcomes))
	}
	for _, err := range outcomes {
		if !errors.Is(err, ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
	}
}

func TestInvalidCommits(t *testing.T) {
	s := newStore(t)
	one := entries("1")
	tests := map[string]Commit{
		"no room":             {Entries: one},
		"room with NUL":       {Room: "a\x00b", Entries: one},
		"room with umlaut":    {Room: "räume", Entries: one},
		"room not UTF-8":      {Room: "a\xff", Entries: one},
		"long room":           {Room: strings.Repeat("a", MaxRoomLen+1), Entries: one},
		"nothing":             {Room: "a"},
		"keys alone":          {Room: "a", Keys: []Key{{"k", 0}}},
		"empty key":           {Room: "a", Entries: one, Keys: []Key{{"", 1}}},
		"long key":            {Room: "a", Entries: one, Keys: []Key{{strings.Repeat("k", MaxKeyLen+1), 1}}},
		"key of no entry":     {Room: "a", Entries: one, Keys: []Key{{"k", 2}}},
		"key of older entry":  {Room: "a", After: 1, Entries: one, Keys: []Key{{"k", 1}}},
		"key twice":           {Room: "a", Entries: one, Keys: []Key{{"k", 1}, {"k", 1}}},
		"messages alone":      {Room: "a", Messages: []Key{{"m", 0}}},
		"empty message":       {Room: "a", Entries: one, Messages: []Key{{"", 1}}},
		"message of no entry": {Room: "a", Entries: one, Messages: []Key{{"m", 2}}},
		"message twice":       {Room: "a", Entries: one, Messages: []Key{{"m", 1}, {"m", 1}}},
		"other room's chat":   {Room: "a", Chat: &Chat{Room: "b"}},
		"owner with NUL":      {Room: "a", Chat: &Chat{Room: "a", Owner: "x\x00"}},
		"long owner":          {Room: "a", Chat: &Chat{Room: "a", Owner: strings.Repeat("o", MaxOwnerLen+1)}},
	}
	for name, c := range tests {
		if err := appendWait(s, c); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if err := appendWait(s, Commit{Room: "a", Entries: [][]byte{make([]byte, DefaultMaxCommitBytes)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v, want ErrTooLarge", err)
	}
	for _, err := range []error{
		deleteWait(s, "a/b"),
		second(s.Last("")),
		second(s.Chat("a b")),
		second(readAll(s, "a.b")),
		third(s.Lookup("a_b", "k")),
		third(s.Message("a_b", "m")),
		third(s.Chats("\x00", 0, 1)),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	}
}

// Names come from clients. One that no entry may have is found in none, and is no fault.
func TestNamesThatNoEntryHas(t *testing.T) {
	s := newStore(t)
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1"), Keys: []Key{{"k", 1}}, Messages: []Key{{"m", 1}}})
	for _, name := range []string{"", "none", strings.Repeat("m", MaxKeyLen+1)} {
		for _, find := range []func(room, name string) (uint64, bool, error){s.Lookup, s.Message} {
			if seq, ok, err := find("a", name); seq != 0 || ok || err != nil {
				t.Errorf("%d bytes: %d, %t, %v", len(name), seq, ok, err)
			}
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestKeysAreAtomicWithEntries(t *testing.T) {
	s := newStore(t)
	key := "user\x00\xff " + strings.Repeat("k", 100) // any bytes
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1", "2"), Keys: []Key{{key, 2}, {"other", 1}}})
	mustAppend(t, s, Commit{Room: "b", Entries: entries("1"), Keys: []Key{{key, 1}}})
	for _, tt := range []struct {
		room, key string
		seq       uint64
	}{{"a", key, 2}, {"a", "other", 1}, {"b", key, 1}, {"b", "other", 0}, {"c", key, 0}} {
		seq, ok, err := s.Lookup(tt.room, tt.key)
		if seq != tt.seq || ok != (tt.seq > 0) || err != nil {
			t.Errorf("Lookup(%q, %q) = %d, %v, %v, want %d", tt.room, tt.key, seq, ok, err, tt.seq)
		}
	}
}

// Message ids are apart from idempotency keys, and an id that comes again leads to
// the newer entry.
func TestMessages(t *testing.T) {
	s := newStore(t)
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1", "2"), Keys: []Key{{"x", 1}}, Messages: []Key{{"x", 2}, {"y", 1}}})
	mustAppend(t, s, Commit{Room: "b", Entries: entries("1"), Messages: []Key{{"x", 1}}})
	mustAppend(t, s, Commit{Room: "a", After: 2, Entries: entries("3"), Messages: []Key{{"y", 3}}})
	if err := appendWait(s, Commit{Room: "a", After: 2, Entries: entries("late"), Messages: []Key{{"x", 3}}}); !errors.Is(err, ErrConflict) {
		t.Errorf("a commit that does not follow: %v", err)
	}
	for _, tt := range []struct {
		room, id string
		seq      uint64
	}{{"a", "x", 2}, {"a", "y", 3}, {"b", "x", 1}, {"b", "y", 0}, {"c", "x", 0}} {
		seq, ok, err := s.Message(tt.room, tt.id)
		if seq != tt.seq || ok != (tt.seq > 0) || err != nil {
			t.Errorf("Message(%q, %q) = %d, %v, want %d", tt.room, tt.id, seq, err, tt.seq)
		}
	}
}

func TestOpenTurns(t *testing.T) {
	s := newStore(t)
	open, ended := true, false
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1"), Turn: &open})
	mustAppend(t, s, Commit{Room: "b", Entries: entries("1"), Turn: &open})
	mustAppend(t, s, Commit{Room: "c", Turn: &open}) // without entries
	mustAppend(t, s, Commit{Room: "a", After: 1, Entries: entries("2")})
	mustAppend(t, s, Commit{Room: "b", After: 1, Entries: entries("2"), Turn: &ended})
	got, err := s.OpenTurns()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "c"}, got); diff != "" {
		t.Errorf("open turns (-want +got):\n%s", diff)
	}
}

func TestDoneMayAppend(t *testing.T) {
	s := newStore(t)
	done := make(chan error)
	s.Append(Commit{Room: "a", Entries: entries("1")}, func(error) {
		s.Append(Commit{Room: "a", After: 1, Entries: entries("2")}, func(err error) { done <- err })
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPanicInDoneHurtsNobodyElse(t *testing.T) {
	s := newStore(t)
	s.Append(Commit{Room: "a", Entries: entries("1")}, func(error) { panic("oops") })
	mustAppend(t, s, Commit{Room: "b", Entries: entries("1")})
	if diff := cmp.Diff([]string{"1"}, contents(t, s, "a")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	release := stall(s)
	outcomes := make(chan error, 11)
	for after := range uint64(10) {
		s.Append(Commit{Room: "a", After: after, Entries: entries("x")}, func(err error) { outcomes <- err })
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for { // until Close has been noticed
		s.queue.mu.Lock()
		noticed := s.queue.closed
		s.queue.mu.Unlock()
		if noticed {
			break
		}
		runtime.Gosched()
	}
	s.Append(Commit{Room: "a", After: 10, Entries: entries("late")}, func(err error) { outcomes <- err })
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := <-outcomes; err != nil {
			t.Errorf("commit %d: %v", i, err)
		}
	}
	if err := <-outcomes; !errors.Is(err, ErrClosed) {
		t.Errorf("commit after Close: %v, want ErrClosed", err)
	}
	if err := appendWait(s, Commit{Room: "a", Entries: entries("x")}); !errors.Is(err, ErrClosed) {
		t.Errorf("commit after Close returned: %v, want ErrClosed", err)
	}
	if _, err := s.Last("a"); !errors.Is(err, ErrClosed) {
		t.Errorf("read after Close: %v, want ErrClosed", err)
	}
	if got := len(contents(t, openStore(t, path, Options{}), "a")); got != 10 {
		t.Errorf("%d entries after reopening, want 10", got)
	}
}

func TestConcurrentRooms(t *testing.T) {
	s := openStore(t, newPath(t), Options{TxCommits: 7})
	const rooms, commits = 20, 30
	var wg sync.WaitGroup
	for i := range rooms {
		room := fmt.Sprintf("room-%d", i)
		wg.Go(func() { // appends in bursts, without waiting for each
			outcomes := make(chan error, commits)
			for n := range uint64(commits) {
				s.Append(Commit{Room: room, After: 2 * n, Entries: entries(fmt.Sprint(2*n), fmt.Sprint(2*n+1))},
					func(err error) { outcomes <- err })
			}
			for range commits {
				if err := <-outcomes; err != nil {
					t.Errorf("%s: %v", room, err)
				}
			}
		})
		wg.Go(func() { // sees commits whole, and in order
			for seen := 0; seen < 2*commits; {
				data, err := readAll(s, room)
				if err != nil || len(data)%2 != 0 || len(data) < seen {
					t.Errorf("%s: %d entries after %d, %v", room, len(data), seen, err)
					return
				}
				seen = len(data)
			}
		})
	}
	wg.Wait()
	for i := range rooms {
		for n, got := range contents(t, s, fmt.Sprintf("room-%d", i)) {
			if want := fmt.Sprint(n); got != want {
				t.Fatalf("room %d: entry %d is %q, want %q", i, n+1, got, want)
			}
		}
	}
}

func TestDeleteRemovesEverything(t *testing.T) {
	s := newStore(t)
	open := true
	full := func(room string, n int) Commit {
		c := Commit{Room: room, Chat: &Chat{Room: room, Owner: "alice"}, Turn: &open, Keys: []Key{{"k", 1}}, Messages: []Key{{"m", 1}}}
		for i := range n {
			c.Entries = append(c.Entries, fmt.Append(nil, i, strings.Repeat("x", 500)))
		}
		return c
	}
	// Many pages each, side by side, so that whole pages become empty.
	for _, room := range []string{"a", "b", "c"} {
		mustAppend(t, s, full(room, 300))
	}
	release := stall(s)
	outcomes := make(chan error, 4)
	done := func(err error) { outcomes <- err }
	s.Delete("b", done)
	s.Append(Commit{Room: "a", After: 300, Entries: entries("next")}, done) // finds its end beside empty pages
	s.Append(Commit{Room: "b", After: 300, Entries: entries("stale")}, done)
	s.Append(Commit{Room: "b", Entries: entries("anew")}, done)
	release()
	for i, want := range []error{nil, nil, ErrConflict, nil} {
		if err := <-outcomes; !errors.Is(err, want) {
			t.Errorf("request %d: %v, want %v", i, err, want)
		}
	}
	if diff := cmp.Diff([]string{"anew"}, contents(t, s, "b")); diff != "" {
		t.Errorf("entries of b (-want +got):\n%s", diff)
	}
	if got := len(contents(t, s, "a")); got != 301 {
		t.Errorf("a has %d entries, want 301", got)
	}
	if _, ok, err := s.Lookup("b", "k"); ok || err != nil {
		t.Errorf("the key is still there (%v)", err)
	}
	if _, ok, err := s.Message("b", "m"); ok || err != nil {
		t.Errorf("the message is still there (%v)", err)
	}
	if _, err := s.Chat("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Chat = %v, want ErrNotFound", err)
	}
	if page, total, err := s.Chats("alice", 0, 10); len(page) != 2 || total != 2 || err != nil {
		t.Errorf("%d of %d chats, %v, want 2 of 2", len(page), total, err)
	}
	if turns, err := s.OpenTurns(); len(turns) != 2 || err != nil {
		t.Errorf("open turns: %q, %v", turns, err)
	}
	if err := deleteWait(s, "d"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of nothing: %v, want ErrNotFound", err)
	}
}

func TestDeleteLeavesNoKeyBehind(t *testing.T) {
	s := newStore(t)
	empty := keysOfFile(t, s)
	open := true
	for _, c := range []Commit{
		{Room: "a", Entries: entries("1"), Keys: []Key{{"k", 1}}, Messages: []Key{{"m", 1}}, Chat: &Chat{Room: "a", Owner: "alice"}, Turn: &open},
		{Room: "b", Chat: &Chat{Room: "b"}},
		{Room: "c", Turn: &open},
	} {
		mustAppend(t, s, c)
		if err := deleteWait(s, c.Room); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(empty, keysOfFile(t, s)); diff != "" {
			t.Errorf("after deleting %s (-want +got):\n%s", c.Room, diff)
		}
	}
}
