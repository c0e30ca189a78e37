package persistence

import (
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func keysOfFile(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	err := s.disk.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				keys = append(keys, fmt.Sprintf("%s %q", name, k))
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// fill appends entries "1" to "n" with padding, so that they take many chunks.
func fill(t *testing.T, s *Store, room string, n, padding int) {
	t.Helper()
	c := Commit{Room: room}
	for i := range n {
		c.Entries = append(c.Entries, append(fmt.Append(nil, i+1), make([]byte, padding)...))
	}
	mustAppend(t, s, c)
}

func TestReadFromAnywhere(t *testing.T) {
	s := newStore(t)
	const last = 3000 // several chunks
	fill(t, s, "a", 5, 0)
	fill(t, s, "b", last, 10)
	fill(t, s, "c", 5, 0)
	for _, after := range []uint64{0, 1, 31, 32, 33, 1000, last - 1, last, last + 1, math.MaxUint64 - 1, math.MaxUint64} {
		want := after
		for e, err := range s.Read("b", after) {
			want++
			if e.Seq != want || err != nil {
				t.Fatalf("Read(%d): entry %d, %v, want %d", after, e.Seq, err, want)
			}
		}
		if want != max(after, last) {
			t.Errorf("Read(%d) ended at %d", after, want)
		}
	}
	for _, before := range []uint64{0, 1, 2, 33, 1000, last, last + 1, last + 2, math.MaxUint64} {
		want := uint64(last + 1)
		if before > 0 {
			want = min(before, want)
		}
		for e, err := range s.ReadBack("b", before) {
			want--
			if e.Seq != want || err != nil {
				t.Fatalf("ReadBack(%d): entry %d, %v, want %d", before, e.Seq, err, want)
			}
		}
		if want != 1 {
			t.Errorf("ReadBack(%d) ended at %d", before, want)
		}
	}
}

func TestReadOfNothing(t *testing.T) {
	s := newStore(t)
	fill(t, s, "b", 3, 0)
	for _, room := range []string{"a", "b-", "c"} {
		for e, err := range s.Read(room, 0) {
			t.Errorf("Read(%q) yields %v, %v", room, e, err)
		}
		for e, err := range s.ReadBack(room, 0) {
			t.Errorf("ReadBack(%q) yields %v, %v", room, e, err)
		}
	}
}

func TestLargeEntriesAreReadInBoundedChunks(t *testing.T) {
	s := newStore(t)
	fill(t, s, "a", 20, maxChunkBytes/3)
	got, more, err := s.chunk("a", 1, forward, maxChunkEntries)
	if len(got) != 3 || !more || err != nil {
		t.Errorf("a chunk of %d entries, more: %v, %v, want 3", len(got), more, err)
	}
	if got := len(contents(t, s, "a")); got != 20 {
		t.Errorf("%d entries, want 20", got)
	}
}

// The loop body runs in no transaction. It may write, and the loop sees what it
// writes.
func TestLoopOverReadMayWrite(t *testing.T) {
	s := openStore(t, newPath(t), Options{InitialMmapSize: 1}) // growth has to remap
	fill(t, s, "a", firstChunkEntries+1, 0)
	n := uint64(0)
	for e, err := range s.Read("a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		n = e.Seq
		if n == 1 {
			mustAppend(t, s, Commit{Room: "a", After: firstChunkEntries + 1, Entries: [][]byte{make([]byte, 1<<20)}})
		}
	}
	if n != firstChunkEntries+2 {
		t.Errorf("read up to %d, want %d", n, firstChunkEntries+2)
	}
}

func TestDeleteEndsRead(t *testing.T) {
	s := newStore(t)
	fill(t, s, "a", 3*firstChunkEntries, 0)
	n := 0
	for _, err := range s.Read("a", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := deleteWait(s, "a"); err != nil {
				t.Fatal(err)
			}
		}
		n++
	}
	if n != firstChunkEntries {
		t.Errorf("%d entries, want %d", n, firstChunkEntries)
	}
}

func TestReadStopsWhenTheLoopDoes(t *testing.T) {
	s := newStore(t)
	fill(t, s, "a", 100, 0)
	var got []uint64
	for e := range s.ReadBack("a", 0) {
		if got = append(got, e.Seq); len(got) == 2 {
			break
		}
	}
	if diff := cmp.Diff([]uint64{100, 99}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestMissingEntryIsCorruption(t *testing.T) {
	s := newStore(t)
	fill(t, s, "a", 5, 0)
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, tx.Bucket(bucketLog).Delete(logKey("a", 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, walk := range map[string]func(func(Entry, error) bool){"Read": s.Read("a", 0), "ReadBack": s.ReadBack("a", 0)} {
		n := 0
		var last error
		for _, err := range walk {
			n++
			last = err
		}
		if n != 3 || !errors.Is(last, ErrCorrupt) {
			t.Errorf("%s yields %d times, at last %v, want 2 entries and ErrCorrupt", name, n, last)
		}
	}
}

// To touch a mapped page of a file that was cut short is a fault. It must be an
// error, and not the end of the process.
func TestFaultIsCorruption(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	fill(t, s, "a", 1000, 1000)
	if err := os.Truncate(path, 2*int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(s, "a"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: %v, want ErrCorrupt", err)
	}
	if _, err := s.Last("a"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read again: %v, want ErrCorrupt", err)
	}
	err := appendWait(s, Commit{Room: "a", After: 1000, Entries: entries("x")})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrCorrupt) {
		t.Errorf("append: %v, want ErrUnavailable and ErrCorrupt", err)
	}
}
