package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// prompt are options that treat a file of any size as a large one.
var prompt = Options{scanFirst: 1}

// writeClosed makes a file of several rooms, with branches and free pages, and
// closes it as a large one is closed.
func writeClosed(t *testing.T) (path string) {
	t.Helper()
	path = newPath(t)
	s := openStore(t, path, prompt)
	for i := range uint64(60) {
		for room := range damagedRooms {
			s.Append(soundCommit(fmt.Sprint("room-", room), i), func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	mustPutSession(t, s, "session", "") // ends the transaction, so that the deletion leaves free pages
	if err := errors.Join(deleteWait(s, "room-0"), s.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// wantScanned fails unless a start scans all pages before it serves, or, if want
// is false, if it does.
func wantScanned(t *testing.T, path string, o Options, want bool) {
	t.Helper()
	scanned, err := examine(path, o.withDefaults())
	if err != nil || scanned != want {
		t.Errorf("scanned before it serves: %v, %v, want %v", scanned, err, want)
	}
}

func wantSound(t *testing.T, path string) {
	t.Helper()
	faults, err := checkAll(path)
	if err != nil || len(faults) > 0 {
		t.Errorf("Check: %q, %v", faults, err)
	}
	if err := checkFile(path); err != nil {
		t.Errorf("bbolt: %v", err)
	}
}

// The file of a store that was closed is served promptly, again and again. The
// file of one that was killed is scanned first.
func TestPromptStart(t *testing.T) {
	path := writeClosed(t)
	for n := uint64(60); n < 63; n++ {
		wantSound(t, path)
		wantScanned(t, path, prompt, false)
		s := openStore(t, path, prompt)
		if got := contents(t, s, "room-1"); uint64(len(got)) != n {
			t.Errorf("room-1 has %d entries, want %d", len(got), n)
		}
		killed := newPath(t)
		writeFile(t, killed, readFile(t, path)) // as kill -9 would leave it
		wantScanned(t, killed, prompt, false)

		mustAppend(t, s, soundCommit("room-1", n))
		writeFile(t, killed, readFile(t, path))
		wantScanned(t, killed, prompt, true)
		wantSound(t, killed)
		if got := contents(t, openStore(t, killed, prompt), "room-1"); uint64(len(got)) != n+1 {
			t.Errorf("room-1 of a killed server has %d entries, want %d", len(got), n+1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A store that gets no commit leaves the file as it is.
func TestPromptStartWritesNothing(t *testing.T) {
	path := writeClosed(t)
	before := readFile(t, path)
	for round := range 4 {
		s := openStore(t, path, prompt)
		if round%2 == 0 {
			appendWait(s, Commit{}) // is refused once the file has been scanned
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the file was changed")
	}
}

func TestSmallFilesAreScannedFirst(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1")})
	before := readFile(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("Close has written to a small file")
	}
	wantScanned(t, path, prompt, true)
	wantScanned(t, writeClosed(t), Options{}, true)
}

// A file that has to be migrated is scanned first, since the migration writes to
// it at once.
func TestOutdatedFilesAreScannedFirst(t *testing.T) {
	path := writeClosed(t)
	db, err := bolt.Open(path, 0o600, nil) // keeps the list
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySealing, []byte("members")) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	wantScanned(t, path, prompt, true)
	mustAppend(t, openStore(t, path, prompt), soundCommit("room-1", 60))
}

// anatomy tells where the parts of a file are.
type anatomy struct {
	pageSize int
	list     int            // the page of the list
	roots    map[string]int // the buckets' pages
}

func anatomyOf(t *testing.T, path string) (a anatomy) {
	t.Helper()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	a.pageSize, a.roots = db.Info().PageSize, make(map[string]int)
	err = db.View(func(tx *bolt.Tx) error {
		a.list = int(listOf(tx))
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			a.roots[string(name)] = int(b.Root())
			return nil
		})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return a
}

// child returns the page that element i of a branch leads to.
func (a anatomy) child(data []byte, branch, i int) int {
	return int(binary.NativeEndian.Uint64(element(data[branch*a.pageSize:], i)[8:]))
}

// A prompt start examines all that it relies on: it refuses a file that is damaged
// there, and writes nothing.
func TestPromptStartRefuses(t *testing.T) {
	tests := map[string]func(data []byte, a anatomy){
		"the list is none":           func(data []byte, a anatomy) { data[a.list*a.pageSize+8] = leafFlag },
		"the list is another page":   func(data []byte, a anatomy) { data[a.list*a.pageSize]++ },
		"the list is too long":       func(data []byte, a anatomy) { data[a.list*a.pageSize+11] = 0xfe },
		"the list is far too long":   func(data []byte, a anatomy) { copy(data[a.list*a.pageSize+10:], "\xff\xff\xff\xff\xff\xff") },
		"the list goes on":           func(data []byte, a anatomy) { data[a.list*a.pageSize+15] = 0x7f },
		"the list has a used page":   func(data []byte, a anatomy) { setFree(data, a, a.roots["log"]) },
		"the list has itself":        func(data []byte, a anatomy) { setFree(data, a, a.list) },
		"the list has a meta page":   func(data []byte, a anatomy) { setFree(data, a, 1) },
		"the list has a page twice":  func(data []byte, a anatomy) { copy(data[a.list*a.pageSize+16:][:8], data[a.list*a.pageSize+24:]) },
		"the list has no such page":  func(data []byte, a anatomy) { setFree(data, a, 1<<40) },
		"a branch leads to itself":   func(data []byte, a anatomy) { setChild(data, a, a.roots["log"]) },
		"a branch leads to the list": func(data []byte, a anatomy) { setChild(data, a, a.list) },
		"a branch leads outside":     func(data []byte, a anatomy) { setChild(data, a, 1<<30) },
		"a branch is none":           func(data []byte, a anatomy) { data[a.roots["log"]*a.pageSize+8] = listFlag },
	}
	path := writeClosed(t)
	sound, a := readFile(t, path), anatomyOf(t, path)
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			path, data := newPath(t), bytes.Clone(sound)
			damage(data, a)
			writeFile(t, path, data)
			for _, o := range []Options{prompt, {}} {
				if _, err := Open(path, o); !errors.Is(err, ErrFormat) || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Errorf("Open: %v, want ErrFormat, ErrCorrupt and the path", err)
				}
			}
			if _, err := checkAll(path); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Check: %v, want ErrCorrupt", err)
			}
			if !bytes.Equal(data, readFile(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

// setFree replaces the page in the list that is next to page by page.
func setFree(data []byte, a anatomy, page int) {
	list := data[a.list*a.pageSize:]
	count := int(binary.NativeEndian.Uint16(list[10:]))
	id := func(i int) []byte { return list[pageHeaderLen+8*i:][:8] }
	i := 0
	for i < count-1 && binary.NativeEndian.Uint64(id(i)) < uint64(page) {
		i++
	}
	binary.NativeEndian.PutUint64(id(i), uint64(page))
}

// setChild lets the second element of the log's root lead to another page.
func setChild(data []byte, a anatomy, page int) {
	binary.NativeEndian.PutUint64(element(data[a.roots["log"]*a.pageSize:], 1)[8:], uint64(page))
}

// A damaged leaf is found while the file is served. Reads go on, and nothing is
// written.
func TestPromptStartOnADamagedLeaf(t *testing.T) {
	path := writeClosed(t)
	data, a := readFile(t, path), anatomyOf(t, path)
	leaf := a.child(data, a.roots["log"], 2)
	data[leaf*a.pageSize+pageHeaderLen] = 7 // the flags of its first element
	writeFile(t, path, data)
	if _, err := Open(path, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("Open of a small file: %v, want ErrFormat", err)
	}
	var records bytes.Buffer
	s := openStore(t, path, Options{scanFirst: 1, Logger: slog.New(slog.NewTextHandler(&records, nil))})
	for range 2 {
		err := appendWait(s, Commit{Room: "new", Entries: entries("1")})
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("Append: %v, want ErrUnavailable and ErrCorrupt", err)
		}
	}
	if diff := cmp.Diff(60, len(contents(t, s, "room-4"))); diff != "" {
		t.Errorf("entries of a sound room (-want +got):\n%s", diff)
	}
	if _, err := s.Backup(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Backup: %v, want ErrCorrupt", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("page %d: ", leaf); !strings.Contains(records.String(), want) {
		t.Errorf("logged, want %q in it:\n%s", want, &records)
	}
	if !bytes.Equal(data, readFile(t, path)) {
		t.Error("the file was changed")
	}
	if _, err := OpenReader(path, prompt); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenReader: %v, want ErrFormat", err)
	}
	if _, _, err := Compact(path, Checking{Options: prompt}); !errors.Is(err, ErrFormat) {
		t.Errorf("Compact: %v, want ErrFormat", err)
	}
}

// A store that has nothing to write does not wait for its scan when it is closed.
func TestScanGivesUp(t *testing.T) {
	d, err := openDisk(writeClosed(t), prompt.withDefaults(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	d.scan(func() bool { return true })
	err = d.update(func(tx *bolt.Tx) (bool, error) { return true, nil })
	if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("update: %v, want ErrClosed and ErrUnavailable", err)
	}
}

// A backup does not contain the free pages, but it contains the list of them.
func TestBackupOfAClosedFile(t *testing.T) {
	path := writeClosed(t)
	r, err := OpenReader(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	copyOf := func(r *Reader) {
		b, err := r.Backup()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		bare, whole := newPath(t), filepath.Join(t.TempDir(), "copy")
		if err := WriteNew(bare, func(w io.Writer) error { return second(b.WriteTo(w)) }); err != nil {
			t.Fatal(err)
		}
		wantScanned(t, bare, prompt, false)
		if err := backupTo(t, b, whole, func() {}); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{bare, whole} {
			wantSound(t, path)
			s := openStore(t, path, prompt)
			mustAppend(t, s, soundCommit("room-1", 60))
			if got := contents(t, s, "room-1"); len(got) != 61 {
				t.Errorf("room-1 has %d entries, want 61", len(got))
			}
		}
	}
	copyOf(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	copyOf(&openStore(t, path, prompt).Reader)
}

func TestPromptStartAfterCompact(t *testing.T) {
	path := writeClosed(t)
	if _, _, err := Compact(path, Checking{Options: prompt}); err != nil {
		t.Fatal(err)
	}
	wantScanned(t, path, prompt, false)
	wantSound(t, path)
	s := openStore(t, path, prompt)
	mustAppend(t, s, soundCommit("room-1", 60))
}

// A list of more than 65,534 pages begins with their number.
func TestLongFreeList(t *testing.T) {
	const pageSize, count, list = 4096, 70_000, 2
	pages := make([]byte, 200*pageSize)
	head := pages[list*pageSize:]
	binary.NativeEndian.PutUint64(head, list)
	binary.NativeEndian.PutUint16(head[8:], listFlag)
	binary.NativeEndian.PutUint16(head[10:], 0xffff)
	binary.NativeEndian.PutUint32(head[12:], count*8/pageSize)
	binary.NativeEndian.PutUint64(head[16:], count)
	for i := range count {
		binary.NativeEndian.PutUint64(head[24+8*i:], uint64(1000+i))
	}
	check := func() error {
		s := &pageScan{file: bytes.NewReader(pages), pageSize: pageSize, end: 1000 + count, list: list}
		s.inUse = make([]bool, s.end)
		return s.freeList()
	}
	if err := check(); err != nil {
		t.Error(err)
	}
	binary.NativeEndian.PutUint64(head[24+8*(count-1):], 1000+count)
	if err := check(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the last one is none: %v, want ErrCorrupt", err)
	}
	binary.NativeEndian.PutUint64(head[16:], 1<<61)
	if err := check(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a count of 1<<61: %v, want ErrCorrupt", err)
	}
}
