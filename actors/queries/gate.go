package queries

import (
	"cmp"
	"container/list"
	"context"
	"iter"
	"runtime"
	"sync"

	"parlor/protocol/chat"
)

// Reads limit the queries that may read much: those of logs, lists and usage. The
// zero value is ready to use.
type Reads struct {
	AtOnce  int // that run at once, of all users. Zero means one for each processor
	PerUser int // that run at once, of one user. Zero means half of AtOnce, but at least one
	Waiting int // of one user; past it another is refused as busy. Zero means 1024

	SearchBytes int // that one page of a search reads. Zero means 8 MiB
}

func (r Reads) withDefaults() Reads {
	r.AtOnce = cmp.Or(r.AtOnce, runtime.GOMAXPROCS(0))
	r.PerUser = min(cmp.Or(r.PerUser, max(1, r.AtOnce/2)), r.AtOnce)
	r.Waiting = cmp.Or(r.Waiting, 1024)
	r.SearchBytes = cmp.Or(r.SearchBytes, 8<<20)
	return r
}

var (
	errCrowded  = chat.Refuse(chat.CodeBusy, "too many of your requests wait to be answered")
	errStopping = chat.Refuse(chat.CodeBusy, "the server is stopping")
)

// A gate lets a bounded number of reads run at once. The others wait.
//
//	enter → wait in the user's queue → run → leave
//	                     ↑______rest______|
//
// A gate is fair between users. The next place goes to the user with the fewest
// running reads; among several, to the one who has waited longest. So a user's
// queue, however long, delays the read of another user by one read at most, and by
// none if a read of the first user runs already. The reads of one user run in the
// order in which they came.
//
// A read that waits is dropped when its context ends. All methods may be called
// from any goroutine.
type gate struct {
	limits Reads

	mu      sync.Mutex
	users   map[chat.UserID]*reader
	lines   []list.List // lines[n] are the readers who wait for a place and have n running reads
	running int
	closed  bool
	settled bool          // the gate is closed and no read runs
	idle    chan struct{} // closed when the gate is settled
}

// A reader is a user with reads that run or wait.
type reader struct {
	id      chat.UserID
	running int
	waiting list.List     // of *read
	line    *list.List    // one of the gate's, or nil
	place   *list.Element // in line
}

// A read is one query, from enter to leave. It belongs to one goroutine.
type read struct {
	gate    *gate
	reader  *reader
	running bool
	place   *list.Element // in the queue of the reader, or nil
	ready   chan struct{} // closed when the read may run, or is refused
}

func newGate(limits Reads) *gate {
	limits = limits.withDefaults()
	return &gate{
		limits: limits, users: make(map[chat.UserID]*reader),
		lines: make([]list.List, limits.PerUser), idle: make(chan struct{}),
	}
}

// enter waits until a read of the user may run. If it returns no error the caller
// calls leave.
func (g *gate) enter(ctx context.Context, user chat.UserID) (*read, error) {
	r := &read{gate: g}
	g.mu.Lock()
	if u := g.users[user]; u != nil && u.waiting.Len() >= g.limits.Waiting {
		g.mu.Unlock()
		return nil, errCrowded
	}
	u := g.reader(user)
	g.queue(r, u, u.waiting.PushBack(r))
	g.mu.Unlock()
	return r, r.await(ctx)
}

// resume waits until a read that has left may go on. It waits ahead of the other
// reads of its user.
func (r *read) resume(ctx context.Context) error {
	r.gate.mu.Lock()
	u := r.gate.reader(r.reader.id) // it may have been forgotten meanwhile
	r.gate.queue(r, u, u.waiting.PushFront(r))
	r.gate.mu.Unlock()
	return r.await(ctx)
}

// rest lets reads of other users go first, if there are any, and waits until the
// read may go on.
func (r *read) rest(ctx context.Context) error {
	r.gate.mu.Lock()
	r.stop()
	r.gate.queue(r, r.reader, r.reader.waiting.PushFront(r))
	r.gate.mu.Unlock()
	return r.await(ctx)
}

