package persistence

import (
	"fmt"
	"path/filepath"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// A Store is the database of one server: the rooms' logs, what is listed of
// them, and the sessions of clients that may come back.
//
// All methods may be called from any goroutine. Whoever opened the Store
// closes it. Reads of a closed store return [ErrClosed].
type Store struct {
	Reader
	queue  *queue
	limit  int           // of one commit, in bytes
	small  int64         // see [Options].scanFirst
	exited chan struct{} // closed when the writer has returned

	closing  sync.Once
	closeErr error
}

// Open opens the file at path, which only its owner can read, and creates it
// if it is not there. The directory has to exist. A file of an older format is
// brought to the current one, after which older programs refuse it. The error
// names the file and is [ErrLocked] if another process has it open, or
// [ErrFormat] if something else is in it, in which case it was not touched.
//
// A large file that was closed well is served before all of its pages have been
// looked at. Commits wait for that, and if there is a damaged page they are refused
// with [ErrUnavailable]; what can be read of the file is.
func Open(path string, o Options) (*Store, error) {
	s, err := open(path, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

func open(path string, o Options) (*Store, error) {
	scanned, err := examine(path, o)
	if err != nil {
		return nil, err
	}
	d, err := openDisk(path, o, false)
	if err != nil {
		return nil, err
	}
	s := &Store{Reader: Reader{disk: d}, queue: newQueue(o.QueueBytes), limit: o.MaxCommitBytes, small: o.scanFirst, exited: make(chan struct{})}
	if err := s.layOut(path, o); err != nil {
		d.close()
		return nil, err
	}
	w := &writer{queue: s.queue, disk: d, log: o.Logger, commits: o.TxCommits, bytes: o.TxBytes}
	go func() {
		defer close(s.exited)
		if !scanned {
			d.scan(s.queue.ended)
		}
		w.run()
	}()
	return s, nil
}

// layOut brings the file to the current format and reads what the store keeps
// in memory.
func (s *Store) layOut(path string, o Options) error {
	if err := layOut(s.disk, o); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return s.prepare()
}

// Append queues the commit and returns. done is called exactly once, from the
// writer's goroutine and in the order of the calls: with nil when the commit
// is durable, or else with why nothing of it was recorded, which is
// [ErrConflict], [ErrInvalid], [ErrTooLarge], [ErrBusy], [ErrClosed] or
// [ErrUnavailable]. Once Close has returned there is no writer, and done gets
// its ErrClosed from a goroutine of its own.
//
// Everybody's commits wait while done runs, so it should do no more than send
// a message. It may call whatever queues; it must not call Close.
func (s *Store) Append(c Commit, done func(error)) {
	s.enqueue(&request{write: c.write, size: c.size(), err: c.check(s.limit), done: done})
}

// Delete queues the removal of all that is stored of the room: entries, keys,
// chat row, open turn and its text, snapshot; what it has cost stays, see
// [Charge]. It keeps its place among the commits, and done is
// called as Append calls it, with [ErrNotFound] if there was nothing. The next
// entry of a deleted room is number 1 again. The space is reused, not
// returned to the system.
func (s *Store) Delete(room string, done func(error)) {
	write := func(tx *bolt.Tx) error { return deleteRoom(tx, room) }
	s.enqueue(&request{write: write, size: requestOverhead, err: checkRoom(room), done: done})
}

func (s *Store) enqueue(r *request) {
	if r.done == nil {
		r.done = func(error) {}
	}
	if r.err != nil {
		r.refuse(r.err)
	}
	if !s.queue.put(r) {
		go r.done(ErrClosed) // no writer is left, and done is never called from inside Append
	}
}

// Close refuses new commits, writes those that are queued, and returns when
// the last done function has. It waits for reads that are in a transaction,
// not for loops over [Store.Read]. Closing again returns the same error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.queue.close()
		<-s.exited
		s.disk.keepFreeList(s.small)
		s.closeErr = s.disk.close()
	})
	return s.closeErr
}
