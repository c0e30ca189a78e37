package actortest

import (
	"iter"
	"sync"

	"parlor/persistence"
)

// A Log is a real event log that a test can hold up or make fail. Its methods
// may be called from any goroutine.
type Log struct {
	*persistence.Store

	mu     sync.Mutex
	fault  func(persistence.Commit) error
	unread error
	loads  map[string]int
}

// Fault calls f for each commit before it is handed to the store: with an
// error the commit fails, in its place among the others, and deletions, which
// come as a commit without entries, too. Nil ends it. It outlives a restart of
// the server.
func (l *Log) Fault(f func(persistence.Commit) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

// FailReads makes reads of rooms' logs fail with err, or with nil no more.
func (l *Log) FailReads(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unread = err
}

// Loads returns how often the room was read from its beginning: once for each
// time that it came into memory or was restarted.
func (l *Log) Loads(room string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loads[room]
}

// Hold keeps what is handed to the log after it from the disk, until the
// returned function is called.
func (l *Log) Hold() (release func()) {
	gate := make(chan struct{})
	l.Store.Append(persistence.Commit{}, func(error) { <-gate }) // refused, but in its turn
	return sync.OnceFunc(func() { close(gate) })
}

// Append implements room.Log.
func (l *Log) Append(c persistence.Commit, done func(error)) {
	if err := l.check(c); err != nil {
		c, done = persistence.Commit{}, refused(done, err)
	}
	l.Store.Append(c, done)
}

// Delete implements room.Log.
func (l *Log) Delete(room string, done func(error)) {
	if err := l.check(persistence.Commit{Room: room}); err != nil {
		l.Store.Append(persistence.Commit{}, refused(done, err))
		return
	}
	l.Store.Delete(room, done)
}

// refused calls done with err when the store refuses what it was given instead.
func refused(done func(error), err error) func(error) { return func(error) { done(err) } }

// check calls the fault without the lock: it may panic.
func (l *Log) check(c persistence.Commit) error {
	l.mu.Lock()
	fault := l.fault
	l.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(c)
}

// Read implements room.Log.
func (l *Log) Read(room string, after uint64) iter.Seq2[persistence.Entry, error] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after == 0 {
		l.loads[room]++
	}
	if err := l.unread; err != nil {
		return func(yield func(persistence.Entry, error) bool) { yield(persistence.Entry{}, err) }
	}
	return l.Store.Read(room, after)
}
