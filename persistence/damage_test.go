package persistence

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func init() {
	children["damaged"] = func(path string) error { return damagedChild(path, Options{}) }
	children["damaged, large"] = func(path string) error { return damagedChild(path, prompt) }
}

const damagedRooms = 5

// writeSound makes a file with all kinds of rows, and returns its bytes.
func writeSound(t *testing.T, o Options) []byte {
	t.Helper()
	path := newPath(t)
	s := openStore(t, path, o)
	for i := range uint64(60) {
		for room := range damagedRooms {
			mustAppend(t, s, soundCommit(fmt.Sprint("room-", room), i))
		}
		mustPutSession(t, s, fmt.Sprint("session-", i), strings.Repeat("s", int(i)))
	}
	if err := deleteWait(s, "room-0"); err != nil { // so that there are free pages
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := int64(0)
	r, err := OpenReader(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.disk.view(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return data[:used]
}

func soundCommit(room string, n uint64) Commit {
	open := n%2 == 0
	return Commit{
		Room: room, After: n, Entries: [][]byte{crashEntry(room, n+1)},
		Keys: []Key{{fmt.Sprint("key-", n), n + 1}}, Messages: []Key{{fmt.Sprint("message-", n), n + 1}},
		Chat: &Chat{Room: room, Owner: "owner-" + room, Info: fmt.Append(nil, "info ", n)},
		Turn: &open,
	}
}

// checkAll collects the faults that Check finds, and also names of entries that
// are not there: only these show that a page has lost its last elements.
func checkAll(path string) (faults []string, err error) { return checkWith(path, KeyRing{}) }

func checkWith(path string, ring KeyRing) (faults []string, err error) {
	_, err = Check(path, Checking{
		Options: Options{Keys: ring},
		Report:  func(f Fault) { faults = append(faults, fmt.Sprint(f.Room, " ", f.Seq, " ", f.What)) },
		Room: func(rows RoomRows) (found []Fault) {
			last := uint64(0)
			for e := range rows.Entries {
				last = e.Seq
			}
			for _, key := range slices.Concat(rows.Keys, rows.Messages) {
				if rows.Whole && key.Seq > last {
					found = append(found, Fault{rows.Room, key.Seq, "the name of no entry"})
				}
			}
			return found
		},
	})
	return faults, err
}

// damagedChild damages the file in many ways, one after the other, and prints
// each: if it dies, its last line names the damage.
func damagedChild(path string, o Options) error {
	sound, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var first, damages uint64
	if _, err := fmt.Sscan(os.Getenv(damagesEnv), &first, &damages); err != nil {
		return err
	}
	told := uint64(0)
	for seed := first; seed < first+damages; seed++ {
		data, what := damage(bytes.Clone(sound), rand.New(rand.NewPCG(seed, 0)))
		fmt.Printf("seed %d, %s\n", seed, what)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		sound, err := useDamaged(path, o)
		if err != nil {
			return err
		}
		if !sound {
			told++
		}
	}
	if told < damages/4 {
		return fmt.Errorf("Check told of %d damages of %d", told, damages)
	}
	fmt.Printf("Check told of %d damages of %d\n", told, damages)
	return nil
}

// damagesEnv tells the child its first seed and how many follow.
const damagesEnv = "PARLOR_PERSISTENCE_DAMAGES"

// useDamaged opens, reads, writes, backs up and checks a file that may be damaged.
// It fails if it reads anything that was never written, or if Check finds no
// fault in a file that lacks something.
func useDamaged(path string, o Options) (sound bool, err error) {
	faults, checkErr := checkAll(path)
	sound = len(faults) == 0 && checkErr == nil
	s, err := Open(path, o)
	if err != nil {
		if sound {
			return sound, fmt.Errorf("checked as sound, and yet: %w", err)
		}
		return false, nil
	}
	for i := 1; i < damagedRooms; i++ {
		room := fmt.Sprint("room-", i)
		n, err := readDamaged(s, room)
		if err != nil {
			return sound, err
		}
		if sound && n != 60 {
			return sound, fmt.Errorf("checked as sound, and %s has %d entries", room, n)
		}
		if err := appendWait(s, soundCommit(room, n)); err != nil && sound {
			return sound, err
		}
	}
	if _, err := readSessions(s); err != nil && sound {
		return sound, err
	}
	if b, err := s.Backup(); err == nil {
		if _, err := b.WriteTo(new(bytes.Buffer)); err != nil {
			return sound, err
		}
		b.Close()
	}
	return sound, s.Close()
}

// readDamaged reads what it can of a room, and fails if it reads anything that was
// never written.
func readDamaged(s *Store, room string) (n uint64, err error) {
	for e, err := range s.Read(room, 0) {
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				return n, err
			}
			return n, nil
		}
		n++
		if want := crashEntry(room, e.Seq); e.Seq != n || !bytes.Equal(e.Data, want) {
			return n, fmt.Errorf("%s: entry %d is %d, %.40q, want %.40q", room, n, e.Seq, e.Data, want)
		}
	}
	for seq := range n {
		if got, ok, err := s.Message(room, fmt.Sprint("message-", seq)); err == nil && ok && got != seq+1 {
			return n, fmt.Errorf("%s: message %d is entry %d", room, seq, got)
		}
	}
	if c, err := s.Chat(room); err == nil && (c.Owner != "owner-"+room || !strings.HasPrefix(string(c.Info), "info ")) {
		return n, fmt.Errorf("%s: the chat row is %+v", room, c)
	}
	return n, nil
}

// A file that is cut short or has a flipped bit, wherever that is, is refused, or
// only its undamaged part is read. The test does this in a process of its own,
// which must neither crash nor hang.
func TestDamagedFiles(t *testing.T) {
	t.Run("small", func(t *testing.T) { testDamagedFiles(t, "damaged", Options{}) })
	t.Run("large", func(t *testing.T) { testDamagedFiles(t, "damaged, large", prompt) })
}

func testDamagedFiles(t *testing.T, name string, o Options) {
	damages := 600
	if testing.Short() {
		damages = 30
	}
	path := newPath(t)
	writeFile(t, path, writeSound(t, o))
	cmd := child(t, name, path)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", damagesEnv, seed(t), damages))
	hung := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() })
	defer hung.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
	t.Logf("%s", out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:])
}

