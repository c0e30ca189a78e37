package persistence

import (
	"runtime"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// A request is one call that changes the store, while it waits for the writer.
type request struct {
	write func(*bolt.Tx) error
	size  int   // bytes that it holds while it waits
	err   error // why it is refused; set before the writer takes it, or by the writer
	done  func(error)
}

// A queue holds the requests that wait for the writer, in the order of the
// calls. put may be called from any goroutine, take from the writer's.
type queue struct {
	limit  int // bytes
	yields int // bound of gather

	mu        sync.Mutex
	nonEmpty  sync.Cond // or closed
	requests  []*request
	bytes     int  // of requests
	closed    bool // nothing new is accepted
	abandoned bool // the writer has left
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, yields: maxYields}
	q.nonEmpty.L = &q.mu
	return q
}

// put appends r. A request that cannot be accepted is queued too, with its
// error, so that the caller gets its answers in the order of its calls. If there
// is no writer left to answer, put keeps nothing and reports false.
func (q *queue) put(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.abandoned:
		return false
	case q.closed:
		r.refuse(ErrClosed)
	case r.err == nil && q.bytes > 0 && q.bytes+r.size > q.limit:
		r.refuse(ErrBusy)
	}
	q.bytes += r.size
	q.requests = append(q.requests, r)
	q.nonEmpty.Signal()
	return true
}

// refuse gives r its error and drops what it would have written.
func (r *request) refuse(err error) { r.write, r.size, r.err = nil, 0, err }

// maxYields bounds how often the writer yields before one transaction.
const maxYields = 8

// gather yields to callers that are about to queue requests, as long as each
// yield brings more of them and they fit into one transaction.
//
// Without it group commit nearly stops on one processor. The first request
// wakes the writer, which runs next, commits that one request, and keeps the
// processor while it waits for the disk. Nobody can queue anything meanwhile. A
// lone caller pays for one yield, which takes some hundred nanoseconds.
//
// With more processors, the others run the callers while the writer waits. A
// yield would then make transactions larger, but commits no faster.
func (q *queue) gather(count, bytes int) {
	if runtime.GOMAXPROCS(0) > 1 {
		return
	}
	for range q.yields {
		before := len(q.requests)
		if before >= count || q.bytes >= bytes {
			return
		}
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
		if len(q.requests) == before {
			return
		}
	}
}

// take waits for requests and returns at most count of them, of about bytes
// together, but at least one. It returns none when the queue is closed and empty.
func (q *queue) take(count, bytes int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.requests) == 0 {
		if q.closed {
			q.abandoned = true
			return nil
		}
		q.nonEmpty.Wait()
	}
	q.gather(count, bytes)
	n, size := 0, 0
	for n < min(len(q.requests), count) && (n == 0 || size+q.requests[n].size <= bytes) {
		size += q.requests[n].size
		n++
	}
	batch := slices.Clone(q.requests[:n])
	q.requests = slices.Delete(q.requests, 0, n)
	q.bytes -= size
	return batch
}

// ended reports whether the queue is closed and empty.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.requests) == 0
}

// close accepts no more requests. Those that wait are still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.nonEmpty.Signal()
}
