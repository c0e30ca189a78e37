package persistence

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The audit log keeps the newest entries, in order, over a restart and a compaction.
func TestAudit(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	add := func(value string) (seq uint64) {
		t.Helper()
		done := make(chan error, 1)
		s.AddAudit([]byte(value), 3, func(n uint64, err error) { seq = n; done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return seq
	}
	set := func(seq uint64, value string) {
		t.Helper()
		done := make(chan error, 1)
		s.SetAudit(seq, []byte(value), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	list := func(before uint64, limit int, want ...string) {
		t.Helper()
		var got []string
		err := s.EachAudit(before, limit, func(seq uint64, value []byte) { got = append(got, fmt.Sprintf("%d %s", seq, value)) })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("before %d (-want +got):\n%s", before, diff)
		}
	}
	list(0, 10)
	for i := range 5 {
		add(fmt.Sprint("entry ", i+1))
	}
	set(4, "entry 4, done")
	set(1, "this one was removed")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path, Checking{}); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	list(0, 10, "5 entry 5", "4 entry 4, done", "3 entry 3")
	list(5, 1, "4 entry 4, done")
	list(3, 10)
	list(99, 1, "5 entry 5")
	if seq := add("after the restart"); seq != 6 {
		t.Errorf("the next entry has number %d", seq)
	}
	list(0, 1, "6 after the restart")
}
