package persistence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// backupTo writes a backup, and calls meanwhile after each piece of it.
func backupTo(t *testing.T, b *Backup, path string, meanwhile func()) error {
	t.Helper()
	return WriteBackup(path, func(w io.Writer) error {
		n, err := b.WriteTo(writerFunc(func(p []byte) (int, error) {
			meanwhile()
			return w.Write(p)
		}))
		if err == nil && n != b.Size() {
			t.Errorf("%d bytes written, want %d", n, b.Size())
		}
		return err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A copy is another file: sequence numbers of the original must not be taken for
// those of the copy.
func TestBackupHasItsOwnEpoch(t *testing.T) {
	s := newStore(t)
	mustAppend(t, s, Commit{Room: "a", Entries: entries("one")})
	b, err := s.Backup()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := backupTo(t, b, copied, func() {}); err != nil {
		t.Fatal(err)
	}
	c := openStore(t, copied, Options{})
	if c.Epoch() == s.Epoch() || c.Epoch() == "" {
		t.Errorf("epochs %q and %q", s.Epoch(), c.Epoch())
	}
	if diff := cmp.Diff(contents(t, s, "a"), contents(t, c, "a")); diff != "" {
		t.Error(diff)
	}
}

// While a slow reader takes a backup, commits and reads go on and the file grows
// to several times its size. The backup holds what was there at its beginning.
func TestBackupWhileTheFileGrows(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	fill(t, s, "a", 500, 10_000)
	want := contents(t, s, "a")
	b, err := s.Backup()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	copied := filepath.Join(t.TempDir(), "copy")
	before, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(500)
	err = backupTo(t, b, copied, func() { // on the backup's goroutine: a commit that waited for the backup would hang
		for range 10 {
			c := Commit{Room: "a", After: n}
			for range 20 {
				c.Entries = append(c.Entries, make([]byte, 20_000))
				n++
			}
			mustAppend(t, s, c)
		}
		if last, err := s.Last("a"); last != n || err != nil {
			t.Errorf("Last: %d, %v, want %d", last, err, n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := s.Usage(); after.UsedBytes < 3*before.UsedBytes || err != nil {
		t.Errorf("the file went from %d to %d bytes in use, %v", before.UsedBytes, after.UsedBytes, err)
	}
	if faults, err := checkAll(copied); len(faults) > 0 || err != nil {
		t.Errorf("Check: %q, %v", faults, err)
	}
	if diff := cmp.Diff(want, contents(t, openStore(t, copied, Options{}), "a")); diff != "" {
		t.Errorf("backup (-want +got):\n%.2000s", diff)
	}
}

// A store does not wait for a backup when it is closed or has to mend its file.
func TestBackupGivesWay(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	fill(t, s, "a", 100, 1000)
	mend := func() error {
		s.disk.mustReopen = true // as after a failed commit; the writer is idle and does not read it
		return appendWait(s, Commit{Room: "b", Entries: entries("1")})
	}
	if err := disturbBackup(t, s, mend); !errors.Is(err, ErrUnavailable) {
		t.Errorf("mend: the backup ends with %v, want ErrUnavailable", err)
	}
	if got := contents(t, s, "b"); len(got) != 1 {
		t.Errorf("room b holds %q", got)
	}
	if err := disturbBackup(t, s, s.Close); !errors.Is(err, ErrClosed) {
		t.Errorf("close: the backup ends with %v, want ErrClosed", err)
	}
	if _, err := s.Backup(); !errors.Is(err, ErrClosed) {
		t.Errorf("backup of a closed store: %v, want ErrClosed", err)
	}
	if got := len(s.disk.copies.open); got != 0 {
		t.Errorf("%d backups left open", got)
	}
}

func disturbBackup(t *testing.T, s *Store, disturb func() error) error {
	t.Helper()
	b, err := s.Backup()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := disturb(); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	err = backupTo(t, b, copied, func() {})
	if _, statErr := os.Stat(copied); !errors.Is(statErr, fs.ErrNotExist) {
		t.Errorf("a part of a backup was left: %v", statErr)
	}
	return err
}

func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	failed := errors.New("failed")
	err := WriteNew(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("part")); err != nil {
			t.Error(err)
		}
		return failed
	})
	if names, _ := os.ReadDir(dir); !errors.Is(err, failed) || len(names) > 0 {
		t.Errorf("error %v, left %v", err, names)
	}
	write := func(w io.Writer) error { _, err := w.Write([]byte("all")); return err }
	if err := WriteNew(path, write); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); string(got) != "all" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := WriteNew(path, write); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("over a file: %v, want ErrExist", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left %v", names)
	}
}

const deletedWords = "what nobody should ever read again"

// writeDeleted makes a store with a room whose entries were deleted.
func writeDeleted(t *testing.T, path string) *Store {
	t.Helper()
	s := openStore(t, path, Options{})
	for i := range uint64(200) {
		mustAppend(t, s, Commit{Room: "kept", After: i, Entries: entries(fmt.Sprint("kept ", i, strings.Repeat("k", 900)))})
		mustAppend(t, s, Commit{
			Room: "gone", After: i, Entries: entries(deletedWords + strings.Repeat("g", int(i))),
			Keys: []Key{{deletedWords + fmt.Sprint(i), i + 1}}, Messages: []Key{{deletedWords + fmt.Sprint(i), i + 1}},
			Chat: &Chat{Room: "gone", Owner: deletedWords, Info: []byte(deletedWords)},
		})
	}
	if err := deleteWait(s, "gone"); err != nil {
		t.Fatal(err)
	}
	return s
}

// A backup holds nothing that was deleted, nor does the file after a compaction.
func TestDeletedIsGone(t *testing.T) {
	path := newPath(t)
	s := writeDeleted(t, path)
	want := contents(t, s, "kept")
	epoch := s.Epoch()
	b, err := s.Backup()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := backupTo(t, b, copied, func() {}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(path, Checking{})
	if err != nil || after >= before {
		t.Errorf("compacted from %d to %d bytes, %v", before, after, err)
	}
	for name, path := range map[string]string{"backup": copied, "compacted": path} {
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(deletedWords)) {
			t.Errorf("%s: the deleted words are in it, %v", name, err)
		}
		if faults, err := checkAll(path); len(faults) > 0 || err != nil {
			t.Errorf("%s: Check: %q, %v", name, faults, err)
		}
		s := openStore(t, path, Options{})
		if diff := cmp.Diff(want, contents(t, s, "kept")); diff != "" || (s.Epoch() == epoch) != (name == "compacted") {
			t.Errorf("%s: epoch %q, of the original %q (-want +got):\n%.2000s", name, s.Epoch(), epoch, diff)
		}
		mustAppend(t, s, Commit{Room: "kept", After: 200, Entries: entries("more")})
	}
}

func TestCompactRefuses(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	fill(t, s, "a", 3, 10)
	if _, _, err := Compact(path, Checking{Options: Options{LockTimeout: 1}}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("of a file in use: %v, want ErrLocked", err)
	}
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, tx.Bucket(bucketLog).Put(logKey("a", 2), []byte("damaged"))
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path, Checking{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("of a damaged file: %v, want ErrCorrupt", err)
	}
	if after, err := os.ReadFile(path); !bytes.Equal(before, after) || err != nil {
		t.Errorf("the damaged file was changed, %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("left %v", names)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, _, err := Compact(missing, Checking{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

// Open refuses a file that was replaced while Open waited for the lock.
func TestOpenOfAReplacedFile(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	d, err := openDisk(filepath.Join(t.TempDir(), "other"), Options{}.withDefaults(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := d.sameFile(); err != nil {
		t.Error(err)
	}
	d.path = s.disk.path
	if err := d.sameFile(); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// After a crash, sealing goes on where it was.
func TestSealingIsResumed(t *testing.T) {
	path := newPath(t)
	if err := writeVersion1(path); err != nil {
		t.Fatal(err)
	}
	want := []string{}
	writeBolt(t, path, func(tx *bolt.Tx) (err error) {
		for i := range uint64(2*sealingRows + 10) {
			want = append(want, fmt.Sprint(i))
			err = errors.Join(err, tx.Bucket(bucketLog).Put(logKey("c", i+1), []byte(fmt.Sprint(i))))
		}
		return err
	})
	writeBolt(t, path, func(tx *bolt.Tx) error {
		return errors.Join(addSessions(tx), putFormat(tx, 2))
	})
	writeBolt(t, path, func(tx *bolt.Tx) error {
		next, err := sealRows(tx, tx.Bucket(bucketMeta).Get(keySealing))
		return errors.Join(err, tx.Bucket(bucketMeta).Put(keySealing, next))
	})
	if _, err := OpenReader(path, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenReader: %v, want ErrFormat", err)
	}
	s := openStore(t, path, Options{})
	if diff := cmp.Diff(want, contents(t, s, "c")); diff != "" {
		t.Errorf("room c (-want +got):\n%.1000s", diff)
	}
	if got := contents(t, s, "a"); len(got) != 2 {
		t.Errorf("room a holds %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if faults, err := checkAll(path); len(faults) > 0 || err != nil {
		t.Errorf("Check: %q, %v", faults, err)
	}
}
