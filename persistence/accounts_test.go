package persistence

import (
	"errors"
	"maps"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestAccountsAreKept(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	wait := func(queue func(done func(error))) error {
		done := make(chan error, 1)
		queue(func(err error) { done <- err })
		return <-done
	}
	put := func(key, value string) error {
		return wait(func(done func(error)) { s.PutAccount(key, []byte(value), done) })
	}
	remove := func(key string) error { return wait(func(done func(error)) { s.DeleteAccount(key, done) }) }
	if err := errors.Join(put("u/a", "1"), put("u/b", "2"), put("u/a", "3"), remove("u/b"), remove("none")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{put("", "x"), put("k", string(make([]byte, MaxSessionLen+1))), remove("")} {
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	read := func() map[string]string {
		got := make(map[string]string)
		if err := s.EachAccount(func(key string, value []byte) { got[key] = string(value) }); err != nil {
			t.Error(err)
		}
		return got
	}
	want := map[string]string{"u/a": "3"}
	if got := read(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	if got := read(); !maps.Equal(got, want) {
		t.Errorf("after a restart: got %v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	writeBolt(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketAccounts).Put([]byte("u/x"), []byte("damaged")) })
	if faults := checkFaults(t, path); len(faults) != 1 {
		t.Errorf("a damaged one: %d faults, want 1: %v", len(faults), faults)
	}
	s = openStore(t, path, Options{})
	if got := read(); !maps.Equal(got, want) {
		t.Errorf("beside a damaged one: got %v, want %v", got, want)
	}
}

func checkFaults(t *testing.T, path string) (faults []Fault) {
	t.Helper()
	if _, err := Check(path, Checking{Report: func(f Fault) { faults = append(faults, f) }}); err != nil {
		t.Fatal(err)
	}
	return faults
}
