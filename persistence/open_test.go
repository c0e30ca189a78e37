package persistence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// openChild tries to open a file that another process has.
func openChild(path string) error {
	s, err := Open(path, Options{LockTimeout: 10 * time.Millisecond})
	switch {
	case err == nil:
		return errors.Join(errors.New("opened"), s.Close())
	case !errors.Is(err, ErrLocked):
		return fmt.Errorf("not ErrLocked: %w", err)
	}
	fmt.Println(err)
	return nil
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	out, err := child(t, "open", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), path) {
		t.Errorf("child: %v, says %q, want the file's name in it", err, out)
	}
	if _, err := Open(path, Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open in this process: %v, want ErrLocked", err)
	}
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1")})
}

func TestOpenAgain(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	epoch := s.Epoch()
	mustAppend(t, s, Commit{Room: "a", Entries: entries("1")})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("file mode %v, want 0600", got)
	}
	s = openStore(t, path, Options{})
	if got := s.Epoch(); got != epoch || len(got) < 20 {
		t.Errorf("epoch %q after reopening, was %q", got, epoch)
	}
	if other := newStore(t).Epoch(); other == epoch {
		t.Error("two files have one epoch")
	}
	mustAppend(t, s, Commit{Room: "a", After: 1, Entries: entries("2")})
}

func TestOpenFinishesAnInterruptedCreation(t *testing.T) {
	empty := newPath(t)
	writeFile(t, empty, nil)
	unformatted := newPath(t)
	writeBolt(t, unformatted, func(*bolt.Tx) error { return nil })
	for _, path := range []string{empty, unformatted} {
		s := openStore(t, path, Options{})
		if s.Epoch() == "" {
			t.Error("no epoch")
		}
		mustAppend(t, s, Commit{Room: "a", Entries: entries("1")})
	}
}

// The format of a version to come, and why it is refused.
var (
	newerFormat  = fmt.Sprint(formatName, formatVersion+1)
	newerRefused = fmt.Sprintf("format version %d, this program knows up to %d", formatVersion+1, formatVersion)
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct {
		prepare func(path string)
		want    string
	}{
		"text": {func(path string) {
			writeFile(t, path, bytes.Repeat([]byte("hello, world\n"), 5000))
		}, "not a parlor database"},
		"short text": {func(path string) {
			writeFile(t, path, []byte("hello, world\n"))
		}, "not a parlor database"},
		"zeros": {func(path string) {
			writeFile(t, path, make([]byte, 1<<16))
		}, "not a parlor database"},
		"foreign": {func(path string) {
			writeBolt(t, path, func(tx *bolt.Tx) error { return second(tx.CreateBucket([]byte("key"))) })
		}, "another program's bbolt file"},
		"foreign with meta": {func(path string) { // as etcd's
			writeBolt(t, path, func(tx *bolt.Tx) error { return second(tx.CreateBucket(bucketMeta)) })
		}, "another program's bbolt file"},
		"newer": {func(path string) {
			writeBolt(t, path, func(tx *bolt.Tx) error {
				return errors.Join(create(tx), tx.Bucket(bucketMeta).Put(keyFormat, []byte(newerFormat)))
			})
		}, newerRefused},
		"newer, laid out anew": {func(path string) {
			writeBolt(t, path, func(tx *bolt.Tx) error {
				meta, err := tx.CreateBucket(bucketMeta)
				return errors.Join(err, meta.Put(keyFormat, []byte(newerFormat)))
			})
		}, newerRefused},
		"zeroth version": {func(path string) {
			writeBolt(t, path, func(tx *bolt.Tx) error {
				return errors.Join(create(tx), tx.Bucket(bucketMeta).Put(keyFormat, []byte("parlor/0")))
			})
		}, `format version "0"`},
		"strange version": {func(path string) {
			writeBolt(t, path, func(tx *bolt.Tx) error {
				return errors.Join(create(tx), tx.Bucket(bucketMeta).Put(keyFormat, []byte("parlor/x")))
			})
		}, `format version "x"`},
		"cut": {func(path string) {
			writeBolt(t, path, create)
			if err := os.Truncate(path, 4*int64(os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}, "are in use"},
		"no root": {func(path string) {
			writeBolt(t, path, create)
			wipe(t, path, 2)
		}, "not a parlor database"},
		"directory": {func(path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			tt.prepare(path)
			before, _ := os.ReadFile(path)
			_, err := Open(path, Options{})
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open: %v, want ErrFormat with %q and the path", err, tt.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenNeedsTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := Open(filepath.Join(dir, "parlor.db"), Options{})
	if want := "the directory " + dir + " does not exist"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open: %v, want %q", err, want)
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeBolt writes to a file with bbolt alone, and creates it if it is missing.
func writeBolt(t *testing.T, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// wipe overwrites all pages from the given one on.
func wipe(t *testing.T, path string, page int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := page * os.Getpagesize(); i < len(data); i++ {
		data[i] = 0xff
	}
	writeFile(t, path, data)
}
