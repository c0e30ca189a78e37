package persistence

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// partsIn counts the parts of large values whose places begin so.
func partsIn(t *testing.T, s *Store, place string) (n int) {
	t.Helper()
	err := s.disk.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketLarge).ForEach(func(k, _ []byte) error {
			if strings.HasPrefix(string(k[8:]), place) {
				n++
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// large returns a text that takes several parts, and is another one for each n.
func large(n int) string { return strings.Repeat(fmt.Sprint(n, " "), 8000) }

// A large value is written about once: it shares no leaf with others that are written again.
// The small rows beside it, the branches above, and one small leaf that is written again are
// less than a half of it.
func TestLargeValuesAreWrittenOnce(t *testing.T) {
	const size, n = 60 << 10, 40
	room := func(i int, rooms int) (string, uint64) { return fmt.Sprint("room-", i%rooms), uint64(i / rooms) }
	for name, write := range map[string]func(s *Store, i int) error{
		"messages of one room": func(s *Store, i int) error {
			name, after := room(i, 1)
			return appendWait(s, Commit{Room: name, After: after, Entries: entries(strings.Repeat("x", size)), Keys: []Key{{fmt.Sprint(i), after + 1}}})
		},
		"messages of ten rooms": func(s *Store, i int) error {
			name, after := room(i, 10)
			return appendWait(s, Commit{Room: name, After: after, Entries: entries(strings.Repeat("x", size)), Keys: []Key{{fmt.Sprint(i), after + 1}}})
		},
		"snapshots of ten rooms": func(s *Store, i int) error {
			name, _ := room(i, 10)
			return appendWait(s, Commit{Room: name, Snapshot: make([]byte, size)})
		},
		"pieces of a file": func(s *Store, i int) error {
			return waitFor(func(done func(error)) { s.PutChunk("files", "", "blob", i, make([]byte, size), done) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			mustAppend(t, s, Commit{Room: "files", Chat: chatOf("files", "alice"), Entries: entries("created")})
			before := written(s)
			for i := range n {
				if err := write(s, i); err != nil {
					t.Fatal(err)
				}
			}
			per := (written(s) - before) / n
			t.Logf("%d bytes for each value", per)
			if per > size*3/2 {
				t.Errorf("%d bytes are written for each value of %d", per, size)
			}
		})
	}
}

// written returns how many bytes of pages all commits have written so far.
func written(s *Store) int64 {
	stats := s.disk.db.Stats()
	return stats.TxStats.GetPageAlloc()
}

// A large value is removed with its parts: by a deletion, a snapshot that replaces
// another one, and a room that is rewritten. A reader sees the values from both ends.
func TestLargeValues(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	words := []string{large(1), "small", large(2), strings.Repeat("x", largeFrom-sealLen), strings.Repeat("y", largeFrom-sealLen+1)}
	for _, room := range []string{"a", "b"} {
		mustAppend(t, s, Commit{Room: room, Chat: chatOf(room, "alice"), Entries: entries(words...), Snapshot: []byte(large(3))})
		mustAppend(t, s, Commit{Room: room, After: 5, Snapshot: []byte(large(4))})
		if err := upload(s, room, "f", "blob", large(5)); err != nil {
			t.Fatal(err)
		}
		if err := upload(s, room, "gone", "blob2", large(6)); err != nil {
			t.Fatal(err)
		}
		if err := waitFor(func(done func(error)) { s.DeleteFile(room, "", "gone", done) }); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(r *Reader, room string) {
		t.Helper()
		var got, back []string
		for e, err := range r.Read(room, 0) {
			got = append(got, string(e.Data))
			if err != nil {
				t.Fatal(err)
			}
		}
		for e, err := range r.ReadBack(room, 0) {
			back = append([]string{string(e.Data)}, back...)
			if err != nil {
				t.Fatal(err)
			}
		}
		if !cmp.Equal(got, words) || !cmp.Equal(back, words) {
			t.Errorf("%s holds %.20q, backwards %.20q", room, got, back)
		}
		if seq, state, err := r.Snapshot(room); seq != 5 || string(state) != large(4) || err != nil {
			t.Errorf("the snapshot of %s is at %d, %.20q, %v", room, seq, state, err)
		}
		if contentOf(t, r, room, "f") != large(5) {
			t.Errorf("the file of %s is another one", room)
		}
	}
	holds(&s.Reader, "a")
	if n := partsIn(t, s, "log\x00a"); n != 3*5 {
		t.Errorf("%d parts of the log", n)
	}
	if n := partsIn(t, s, "snapshots\x00a"); n != 5 {
		t.Errorf("%d parts of the snapshot", n)
	}
	if n := partsIn(t, s, "blobs\x00a"); n != 5 {
		t.Errorf("%d parts of the file", n)
	}
	if err := waitFor(func(done func(error)) {
		s.Rewrite(Commit{Room: "a", Chat: chatOf("a", "alice"), Entries: entries(large(9))}, "bob", []string{"f"}, done)
	}); err != nil {
		t.Fatal(err)
	}
	if n, want := partsIn(t, s, ""), partsIn(t, s, "log\x00a")+partsIn(t, s, "log\x00b")+partsIn(t, s, "snapshots\x00b")+partsIn(t, s, "blobs\x00b"); n != want {
		t.Errorf("%d parts in all, want %d", n, want)
	}
	if err := deleteWait(s, "a"); err != nil {
		t.Fatal(err)
	}
	if n := partsIn(t, s, "log\x00a"); n != 0 {
		t.Errorf("%d parts of a room that is deleted", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
	if _, _, err := Compact(path, Checking{}); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "c", Entries: entries(large(7))}) // after a compaction the numbers go on
	holds(&s.Reader, "b")
	if diff := cmp.Diff([]string{large(7)}, contents(t, s, "c")); diff != "" {
		t.Errorf("%.200s", diff)
	}
	if err := errors.Join(deleteWait(s, "b"), deleteWait(s, "c")); err != nil {
		t.Fatal(err)
	}
	if n := partsIn(t, s, ""); n != 0 {
		t.Errorf("%d parts of nothing", n)
	}
	if got := sharesOf(t, s); len(got) != 0 {
		t.Errorf("shares after all was deleted: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
}

// A value that has lost a part, has a damaged one, or a damaged reference costs its own
// entry and nothing else. Check reports it, and a deletion of the room mends all.
func TestDamagedLargeValue(t *testing.T) {
	key := logKey("a", 2)
	for name, damage := range map[string]struct {
		do    func(tx *bolt.Tx, parts [][]byte) error
		fault string
	}{
		"a part is damaged": {func(tx *bolt.Tx, parts [][]byte) error {
			return tx.Bucket(bucketLarge).Put(parts[1], bytes.Repeat([]byte("z"), len(tx.Bucket(bucketLarge).Get(parts[1]))))
		}, "checksum mismatch"},
		"a part is missing": {func(tx *bolt.Tx, parts [][]byte) error { return tx.Bucket(bucketLarge).Delete(parts[1]) },
			"part 2 of 5 is missing"},
		"a part is shorter": {func(tx *bolt.Tx, parts [][]byte) error { return tx.Bucket(bucketLarge).Put(parts[3], []byte("z")) },
			"the parts have 14736 bytes, want 16004"},
		"the reference is damaged": {func(tx *bolt.Tx, parts [][]byte) error {
			return tx.Bucket(bucketLog).Put(key, make([]byte, referenceLen+sealLen))
		}, "checksum mismatch"},
		"the reference is that of another entry": {func(tx *bolt.Tx, parts [][]byte) error {
			return tx.Bucket(bucketLog).Put(key, tx.Bucket(bucketLog).Get(logKey("b", 2)))
		}, "checksum mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			s := openStore(t, path, Options{})
			for _, room := range []string{"a", "b"} {
				mustAppend(t, s, Commit{Room: room, Chat: chatOf(room, "alice"), Entries: entries("one", large(1), large(2))})
			}
			half := sharesOf(t, s)["alice"].Bytes / 2
			err := s.disk.update(func(tx *bolt.Tx) (bool, error) { return true, damage.do(tx, partsAt(tx, "log", key)) })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readAll(s, "a"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("read: %v, want ErrCorrupt", err)
			}
			for e, err := range s.Read("a", 2) {
				if e.Seq != 3 || string(e.Data) != large(2) || err != nil {
					t.Errorf("entry %d, %v", e.Seq, err)
				}
			}
			if diff := cmp.Diff([]string{"one", large(1), large(2)}, contents(t, s, "b")); diff != "" {
				t.Errorf("room b: %.200s", diff)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			faults, err := checkAll(path)
			if diff := cmp.Diff([]string{"a 2 " + ErrCorrupt.Error() + ": " + damage.fault}, faults); diff != "" || err != nil {
				t.Errorf("Check: %v (-want +got):\n%s", err, diff)
			}
			s = openStore(t, path, Options{})
			if err := deleteWait(s, "a"); err != nil {
				t.Fatal(err)
			}
			if n := partsIn(t, s, "log\x00a"); n != 0 {
				t.Errorf("%d parts of a room that is deleted", n)
			}
			if got := sharesOf(t, s)["alice"]; got != (Share{1, half}) {
				t.Errorf("alice has %v, want %d bytes", got, half)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wantSound(t, path)
		})
	}
}

// partsAt returns the keys of the parts of a row.
func partsAt(tx *bolt.Tx, bucket string, key []byte) (keys [][]byte) {
	c := tx.Bucket(bucketLarge).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if bytes.Equal(k[8:], placeOf([]byte(bucket), key)) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	return keys
}

// Check reports parts that belong to no row, once for each value, and a counter that is
// behind the parts.
func TestStrayParts(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for _, room := range []string{"a", "b"} {
		mustAppend(t, s, Commit{Room: room, Entries: entries(large(1))})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		large := tx.Bucket(bucketLarge)
		return errors.Join(
			tx.Bucket(bucketLog).Delete(logKey("a", 1)),
			large.Put(partKey(100, placeOf(bucketLog, logKey("b", 1))), []byte("x")),
			large.Put(partKey(101, placeOf([]byte("nothing"), nil)), []byte("x")),
			large.Put([]byte("short"), []byte("x")),
		)
	})
	faults, err := checkAll(path)
	want := []string{
		"a 0 part 1 of a large value belongs to no row",
		"b 0 part 100 of a large value belongs to no row",
		" 0 part 101 of a large value belongs to no row",
		" 0 a part of a large value has a key of 5 bytes",
		" 0 part 101 of a large value was written, and the last number is said to be 10",
	}
	if diff := cmp.Diff(want, faults); diff != "" || err != nil {
		t.Errorf("Check: %v (-want +got):\n%s", err, diff)
	}
}

// A file of version 12 goes on: its large values stay in their rows, and new ones lie apart.
func TestFormat12GoesOn(t *testing.T) {
	path := newPath(t)
	unpack(t, "testdata/format12.db.gz", path)
	sizes := []int{10, 4000, 9000, 60 << 10, 5, 60 << 10}
	var want []string
	for i, n := range sizes {
		want = append(want, strings.Repeat(fmt.Sprint(i+1), n))
	}
	s := openStore(t, path, Options{})
	share := sharesOf(t, s)["alice"]
	for _, room := range []string{"one", "two"} {
		if !cmp.Equal(contents(t, s, room), want) {
			t.Errorf("%s holds something else", room)
		}
		if seq, state, err := s.Snapshot(room); seq != 6 || string(state) != strings.Repeat("s", 6000) || err != nil {
			t.Errorf("the snapshot is at %d, %v", seq, err)
		}
	}
	if contentOf(t, &s.Reader, "one", "file") != strings.Repeat("f", 100_000) {
		t.Error("the file is another one")
	}
	if n := partsIn(t, s, ""); n != 0 {
		t.Errorf("%d parts after the migration", n)
	}
	mustAppend(t, s, Commit{Room: "one", After: 6, Entries: entries(large(7)), Snapshot: []byte(large(8))})
	if partsIn(t, s, "log\x00one\x00") == 0 || partsIn(t, s, "snapshots\x00one") == 0 {
		t.Error("what is new is in its row")
	}
	if !cmp.Equal(contents(t, s, "one"), append(want, large(7))) {
		t.Error("one holds something else")
	}
	if got := sharesOf(t, s)["alice"].Bytes - share.Bytes; got != int64(len("one")+1+8+len(large(7))+sealLen) {
		t.Errorf("the new entry counts as %d bytes", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
	s = openStore(t, path, Options{})
	if err := errors.Join(deleteWait(s, "one"), deleteWait(s, "two")); err != nil {
		t.Fatal(err)
	}
	if got := sharesOf(t, s); len(got) != 0 {
		t.Errorf("shares after all was deleted: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
}

// unpack writes what a packed file holds.
func unpack(t *testing.T, packed, path string) {
	t.Helper()
	f, err := os.Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, data)
}

// No row is taken for a reference unless it was sealed as one, and a reference that is
// accepted is encoded as it was.
func FuzzReference(f *testing.F) {
	f.Add([]byte{}, []byte("key"))
	f.Add(reference{1, 2, 8000, true}.encode(), []byte("key"))
	f.Add(reference{1<<64 - 1, 1<<32 - 1, 1 << 63, false}.encode(), []byte("key"))
	f.Fuzz(func(t *testing.T, b, key []byte) {
		r, err := decodeReference(b)
		if err == nil && (!bytes.Equal(r.encode(), b) || !r.has(r.first) || r.has(r.first-1) || r.has(r.first+uint64(r.count))) {
			t.Errorf("%x is %+v", b, r)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		if _, large, err := referenceIn(key, seal(key, b)); large || err != nil {
			t.Errorf("a value was taken for a reference: %v", err)
		}
		got, large, refErr := referenceIn(key, seal(referenceKey(key), b))
		if len(b) == referenceLen && (large != (err == nil) || got != r || (refErr == nil) != (err == nil)) {
			t.Errorf("%+v, %v, %v, want %+v, %v", got, large, refErr, r, err)
		}
	})
}

// All of a value is in its parts, none of which is empty, and they fill pages of 4 KiB as
// large.go says.
func TestDivide(t *testing.T) {
	for n := largeFrom + 1; n < 100_000; n++ {
		for _, key := range []int{20, 62, 213} {
			parts := divide(n, key)
			sum, least := 0, n
			for _, part := range parts {
				sum, least = sum+part, min(least, part)
			}
			row := pageElementLen + key
			tail := pageHeaderLen + 3*row + parts[2] + parts[3] + parts[4]
			free := largePage - 1 - (pageHeaderLen+2*row+parts[0]+parts[1]-1)%largePage
			if sum != n || least < 1 || tail > largePage || free > 0 && parts[4] > 1 {
				t.Fatalf("%d bytes are divided into %v: %d bytes in the page of the small ones, %d free before", n, parts, tail, free)
			}
		}
	}
}
