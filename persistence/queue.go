package persistence

import (
	"runtime"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// A request is one call that changes the store on its way through the writer.
type request struct {
	write func(*bolt.Tx) error
	size  int   // bytes it holds while it waits
	err   error // set if it is refused, before or in the writer
	done  func(error)
}

// A queue holds the requests that wait for the writer, in the order of the
// calls. put may be called from any goroutine, take from the writer's.
type queue struct {
	limit  int // bytes
	yields int // bound of gather

	mu      sync.Mutex
	filled  sync.Cond
	waiting []*request
	bytes   int
	closed  bool // nothing new is accepted
	drained bool // the writer has left
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, yields: maxYields}
	q.filled.L = &q.mu
	return q
}

// put appends r. What cannot be accepted is queued too, with its error, so
// that the caller hears of it after all that it asked before. put reports
// false, and keeps nothing, if there is no writer left to say so.
func (q *queue) put(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.drained:
		return false
	case q.closed:
		r.refuse(ErrClosed)
	case r.err == nil && q.bytes > 0 && q.bytes+r.size > q.limit:
		r.refuse(ErrBusy)
	}
	q.bytes += r.size
	q.waiting = append(q.waiting, r)
	q.filled.Signal()
	return true
}

// refuse settles r without writing it and lets go of what it holds.
func (r *request) refuse(err error) { r.write, r.size, r.err = nil, 0, err }

// Bounds of one [queue.gather].
const (
	maxYields = 8

	// From so many requests on, the sync is a small part of a transaction. To
	// wait for more would cost more than it saves: requests that are queued
	// while the disk is busy share the next transaction.
	enoughRequests = 128
)

// gather lets goroutines that are about to queue requests do so, as long as
// each yield brings more of them.
//
// Without it group commit nearly stops on a machine with one processor. The
// first request wakes the writer, which runs next, commits that one request,
// and keeps the processor while it waits for the disk. Nobody else can queue
// anything meanwhile. A lone caller pays for one yield, which takes less than
// a microsecond if nothing else can run.
func (q *queue) gather(count, bytes int) {
	for range q.yields {
		before := len(q.waiting)
		if before >= min(count, enoughRequests) || q.bytes >= bytes {
			return
		}
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
		if len(q.waiting) == before {
			return
		}
	}
}

// take waits for requests, gathers more, and returns up to count of them and
// about bytes, one at least. It returns none when the queue is closed and empty.
func (q *queue) take(count, bytes int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 {
		if q.closed {
			q.drained = true
			return nil
		}
		q.filled.Wait()
	}
	q.gather(count, bytes)
	n, size := 0, 0
	for n < min(len(q.waiting), count) && (n == 0 || size+q.waiting[n].size <= bytes) {
		size += q.waiting[n].size
		n++
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.bytes -= size
	return batch
}

// ended says whether the queue is closed and empty.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.waiting) == 0
}

// close lets nothing new in. What waits stays.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Signal()
}