// leave gives the place of the read to another. The second call does nothing.
func (r *read) leave() {
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	if r.running {
		r.stop()
		r.gate.next(r.reader)
	}
}

// await waits until the read may run. After an error the read does not run, and
// holds no place.
func (r *read) await(ctx context.Context) error {
	select {
	case <-r.ready:
	case <-ctx.Done():
	}
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	err := ctx.Err()
	switch {
	case r.place != nil:
		r.reader.waiting.Remove(r.place)
		r.place = nil
		r.gate.next(r.reader)
	case !r.running:
		err = errStopping
	case err != nil:
		r.stop()
		r.gate.next(r.reader)
	}
	return err
}

// reader returns the reader of a user. It is forgotten after its last read.
func (g *gate) reader(id chat.UserID) *reader {
	u := g.users[id]
	if u == nil {
		u = &reader{id: id}
		g.users[id] = u
	}
	return u
}

// queue makes a read wait, at its place in the queue of the reader.
func (g *gate) queue(r *read, u *reader, place *list.Element) {
	r.reader, r.place, r.ready = u, place, make(chan struct{})
	if g.closed {
		g.refuse(r)
	}
	g.next(u)
}

// refuse ends the wait of a read, which will not run.
func (g *gate) refuse(r *read) {
	r.reader.waiting.Remove(r.place)
	r.place = nil
	close(r.ready)
}

// stop ends a running read. The caller then calls next.
func (r *read) stop() {
	r.running = false
	r.reader.running--
	r.gate.running--
}

// next puts a reader into the right line, and fills the free places.
func (g *gate) next(u *reader) {
	g.line(u)
	for g.running < g.limits.AtOnce {
		first := g.first()
		if first == nil {
			break
		}
		g.admit(first)
	}
	g.settle()
}

// first returns the reader whose turn it is, or nil.
func (g *gate) first() *reader {
	for n := range g.lines {
		if e := g.lines[n].Front(); e != nil {
			return e.Value.(*reader)
		}
	}
	return nil
}

// admit lets the first read of a reader run.
func (g *gate) admit(u *reader) {
	r := u.waiting.Remove(u.waiting.Front()).(*read)
	r.place, r.running = nil, true
	u.running++
	g.running++
	g.line(u)
	close(r.ready)
}

// line puts a reader at the end of the right line, unless the reader is in that line
// already. It forgets a reader without reads.
func (g *gate) line(u *reader) {
	var line *list.List
	if u.waiting.Len() > 0 && u.running < g.limits.PerUser {
		line = &g.lines[u.running]
	}
	if line != u.line {
		if u.line != nil {
			u.line.Remove(u.place)
		}
		u.line, u.place = line, nil
		if line != nil {
			u.place = line.PushBack(u)
		}
	}
	if u.running == 0 && u.waiting.Len() == 0 {
		delete(g.users, u.id)
	}
}

// close refuses the reads that wait, and all that come later. The channel it returns
// is closed when no read runs any more.
func (g *gate) close() (idle <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, u := range g.users {
		for u.waiting.Len() > 0 {
			g.refuse(u.waiting.Front().Value.(*read))
		}
		g.line(u)
	}
	g.settle()
	return g.idle
}

// settle closes idle when the gate is closed and no read runs.
func (g *gate) settle() {
	if g.closed && g.running == 0 && !g.settled {
		g.settled = true
		close(g.idle)
	}
}

// restEvery is the number of entries after which a read lets others go first.
const restEvery = 256

// paced yields the elements of the sequence for a running read. It looks at ctx
// before each element, and rests now and then.
func paced[E any](ctx context.Context, r *read, sequence iter.Seq2[E, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		n := 0
		for e, err := range sequence {
			if err == nil {
				err = ctx.Err()
			}
			if n++; err == nil && n%restEvery == 0 {
				err = r.rest(ctx)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
