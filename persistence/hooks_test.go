package persistence

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// The knowledge of webhooks about a room outlives the store and goes with the room.
func TestHooks(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	wait := func(write func(done func(error))) {
		t.Helper()
		done := make(chan error, 1)
		write(func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	put := func(room, name, value string) {
		wait(func(done func(error)) { s.PutHook(room, name, []byte(value), done) })
	}
	put("", "since", "today")
	put("a", "at", "1")
	put("a", "at", "2")
	put("a", "gone", "x")
	put("b", "at", "7")
	wait(func(done func(error)) { s.DeleteHook("a", "gone", done) })
	wait(func(done func(error)) { s.Append(Commit{Room: "b", Entries: [][]byte{{1}}}, done) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	got := func() (all []string) {
		if err := s.EachHook(func(room, name string, value []byte) { all = append(all, room+" "+name+" "+string(value)) }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if diff := cmp.Diff([]string{" since today", "a at 2", "b at 7"}, got()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	wait(func(done func(error)) { s.Delete("b", done) })
	if diff := cmp.Diff([]string{" since today", "a at 2"}, got()); diff != "" {
		t.Errorf("kept after the room was deleted (-want +got):\n%s", diff)
	}
	if value, err := s.Hook("a", "at"); string(value) != "2" || err != nil {
		t.Errorf("read %q, %v", value, err)
	}
	if value, err := s.Hook("b", "at"); value != nil || err != nil {
		t.Errorf("read of a room that is gone %q, %v", value, err)
	}
	if _, err := s.Hook("not a room!", "at"); !errors.Is(err, ErrInvalid) {
		t.Errorf("read of no room: %v", err)
	}
}

// A file of version 9 gets the bucket.
func TestVersion9IsMigrated(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, putBack(tx, 9)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	if value, err := s.Hook("a", "at"); value != nil || err != nil {
		t.Errorf("read %q, %v", value, err)
	}
}
