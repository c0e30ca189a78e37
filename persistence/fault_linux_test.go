package persistence

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func init() { children["file size limit"] = fileSizeLimitChild }

// A ledger holds what a store has acknowledged, which the store must hold too,
// even while its disk fails.
type ledger struct {
	store    *Store
	rnd      *rand.Rand
	rooms    map[string][]string
	sessions map[string]string
	n        int
	keepsAll bool // deletes nothing, so that the file has to grow
}

func newLedger(s *Store) *ledger {
	return &ledger{
		store: s, rnd: rand.New(rand.NewPCG(1, 2)),
		rooms: make(map[string][]string), sessions: make(map[string]string),
	}
}

// An outcome is the answer to a request, and the change that the request makes if
// it succeeds.
type outcome struct {
	err   error
	apply func()
}

// burst commits to several rooms at once, several times to each, puts
// sessions, deletes now and then, and returns how many requests the disk
// refused.
func (l *ledger) burst() (refused int, err error) {
	n := 1 + l.rnd.IntN(20)
	outcomes := make(chan outcome, n)
	sent := make(map[string]int) // entries without an answer
	for range n {
		if l.rnd.IntN(4) == 0 {
			l.changeSession(outcomes)
			continue
		}
		room := fmt.Sprintf("room-%d", l.rnd.IntN(6))
		if !l.keepsAll && l.rnd.IntN(30) == 0 && sent[room] == 0 {
			sent[room] = -len(l.rooms[room])
			l.store.Delete(room, func(err error) { outcomes <- outcome{err, func() { delete(l.rooms, room) }} })
			continue
		}
		l.n++
		data := fmt.Sprint(l.n, strings.Repeat("x", l.rnd.IntN(20_000)))
		c := Commit{Room: room, After: uint64(len(l.rooms[room]) + sent[room]), Entries: entries(data)}
		sent[room]++
		l.store.Append(c, func(err error) {
			outcomes <- outcome{err, func() { l.rooms[room] = append(l.rooms[room], data) }}
		})
	}
	for range n {
		switch o := <-outcomes; {
		case o.err == nil:
			o.apply()
		case errors.Is(o.err, ErrUnavailable):
			refused++
		case !errors.Is(o.err, ErrConflict) && !errors.Is(o.err, ErrNotFound):
			err = errors.Join(err, o.err)
		}
	}
	return refused, err
}

func (l *ledger) changeSession(outcomes chan<- outcome) {
	key := fmt.Sprintf("session-%d", l.rnd.IntN(6))
	if !l.keepsAll && l.rnd.IntN(3) == 0 {
		l.store.DeleteSessions([]string{key}, func(err error) { outcomes <- outcome{err, func() { delete(l.sessions, key) }} })
		return
	}
	l.n++
	value := fmt.Sprint(l.n, strings.Repeat("x", l.rnd.IntN(20_000)))
	l.store.PutSession(key, []byte(value), func(err error) { outcomes <- outcome{err, func() { l.sessions[key] = value }} })
}

// check compares what can be read with what was acknowledged.
func (l *ledger) check() error {
	sessions, err := readSessions(l.store)
	if err != nil {
		return err
	}
	if !maps.Equal(sessions, l.sessions) {
		return fmt.Errorf("%d sessions, not those %d that were acknowledged", len(sessions), len(l.sessions))
	}
	for i := range 6 {
		room := fmt.Sprintf("room-%d", i)
		got, err := readAll(l.store, room)
		if err != nil {
			return err
		}
		if !slices.Equal(got, l.rooms[room]) {
			return fmt.Errorf("%s holds %d entries, %d were acknowledged", room, len(got), len(l.rooms[room]))
		}
	}
	return nil
}

// endure commits in rounds. In every second round it turns a fault on. Some
// commits of that round must be refused. In the next round the same store must
// accept all commits again.
func (l *ledger) endure(rounds int, on, off func() error) error {
	for round := range rounds {
		faulty := round%2 == 1
		l.keepsAll = faulty
		if faulty {
			if err := on(); err != nil {
				return err
			}
		}
		refused := 0
		for tries := 0; tries < 5 || faulty && refused == 0 && tries < 100; tries++ {
			n, err := l.burst()
			refused += n
			if err := errors.Join(err, l.check()); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		if faulty != (refused > 0) {
			return fmt.Errorf("round %d: fault %v, %d refused", round, faulty, refused)
		}
		if faulty {
			if err := off(); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish closes the store and checks the file.
func (l *ledger) finish(path string) error {
	if err := l.store.Close(); err != nil {
		return err
	}
	if err := checkFile(path); err != nil {
		return err
	}
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	l.store = s
	return errors.Join(l.check(), s.Close())
}

// Under RLIMIT_FSIZE a write past the limit fails with EFBIG, whether it writes a
// page or makes the file grow, much as it fails with ENOSPC on a full disk.
func TestFileSizeLimit(t *testing.T) { runChild(t, "file size limit") }

func fileSizeLimitChild(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	for _, mmapSize := range []int{0, 1} { // with each of them the file grows in another way
		path := fmt.Sprint(path, mmapSize)
		var records bytes.Buffer // written by the writer's goroutine, read when that has ended
		s, err := Open(path, Options{InitialMmapSize: mmapSize, Logger: slog.New(slog.NewTextHandler(&records, nil))})
		if err != nil {
			return err
		}
		l := newLedger(s)
		on := func() error {
			used, err := s.usedBytes()
			if err != nil {
				return err
			}
			return limitFileSize(uint64(l.rnd.Int64N(used)))
		}
		off := func() error { return limitFileSize(^uint64(0)) }
		const rounds = 17 // the last without a fault
		if err := errors.Join(l.endure(rounds, on, off), l.finish(path)); err != nil {
			return err
		}
		refuses := strings.Count(records.String(), "storage refuses writes")
		accepts := strings.Count(records.String(), "storage accepts writes again")
		if refuses != accepts || refuses < rounds/2 {
			return fmt.Errorf("logged %d beginnings and %d ends of %d outages", refuses, accepts, rounds/2)
		}
	}
	return nil
}

// usedBytes returns how far into the file its pages reach.
func (s *Store) usedBytes() (n int64, err error) {
	err = s.disk.view(func(tx *bolt.Tx) error {
		n = tx.Size()
		return nil
	})
	return n, err
}

func limitFileSize(n uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: ^uint64(0)})
}

// The same on a real file system that is small and that something else fills. To
// mount one takes root.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("cannot mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path, ballast := filepath.Join(dir, "parlor.db"), filepath.Join(dir, "ballast")
	l := newLedger(openStore(t, path, Options{}))
	on := func() error {
		for size := 1 << 20; size >= 1; size /= 16 { // in ever smaller pieces, until nothing fits
			f, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			for err == nil {
				_, err = f.Write(make([]byte, size))
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	off := func() error { return os.Remove(ballast) }
	if err := errors.Join(l.endure(12, on, off), l.finish(path)); err != nil {
		t.Error(err)
	}
}
