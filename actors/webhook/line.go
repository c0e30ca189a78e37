package webhook

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// A hook delivers to one endpoint. Rooms that have something for it wait in lines.
type hook struct {
	Hook
	*Engine
	since time.Time // what was recorded before is not delivered

	mu        sync.Mutex
	lines     map[chat.RoomID]*line
	waiting   lines // those that no delivery is under way of, next first
	busy      int   // the others
	left      bool  // a room found no place: the log has to be looked through again
	delivered int
	failing   error // of the last delivery; nil if it succeeded

	wake   chan struct{} // has room for one element
	rescan chan struct{} // the same
	space  chan struct{} // the same
}

// A line is a room that has something to deliver.
type line struct {
	room  chat.RoomID
	next  time.Time // when to try
	again bool      // something was recorded while a delivery was under way

	failures int // in a row
	failing  time.Time
	record   string // that the next number is about
	sent     int    // events of the record that were delivered
}

func newHook(e *Engine, h Hook, since time.Time) *hook {
	return &hook{
		Hook: h, Engine: e, since: since, lines: make(map[chat.RoomID]*line),
		wake: make(chan struct{}, 1), rescan: make(chan struct{}, 1), space: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// note makes the room wait, or leaves it out if too many do.
func (h *hook) note(id chat.RoomID) {
	if !h.add(id) {
		h.mu.Lock()
		h.left = true
		h.mu.Unlock()
	}
}

// add makes the room wait, and reports whether there was a place for it.
func (h *hook) add(id chat.RoomID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := h.lines[id]; ok {
		l.again = true
		return true
	}
	if len(h.lines) >= h.MaxWaiting {
		return false
	}
	l := &line{room: id}
	h.lines[id] = l
	heap.Push(&h.waiting, l)
	signal(h.wake)
	return true
}

// run delivers, at most AtOnce at once.
func (h *hook) run(ctx context.Context) {
	for {
		l, pause := h.take(time.Now())
		if l != nil {
			h.work.Go(func() { h.settle(l, h.pass(ctx, l)) })
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-h.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// take returns a line to work on, or how long there will be none.
func (h *hook) take(now time.Time) (l *line, pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.waiting) == 0, h.busy >= h.AtOnce:
		return nil, maxDelay
	case h.waiting[0].next.After(now):
		return nil, h.waiting[0].next.Sub(now)
	}
	l = heap.Pop(&h.waiting).(*line)
	l.again = false
	h.busy++
	return l, 0
}

// settle puts a line back that has something left, or ends it.
func (h *hook) settle(l *line, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	switch {
	case err != nil:
		l.next = time.Now().Add(h.delay(l.failures, err))
		heap.Push(&h.waiting, l)
	case l.again:
		heap.Push(&h.waiting, l)
	default:
		delete(h.lines, l.room)
		signal(h.space)
	}
	if h.left && len(h.lines) <= h.MaxWaiting/2 {
		h.left = false
		signal(h.rescan)
	}
	signal(h.wake)
}

// delay is how long a line waits after so many failures in a row, the last of which is err.
func (h *hook) delay(failures int, err error) time.Duration {
	d := h.RetryDelay
	for range failures - 1 {
		if d = min(2*d, maxDelay); d == maxDelay {
			break
		}
	}
	d = d*3/4 + rand.N(d/2+1) // so that not all rooms come back at once
	var later interface{ After() time.Duration }
	if errors.As(err, &later) {
		d = max(d, min(later.After(), maxDelay))
	}
	return d
}

// lines is a heap, the one to try next first.
type lines []*line

func (l lines) Len() int           { return len(l) }
func (l lines) Less(i, j int) bool { return l[i].next.Before(l[j].next) }
func (l lines) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lines) Push(x any)        { *l = append(*l, x.(*line)) }
func (l *lines) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}
