package guard

import (
	"slices"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A line is where requests wait for a model that is busy. One of them at a time has
// the turn and tries again: if all did, the provider would refuse them all again. Next
// is the user with the fewest requests under way, and of one user, or of users with as
// many, the request that came first.
//
// All methods may be called from any goroutine; none waits.
type line struct {
	freed chan struct{} // holds one note that an answer has ended

	mu       sync.Mutex
	turn     *ticket             // of the request that tries; nil if there is none
	waiting  []*ticket           // the others, in the order in which they came
	running  map[chat.UserID]int // requests that are made
	refusals int                 // of those who had the turn, in a row
	due      time.Time           // before it nobody asks
	told     bool                // the provider has named that time
}

// A ticket is a place in a line. Turn is closed when its holder may try.
type ticket struct {
	user  chat.UserID
	since time.Time // the request is there
	turn  chan struct{}
}

func newLine() *line {
	return &line{freed: make(chan struct{}, 1), running: make(map[chat.UserID]int)}
}

// start notes that a request of the user is made. The caller calls done at its end.
func (l *line) start(user chat.UserID) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[user]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running[user]--; l.running[user] == 0 {
			delete(l.running, user)
		}
	}
}

// empty reports whether a new request overtakes nobody.
func (l *line) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn == nil && len(l.waiting) == 0
}

// join returns a place behind those whose requests have been there longer. One
// that had its turn in vain stands before those who came later.
func (l *line) join(user chat.UserID, since time.Time) *ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &ticket{user, since, make(chan struct{})}
	at := slices.IndexFunc(l.waiting, func(o *ticket) bool { return o.since.After(since) })
	if at < 0 {
		at = len(l.waiting)
	}
	l.waiting = slices.Insert(l.waiting, at, t)
	l.next()
	return t
}

// tries reports whether t has the turn.
func (l *line) tries(t *ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn == t
}

// leave gives up a place. It does nothing for one that was given up before.
func (l *line) leave(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn == t {
		l.turn = nil
	} else {
		l.waiting = slices.DeleteFunc(l.waiting, func(o *ticket) bool { return o == t })
	}
	l.next()
}

// next gives the turn to one who waits, if nobody has it.
func (l *line) next() {
	if l.turn != nil || len(l.waiting) == 0 {
		return
	}
	next := 0
	for i, t := range l.waiting {
		if l.running[t.user] < l.running[l.waiting[next].user] {
			next = i
		}
	}
	l.turn = l.waiting[next]
	l.waiting = slices.Delete(l.waiting, next, next+1)
	close(l.turn.turn)
}

// refused notes that the provider is busy: for how long nobody is to ask. Only
// with tried, which says that the request had the turn, the pause grows.
func (l *line) refused(f *upstream.Failure, tried bool, o Options) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tried {
		l.refusals++
	}
	retries := l.refusals
	if l.told = f.RetryAfter > 0; l.told {
		retries = 0 // the provider knows better
	}
	l.due = time.Now().Add(f.Pause(retries, o.RetryDelay, maxRetryDelay))
}

// accepted notes that the provider has taken a request.
func (l *line) accepted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals, l.due, l.told = 0, time.Time{}, false
}

// pause returns when the next request may be made. Told means that the
// provider has named the time, so that it is of no use to ask sooner.
func (l *line) pause() (due time.Time, told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due, l.told
}

// ended notes that an answer has ended: there may be room for another.
func (l *line) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn == nil {
		return
	}
	l.refusals = 0
	select {
	case l.freed <- struct{}{}:
	default:
	}
}
