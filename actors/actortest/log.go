package actortest

import (
	"cmp"
	"iter"
	"sync"

	"parlor/persistence"
	"parlor/persistence/doubt"
)

// A Log is a real event log that a test can hold up or make fail. Its methods
// may be called from any goroutine.
type Log struct {
	*persistence.Store

	mu     sync.Mutex
	fault  func(persistence.Commit) error
	doubts *doubt.Log
	doubt  func(persistence.Commit) doubt.Fate
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

// Doubt calls f for each commit and each deletion, as Fault does, and makes its outcome unknown
// for a while if f says so. Nil ends it.
func (l *Log) Doubt(f func(persistence.Commit) doubt.Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = f
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
func (l *Log) Append(c persistence.Commit, done func(error)) { l.doubts.Append(c, done) }

// Delete implements room.Log.
func (l *Log) Delete(room string, done func(error)) { l.doubts.Delete(room, done) }

// open has the log write to a store, in place of the one before.
func (l *Log) open(s *persistence.Store) {
	l.Store, l.doubts = s, &doubt.Log{Store: s, Fate: l.fate}
}

// fate calls the functions of the test without the lock: they may panic.
func (l *Log) fate(c persistence.Commit) (f doubt.Fate) {
	l.mu.Lock()
	fault, doubts := l.fault, l.doubt
	l.mu.Unlock()
	if doubts != nil {
		f = doubts(c)
	}
	if fault != nil {
		f.Err = cmp.Or(fault(c), f.Err)
	}
	return f
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
