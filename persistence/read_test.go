package persistence

import (
	"errors"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func markReadWait(s *Store, room, user string, seq uint64) error {
	done := make(chan error, 1)
	s.MarkRead(room, user, seq, func(err error) { done <- err })
	return <-done
}

func wantReadUpTo(t *testing.T, s *Store, room, user string, want uint64) {
	t.Helper()
	if got, err := s.ReadUpTo(room, user); got != want || err != nil {
		t.Errorf("%s has read %s up to %d, %v, want %d", user, room, got, err, want)
	}
}

// A read marker is kept over a restart, never goes back, and goes with the chat.
func TestReadMarkers(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	for _, room := range []string{"r", "ra", "gone"} {
		mustAppend(t, s, Commit{Room: room, Entries: [][]byte{[]byte("1")}, Chat: &Chat{Room: room, Owner: "alice"}})
	}
	wantReadUpTo(t, s, "r", "alice", 0)
	for _, m := range []struct {
		room, user string
		seq        uint64
	}{{"r", "alice", 5}, {"r", "alice", 3}, {"r", "bob", 1}, {"ra", "alice", 9}, {"gone", "alice", 7}, {"gone", "bob", 8}} {
		if err := markReadWait(s, m.room, m.user, m.seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := deleteWait(s, "gone"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, Commit{Room: "gone", Entries: [][]byte{[]byte("1")}, Chat: &Chat{Room: "gone", Owner: "alice"}})
	for range 2 {
		wantReadUpTo(t, s, "r", "alice", 5)
		wantReadUpTo(t, s, "r", "bob", 1)
		wantReadUpTo(t, s, "ra", "alice", 9)
		wantReadUpTo(t, s, "gone", "alice", 0)
		wantReadUpTo(t, s, "gone", "bob", 0)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, path, Options{})
	}
	if err := markReadWait(s, "nowhere", "alice", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("a room without a chat: got %v", err)
	}
	for _, bad := range []error{markReadWait(s, "r/", "alice", 1), markReadWait(s, "r", strings.Repeat("x", MaxOwnerLen+1), 1)} {
		if !errors.Is(bad, ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", bad)
		}
	}
}

// A damaged marker is found, is no obstacle to a new one, and costs nobody anything else.
func TestDamagedReadMarker(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	mustAppend(t, s, Commit{Room: "r", Entries: [][]byte{[]byte("1")}, Chat: &Chat{Room: "r", Owner: "alice"}})
	if err := markReadWait(s, "r", "alice", 1); err != nil {
		t.Fatal(err)
	}
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, tx.Bucket(bucketRead).Put(nameKey("r", "alice"), []byte("damaged"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadUpTo("r", "alice"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if faults := checkFaults(t, path); len(faults) != 1 || faults[0].Room != "r" {
		t.Errorf("found %v, want the damaged marker", faults)
	}
	s = openStore(t, path, Options{})
	if err := markReadWait(s, "r", "alice", 1); err != nil {
		t.Fatal(err)
	}
	wantReadUpTo(t, s, "r", "alice", 1)
}
