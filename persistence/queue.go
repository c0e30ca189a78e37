package persistence

import (
	"runtime"
	"sync"
)

// A request is one call that changes the store, while it waits for the writer.
type request struct {
	next   *request // of its flow
	room   string   // that it changes, or ""
	flow   string   // of the room's requests: see [Commit.Flow]
	change change
	size   int   // bytes that it holds while it waits
	err    error // why it is refused; set before the writer takes it, or by the writer
	done   func(error)
}

// A queue holds the requests that wait for the writer. put may be called from any
// goroutine, take from the writer's.
//
// Requests of one flow keep the order of the calls. Flows take turns, so that a flow with
// many requests does not keep those of others waiting.
type queue struct {
	limit     int // bytes
	flowLimit int // bytes of one flow with a name
	yields    int // bound of gather

	mu        sync.Mutex
	nonEmpty  sync.Cond // or closed
	flows     map[string]*flow
	turns     []*flow           // those with requests; the first one is next
	rooms     map[string]inRoom // those with requests
	count     int               // of requests
	bytes     int               // of requests
	closed    bool              // nothing new is accepted
	abandoned bool              // the writer has left
}

// A flow is the requests that wait in one line.
type flow struct {
	name        string
	first, last *request // nil if none waits
	bytes       int

	in    *batch // that has requests of it; what follows is about them
	count int
	size  int
}

func (f *flow) push(r *request) {
	if f.first == nil {
		f.first = r
	} else {
		f.last.next = r
	}
	f.last, f.bytes = r, f.bytes+r.size
}

func (f *flow) pop() *request {
	r := f.first
	f.first, r.next = r.next, nil
	f.bytes -= r.size
	return r
}

// inRoom says in which flow the requests of a room wait. They all wait in one, since they
// build on each other.
type inRoom struct {
	flow  *flow
	count int
}

// Limits of one flow with a name in one transaction: so long others may wait for it.
const (
	flowCommits = 64
	flowBytes   = 64 << 10 // one request may exceed it
)

func newQueue(limit int) *queue {
	q := &queue{limit: limit, flowLimit: limit / 4, yields: maxYields, flows: make(map[string]*flow), rooms: make(map[string]inRoom)}
	q.nonEmpty.L = &q.mu
	return q
}

// put appends r. A request that cannot be accepted is queued too, with its
// error, so that the caller gets its answers in the order of its calls. If there
// is no writer left to answer, put keeps nothing and reports false.
func (q *queue) put(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.flowOf(r)
	switch {
	case q.abandoned:
		return false
	case q.closed:
		r.refuse(ErrClosed)
	case r.err == nil && q.bytes > 0 && q.bytes+r.size > q.limit,
		r.err == nil && f.name != "" && f.bytes > 0 && f.bytes+r.size > q.flowLimit:
		r.refuse(ErrBusy)
	}
	if f.first == nil {
		q.flows[f.name] = f
		q.turns = append(q.turns, f)
	}
	f.push(r)
	q.count, q.bytes = q.count+1, q.bytes+r.size
	if r.room != "" {
		q.rooms[r.room] = inRoom{f, q.rooms[r.room].count + 1}
	}
	q.nonEmpty.Signal()
	return true
}

func (q *queue) flowOf(r *request) *flow {
	if in, ok := q.rooms[r.room]; ok {
		return in.flow
	}
	if f := q.flows[r.flow]; f != nil {
		return f
	}
	return &flow{name: r.flow}
}

// refuse gives r its error and drops what it would have written.
func (r *request) refuse(err error) { r.change, r.size, r.err = nil, 0, err }

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
		before := q.count
		if before >= count || q.bytes >= bytes {
			return
		}
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
		if q.count == before {
			return
		}
	}
}

// take waits for requests and returns at most count of them, of about bytes
// together, but at least one. It returns none when the queue is closed and empty.
func (q *queue) take(count, bytes int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count == 0 {
		if q.closed {
			q.abandoned = true
			return nil
		}
		q.nonEmpty.Wait()
	}
	q.gather(count, bytes)
	b := &batch{count: count, bytes: bytes}
	var waiting []*flow // that may have no more of this transaction
	for len(q.turns) > 0 {
		f := q.turns[0]
		if !b.fits(f) {
			if len(b.requests) >= count {
				break
			}
			waiting, q.turns = append(waiting, f), q.turns[1:]
			continue
		}
		b.add(f, q.pop(f))
	}
	q.turns = append(q.turns, waiting...)
	return b.requests
}

// pop takes the next request of the flow whose turn it is, and ends that turn.
func (q *queue) pop(f *flow) *request {
	r := f.pop()
	q.turns = q.turns[1:]
	q.count, q.bytes = q.count-1, q.bytes-r.size
	if f.first != nil {
		q.turns = append(q.turns, f)
	} else {
		delete(q.flows, f.name)
	}
	switch in, ok := q.rooms[r.room]; {
	case !ok:
	case in.count == 1:
		delete(q.rooms, r.room)
	default:
		q.rooms[r.room] = inRoom{in.flow, in.count - 1}
	}
	return r
}

// A batch is the requests of one transaction.
type batch struct {
	requests     []*request
	size         int
	count, bytes int // limits
}

// fits reports whether the next request of the flow may be in the batch. The first of all
// always may, and the first of a flow if it is within the limits of all.
func (b *batch) fits(f *flow) bool {
	switch {
	case len(b.requests) == 0:
		return true
	case len(b.requests) >= b.count || b.size+f.first.size > b.bytes:
		return false
	}
	return f.in != b || f.name == "" || f.count < flowCommits && f.size+f.first.size <= flowBytes
}

func (b *batch) add(f *flow, r *request) {
	b.requests, b.size = append(b.requests, r), b.size+r.size
	if f.in != b {
		f.in, f.count, f.size = b, 0, 0
	}
	f.count, f.size = f.count+1, f.size+r.size
}

// ended reports whether the queue is closed and empty.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.count == 0
}

// close accepts no more requests. Those that wait are still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.nonEmpty.Signal()
}

// Waiting returns how many changes wait for the writer.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.count
}
