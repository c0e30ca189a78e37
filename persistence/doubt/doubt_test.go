package doubt_test

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/persistence"
	"parlor/persistence/doubt"
)

// An unknown outcome holds back those behind it, in the same room alone. What is lost is not in
// the log, and what builds on it conflicts.
func TestOutcomesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := persistence.Open(filepath.Join(t.TempDir(), "parlor.db"), persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		fates := []doubt.Fate{{Unknown: time.Second}, {}, {Unknown: time.Second, Err: persistence.ErrUnavailable}, {}, {}}
		log := &doubt.Log{Store: store, Fate: func(persistence.Commit) (f doubt.Fate) { f, fates = fates[0], fates[1:]; return f }}
		var mu sync.Mutex
		var told []string
		write := func(room string, after uint64, name string) {
			c := persistence.Commit{Room: room, After: after, Entries: [][]byte{[]byte(name)}}
			log.Append(c, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, name+word(err))
			})
		}
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		}
		write("r", 0, "one")
		write("r", 1, "two")
		write("r", 2, "three")
		write("r", 3, "four")
		write("s", 0, "other")
		check("one ?", "three ?", "other")
		time.Sleep(time.Second)
		check("one ?", "three ?", "other", "one", "two", "three is lost", "four conflicts")
		if last, err := log.Last("r"); last != 2 || err != nil {
			t.Errorf("the log ends with %d, %v, want 2", last, err)
		}
	})
}

func word(err error) string {
	switch {
	case errors.Is(err, persistence.ErrUnknown):
		return " ?"
	case errors.Is(err, persistence.ErrUnavailable):
		return " is lost"
	case errors.Is(err, persistence.ErrConflict):
		return " conflicts"
	}
	return ""
}