// damage cuts the file short or flips a bit. Half of the bits are in the first
// bytes of pages, where bbolt keeps its own data.
func damage(data []byte, rnd *rand.Rand) ([]byte, string) {
	at := rnd.IntN(len(data))
	switch rnd.IntN(8) {
	case 0:
		return data[:at], fmt.Sprintf("cut at %d", at)
	case 1, 2, 3:
		page := rnd.IntN(len(data) / os.Getpagesize())
		at = page*os.Getpagesize() + rnd.IntN(160)
	}
	bit := rnd.IntN(8)
	data[at] ^= 1 << bit
	return data, fmt.Sprintf("bit %d of byte %d flipped", bit, at)
}

// A flipped bit of an entry is found, wherever it is.
func TestFlippedBitIsCorruption(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "a", Entries: entries("somebody's words")})
	mustAppend(t, s, Commit{Room: "b", Entries: entries("one", "two")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(sound, []byte("somebody's words")) // the older copy is on a free page
	step := 1
	if testing.Short() {
		step = 13
	}
	for bit := 0; bit < 8*len("somebody's words"); bit += step {
		data := bytes.Clone(sound)
		for _, i := range allIndexes(data, []byte("somebody's words")) {
			data[i+bit/8] ^= 1 << (bit % 8)
		}
		writeFile(t, path, data)
		s := openStore(t, path, Options{})
		if got, err := readAll(s, "a"); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d at %d flipped: %q, %v", bit, at, got, err)
		}
		if diff := cmp.Diff([]string{"one", "two"}, contents(t, s, "b")); diff != "" {
			t.Errorf("room b (-want +got):\n%s", diff)
		}
		mustAppend(t, s, Commit{Room: "b", After: 2, Entries: entries("three")})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		faults, err := checkAll(path)
		if diff := cmp.Diff([]string{"a 1 " + ErrCorrupt.Error() + ": checksum mismatch"}, faults); diff != "" || err != nil {
			t.Fatalf("Check: %v (-want +got):\n%s", err, diff)
		}
	}
}

func allIndexes(data, sep []byte) (at []int) {
	for from := 0; ; {
		i := bytes.Index(data[from:], sep)
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + 1
	}
}

// A damaged row of the index is an error to whoever looks for the message, and
// [Check] reports it.
func TestDamagedMessageRow(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1", "2"), Messages: []Key{{"one", 1}, {"two", 2}}})
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		messages := tx.Bucket(bucketMessages)
		return true, messages.Put(nameKey("a", "one"), messages.Get(nameKey("a", "two")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if seq, ok, err := s.Message("a", "one"); ok || !errors.Is(err, ErrCorrupt) {
		t.Errorf("the damaged one: %d, %v, %v, want ErrCorrupt", seq, ok, err)
	}
	if seq, ok, err := s.Message("a", "two"); seq != 2 || !ok || err != nil {
		t.Errorf("the other: %d, %v, %v", seq, ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	faults, err := checkAll(path)
	if diff := cmp.Diff([]string{"a 0 a message id: " + ErrCorrupt.Error() + ": checksum mismatch"}, faults); diff != "" || err != nil {
		t.Errorf("Check: %v (-want +got):\n%s", err, diff)
	}
}

// A chat whose row is damaged is left out of lists. The next row that is written
// brings it back, and it can be deleted.
func TestDamagedChatRow(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for _, room := range []string{"a", "b", "c"} {
		mustAppend(t, s, Commit{Room: room, Entries: entries("1"), Chat: &Chat{Room: room, Owner: "alice"}})
	}
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, errors.Join(
			tx.Bucket(bucketChats).Put([]byte("a"), []byte("damaged")),
			tx.Bucket(bucketChats).Put([]byte("b"), []byte("damaged")),
			tx.Bucket(bucketMembers).Put(prefix("alice"), []byte("damaged")),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	names := func() (names []string) {
		page, _, err := s.Chats("alice", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page {
			names = append(names, c.Room)
		}
		return names
	}
	if diff := cmp.Diff([]string{"c"}, names()); diff != "" {
		t.Errorf("chats (-want +got):\n%s", diff)
	}
	mustAppend(t, s, Commit{Room: "a", After: 1, Chat: &Chat{Room: "a", Owner: "alice"}})
	if err := deleteWait(s, "b"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"a", "c"}, names()); diff != "" {
		t.Errorf("chats (-want +got):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if faults, err := checkAll(path); len(faults) > 0 || err != nil {
		t.Errorf("Check: %q, %v", faults, err)
	}
}
