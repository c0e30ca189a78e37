package persistence

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// A Store is the database of one server: the rooms' logs, what is listed of
// them, and the sessions of clients that may come back.
//
// All methods may be called from any goroutine. Whoever opened the Store
// closes it. Reads of a closed store return [ErrClosed].
type Store struct {
	Reader
	Writes
	queue     *queue
	writer    *writer
	options   Options
	scanned   chan struct{} // closed when all pages have been examined
	writerEnd chan struct{} // closed when the writer has returned

	reencrypting atomic.Int64 // counts the beginnings of [Store.Reencrypt] and its continuations

	closeOnce sync.Once
	closeErr  error
}

// Open opens the file at path, or creates it so that only its owner can read
// it. The directory has to exist. A file of an older format is brought to the
// current one; older programs refuse it from then on. The error names the file.
// It is [ErrLocked] if another process has the file open, and [ErrFormat] if
// the file is not one of ours, which is then left untouched.
//
// A large file that was closed well is served before all of its pages have been
// examined. Commits wait for the rest of the examination. If it finds a damaged
// page, commits are refused with [ErrUnavailable] and reads go on.
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
	s := &Store{Reader: Reader{disk: d}, queue: newQueue(o.QueueBytes), options: o, scanned: make(chan struct{}), writerEnd: make(chan struct{})}
	s.Writes = Writes{put: s.enqueue, limit: o.MaxCommitBytes, quota: o.Quota}
	if err := s.layOut(path, o); err != nil {
		d.close()
		return nil, err
	}
	if err := s.dropUploads(); err != nil {
		o.Logger.Error("look for uploads that were cut", "err", err) // they stay
	}
	if is, err := s.isReencrypting(); is || err != nil {
		s.goOnReencrypting(nil)
	}
	s.writer = &writer{queue: s.queue, disk: d, log: o.Logger, commits: o.TxCommits, bytes: o.TxBytes, committed: o.Committed}
	go func() {
		defer close(s.writerEnd)
		if !scanned {
			d.scan(s.queue.ended)
		}
		close(s.scanned)
		s.writer.run()
	}()
	return s, nil
}

// layOut brings the file to the current format and reads what the store keeps
// in memory.
func (s *Store) layOut(path string, o Options) error {
	if err := layOut(s.disk, o); err != nil {
		return err
	}
	if err := s.disk.adoptKeys(o.Keys); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return s.prepare()
}

// Append queues the commit and returns. done is called exactly once, from the
// writer's goroutine, and for commits of one flow in the order of the calls. It gets nil when the commit
// is durable. Otherwise nothing was recorded, and it gets the reason:
// [ErrConflict], [ErrChatQuota], [ErrByteQuota], [ErrInvalid], [ErrTooLarge],
// [ErrBusy], [ErrClosed] or [ErrUnavailable]. Once Close has returned there is no writer any more; done
// then gets ErrClosed from a goroutine of its own.
//
// All commits wait while done runs, so it should only send a message. It may
// call methods that queue a request, and must not call Close.
func (s *Writes) Append(c Commit, done func(error)) {
	r := &struct { // one object
		request
		appendCommit
	}{request{room: c.Room, flow: c.Flow, size: c.size(), err: c.check(s.limit), done: done}, appendCommit{c, s.quota}}
	r.request.change = &r.appendCommit
	s.enqueue(&r.request)
}

// Delete queues the removal of all that is stored of the room: entries, keys,
// message ids, chat row, open turn and its text, snapshot. What the room has cost
// stays, see [Charge]. The deletion keeps its place among the commits. done is
// called as Append calls it, with [ErrNotFound] if there was nothing to delete.
// The next entry of a deleted room is number 1 again. The space is reused, not
// returned to the system.
func (s *Writes) Delete(room string, done func(error)) {
	s.enqueue(&request{room: room, change: &deleteRoom{room}, size: requestOverhead, err: checkRoom(room), done: done})
}

// enqueue queues a request for the writer. If the store only applies commands, it refuses it.
func (s *Store) enqueue(r *request) {
	if _, ours := r.change.(local); s.options.Replicated && r.err == nil && !ours {
		r.refuse(fmt.Errorf("%w: changes of this store come from a replicated log", ErrInvalid))
	}
	if !s.queue.put(r) {
		go r.done(ErrClosed) // there is no writer, and Append itself never calls done
	}
}

// Close refuses new commits, writes those that are queued, and returns when
// the last done function has returned. It waits for reads that are in a
// transaction, but not for loops over [Store.Read]. Closing again returns the
// same error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.queue.close()
		<-s.writerEnd
		s.writer.lock.Lock() // an Apply may be under way
		defer s.writer.lock.Unlock()
		s.disk.keepFreeList(s.options.scanFirst)
		s.closeErr = s.disk.close()
	})
	return s.closeErr
}
