package system

import (
	"runtime"
	"sync"
)

// A crew runs the mailboxes that have messages, first come, first served. While mailboxes wait,
// a second goroutine is about to look at them, so a run that blocks holds up nobody else. If
// the first goroutine does not block, it has run them all by then, and the second ends at once.
//
// So a thousand actors that are told something at once take two goroutines and not a thousand.
// Each of those would begin with a small stack and grow it.
type crew struct {
	mu     sync.Mutex
	ready  fifo[runner]
	coming bool // a goroutine is about to look at ready
}

type runner interface{ run() }

const (
	// turn is the number of runs after which the goroutine lets others go first.
	turn = 256

	// spareReady is how many places for mailboxes an idle crew keeps at most.
	spareReady = 1024
)

// take runs the mailbox soon.
func (c *crew) take(r runner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready.push(r)
	c.comeLocked()
}

func (c *crew) comeLocked() {
	if !c.coming {
		c.coming = true
		go c.work()
	}
}

func (c *crew) work() {
	c.mu.Lock()
	c.coming = false
	c.mu.Unlock()
	if r, ok := c.next(); ok {
		growStack(0)
		c.workFrom(r)
	}
}

// workFrom runs mailboxes until none is ready.
func (c *crew) workFrom(r runner) {
	for n, ok := 1, true; ok; n++ {
		r.run()
		if n%turn == 0 {
			runtime.Gosched()
		}
		r, ok = c.next()
	}
}

// next returns the mailbox that is to be run next. If there are more, another goroutine
// comes to run them, in case that this one blocks.
func (c *crew) next() (r runner, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready.len() == 0 {
		return nil, false
	}
	r = c.ready.pop(spareReady)
	if c.ready.len() > 0 {
		c.comeLocked()
	}
	return r, true
}

// A fifo is a queue. Its zero value is empty.
type fifo[T any] struct {
	items []T
	first int // index of the first that was not popped
}

func (f *fifo[T]) len() int { return len(f.items) - f.first }

func (f *fifo[T]) push(item T) {
	if len(f.items) == cap(f.items) && f.first > len(f.items)/2 { // else a queue that is never empty would grow for ever
		n := copy(f.items, f.items[f.first:])
		clear(f.items[n:])
		f.items, f.first = f.items[:n], 0
	}
	f.items = append(f.items, item)
}

// pop removes the first item of a queue that is not empty. An empty queue keeps at most so
// many places.
func (f *fifo[T]) pop(spare int) T {
	var none T
	item := f.items[f.first]
	f.items[f.first] = none
	if f.first++; f.first == len(f.items) {
		f.items, f.first = f.items[:0], 0
		if cap(f.items) > spare {
			f.items = nil
		}
	}
	return item
}

// growStack makes the stack of a new goroutine 16 KiB large, the largest size
// that each processor of the runtime keeps for reuse. A goroutine starts with
// 2 KiB, and handling a message takes up to 16. The runtime would double the
// stack three times in the middle of the run, and each time look at every call
// on it to move it: that was a sixth of the processor time of a busy server.
//
// Each call of a function makes sure that there is room for all its variables,
// used or not: with 0 the array is not touched. The stack goes back when the
// goroutine ends.
//
//go:noinline
func growStack(n int) byte {
	if n == 0 {
		return 0
	}
	var room [12 << 10]byte
	return room[n]
}
