// Package doubt makes outcomes of writes unknown for a while, as a log on several machines does
// when it loses its leader. Tests use it, and builds for the chaos harness.
//
//	room → Log.Append → Store → done(ErrUnknown) … a while … done(outcome)
package doubt

import (
	"sync"
	"time"

	"parlor/persistence"
)

// A Fate is what becomes of a write. The zero Fate leaves it as it is.
type Fate struct {
	Unknown time.Duration // so long the outcome is not known
	Err     error         // the outcome, if it is not nil. Then nothing is recorded
}

// A Log is a store that loses sight of writes. Its methods may be called from any goroutine.
type Log struct {
	*persistence.Store

	// Fate is asked for each commit before it is made, and for each deletion, which comes as a
	// commit that names its room alone. Nil leaves all as they are.
	Fate func(persistence.Commit) Fate

	mu    sync.Mutex
	lines map[string][]*write // of each room: the writes without an outcome, in their order
}

// A write waits for its outcome, and for those of the writes in front of it.
type write struct {
	done  func(error)
	err   error
	known bool
}

// Append is [persistence.Store.Append], with unknown outcomes.
func (l *Log) Append(c persistence.Commit, done func(error)) {
	made, answer := l.begin(c, done)
	if !made {
		c = persistence.Commit{} // which is refused, in its turn
	}
	l.Store.Append(c, answer)
}

// Delete is [persistence.Store.Delete], with unknown outcomes.
func (l *Log) Delete(room string, done func(error)) {
	made, answer := l.begin(persistence.Commit{Room: room}, done)
	if !made {
		l.Store.Append(persistence.Commit{}, answer)
		return
	}
	l.Store.Delete(room, answer)
}

// begin puts a write in the line of its room. It returns whether the write is to be made, and
// what takes the answer of the store.
func (l *Log) begin(c persistence.Commit, done func(error)) (made bool, answer func(error)) {
	var fate Fate
	if l.Fate != nil {
		fate = l.Fate(c) // without the lock: it may panic
	}
	w := &write{done: done}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = make(map[string][]*write)
	}
	l.lines[c.Room] = append(l.lines[c.Room], w)
	return fate.Err == nil, func(err error) {
		if fate.Err != nil {
			err = fate.Err
		}
		if fate.Unknown <= 0 {
			l.know(c.Room, w, err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		done(persistence.ErrUnknown)
		time.AfterFunc(fate.Unknown, func() { l.know(c.Room, w, err) })
	}
}

// know notes the outcome of a write, and tells those that have waited for it. done functions
// are called under the lock, which keeps their order. So unlike those of a Store they must not
// call Append or Delete.
func (l *Log) know(room string, w *write, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.err, w.known = err, true
	line := l.lines[room]
	for len(line) > 0 && line[0].known {
		line[0].done(line[0].err)
		line = line[1:]
	}
	if l.lines[room] = line; len(line) == 0 {
		delete(l.lines, room)
	}
}
