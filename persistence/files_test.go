package persistence

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func waitFor(queue func(done func(error))) error {
	done := make(chan error, 1)
	queue(func(err error) { done <- err })
	return <-done
}

// upload keeps the text as a file, or as pieces without one if id is empty.
func upload(s *Store, room, id, blob, text string) error {
	for n := 0; n*FileChunk < len(text); n++ {
		piece := text[n*FileChunk : min(len(text), (n+1)*FileChunk)]
		if err := waitFor(func(done func(error)) { s.PutChunk(room, "", blob, n, []byte(piece), done) }); err != nil {
			return err
		}
	}
	if id == "" {
		return nil
	}
	f := File{ID: id, Blob: blob, Size: int64(len(text)), Info: []byte("info of " + id)}
	return waitFor(func(done func(error)) { s.PutFile(room, "", f, done) })
}

func contentOf(t *testing.T, r *Reader, room, id string) string {
	t.Helper()
	f, err := r.File(room, id)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for piece, err := range r.Chunks(room, f, 0) {
		if err != nil {
			t.Fatal(err)
		}
		text.Write(piece)
	}
	return text.String()
}

func TestFiles(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "room", Chat: chatOf("room", "alice"), Entries: entries("hello")})
	before := sharesOf(t, s)
	long := strings.Repeat("0123456789abcdef", FileChunk/4)
	if err := errors.Join(upload(s, "room", "long", "b1", long), upload(s, "room", "short", "b2", "x"), upload(s, "room", "empty", "b3", "")); err != nil {
		t.Fatal(err)
	}
	if err := upload(s, "room", "short", "b4", "another"); !errors.Is(err, ErrConflict) {
		t.Errorf("an id that is taken: %v", err)
	}
	for _, err := range []error{upload(s, "none", "f", "b", "x"), waitFor(func(done func(error)) { s.PutChunk("room", "", "gap", 1, []byte("x"), done) }),
		waitFor(func(done func(error)) { s.PutFile("room", "", File{ID: "f", Blob: "none", Size: 1}, done) })} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("a file without a beginning: %v", err)
		}
	}
	b, err := s.Backup() // also with pieces of an upload that goes on
	if err != nil {
		t.Fatal(err)
	}
	copied := newPath(t)
	if err := backupTo(t, b, copied, func() {}); err != nil {
		t.Fatal(err)
	}
	wantSound(t, copied)
	if err := waitFor(func(done func(error)) { s.DropBlob("room", "", "b4", done) }); err != nil {
		t.Fatal(err)
	}
	kept := sharesOf(t, s)
	if err := upload(s, "room", "", "cut", long); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "other", Entries: entries("behind the cleaning")})
	if diff := cmp.Diff(kept, sharesOf(t, s)); diff != "" {
		t.Errorf("an upload that was cut counts (-want +got):\n%s", diff)
	}
	if contentOf(t, &s.Reader, "room", "long") != long || contentOf(t, &s.Reader, "room", "empty") != "" {
		t.Error("a file changed over a restart")
	}
	files, err := s.Files("room")
	if err != nil || len(files) != 3 || files[1].ID != "long" || string(files[1].Info) != "info of long" {
		t.Errorf("files %+v, %v", files, err)
	}
	mustAppend(t, s, Commit{Room: "room", After: 1, Chat: chatOf("room", "bob"), Entries: entries("handed over")})
	for _, id := range []string{"long", "short", "empty", "none"} {
		if err := waitFor(func(done func(error)) { s.DeleteFile("room", "", id, done) }); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.File("room", "long"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that was deleted: %v", err)
	}
	if got := sharesOf(t, s)["bob"].Bytes - before["alice"].Bytes; got > 200 {
		t.Errorf("files that were deleted count %d bytes", got)
	}
	if err := errors.Join(upload(s, "room", "again", "b5", long), upload(s, "room", "", "b6", "x")); err != nil {
		t.Fatal(err)
	}
	if err := waitFor(func(done func(error)) { s.Delete("room", done) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
	if _, _, err := Compact(path, Checking{}); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketFiles, bucketBlobs, bucketUploads} {
			if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
				t.Errorf("%s holds %q", name, k)
			}
		}
		return nil
	})
}

func TestFilesCountForTheirOwner(t *testing.T) {
	s := openStore(t, newPath(t), Options{Quota: Quota{Bytes: 3 * FileChunk}})
	mustAppend(t, s, Commit{Room: "room", Chat: chatOf("room", "alice"), Entries: entries("hello")})
	if err := upload(s, "room", "a", "b1", strings.Repeat("x", 2*FileChunk)); err != nil {
		t.Fatal(err)
	}
	if err := upload(s, "room", "b", "b2", strings.Repeat("x", FileChunk)); !errors.Is(err, ErrByteQuota) {
		t.Errorf("past the quota: %v", err)
	}
	if err := waitFor(func(done func(error)) { s.DeleteFile("room", "", "a", done) }); err != nil {
		t.Fatal(err)
	}
	if err := upload(s, "room", "b", "b2", strings.Repeat("x", FileChunk)); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestDamagedFilesAreFound(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "room", Chat: chatOf("room", "alice"), Entries: entries("hello")})
	for _, id := range []string{"row", "piece", "hole", "fine"} {
		if err := upload(s, "room", id, "b"+id, "text of "+id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		blobs := tx.Bucket(bucketBlobs)
		return errors.Join(tx.Bucket(bucketFiles).Put(nameKey("room", "row"), []byte("damaged")),
			blobs.Put(blobKey("room", "bpiece", 0), []byte("damaged")), blobs.Delete(blobKey("room", "bhole", 0)))
	})
	faults := checkFaults(t, path)
	if len(faults) != 5 { // three files, the bytes of the row, and the owner's share
		t.Errorf("%d faults: %v", len(faults), faults)
	}
	s = openStore(t, path, Options{})
	if contentOf(t, &s.Reader, "room", "fine") != "text of fine" {
		t.Error("the other file")
	}
	if files, err := s.Files("room"); len(files) != 3 || err != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
}
