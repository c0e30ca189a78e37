package system

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unsafe"
)

// A run may use 10 KiB of stack without the runtime moving it to a larger one.
func TestRunNeedsNoLargerStack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector moves stacks too, to smaller ones
	const bytes = 10 << 10
	moves := make(chan bool)
	go func() { moves <- stackMoves(bytes) }()
	if !<-moves {
		t.Skip("a goroutine of its own starts with a large stack here")
	}
	ref := spawn(t, newHooks().spec("a", Stop))
	for range 10 {
		ref.Tell(do(func(*worker) { moves <- stackMoves(bytes) }))
		if <-moves {
			t.Fatal("the stack was moved")
		}
	}
}

// stackMoves reports whether the goroutine's stack is moved when this many
// bytes more of it are needed.
func stackMoves(bytes int) bool {
	var local byte
	before := address(&local)
	descend(bytes)
	return address(&local) != before
}

//go:noinline
func address(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }

// descend uses a number of bytes of stack.
//
//go:noinline
func descend(bytes int) byte {
	var frame [256]byte
	if bytes < len(frame) {
		return frame[bytes]
	}
	return descend(bytes-len(frame)) + frame[bytes%len(frame)]
}

// Runs that block keep no other from running, however many they are.
func TestBlockedRunsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, release := New(nil), make(chan struct{})
		defer close(release)
		start := func() (Ref[task], *hooks) {
			h := newHooks()
			ref, err := Spawn(sys, h.spec("", Stop))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(ref.Stop)
			return ref, h
		}
		for range 1000 {
			ref, _ := start()
			ref.Tell(do(func(*worker) { <-release }))
		}
		synctest.Wait()
		ref, h := start()
		ref.Tell(note("runs"))
		synctest.Wait()
		h.journal.want(t, "started 1", "runs")
	})
}

// A message takes at most one allocation: the start of a goroutine.
func TestRunAllocatesOnce(t *testing.T) {
	ref, done := spawn(t, newHooks().spec("a", Stop)), make(chan struct{})
	pass := do(func(*worker) { done <- struct{}{} })
	if got := testing.AllocsPerRun(1000, func() {
		ref.Tell(pass)
		<-done
	}); got > 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
}

// Messages keep their order, and the queue keeps its size, while it is never empty.
func TestQueueThatIsNeverEmpty(t *testing.T) {
	var queue fifo[int]
	for sent, got := 0, 0; got < 10_000; got++ {
		for ; sent-got < 10; sent++ {
			queue.push(sent)
		}
		if m := queue.pop(4); m != got {
			t.Fatalf("got %d, want %d", m, got)
		}
	}
	if n := cap(queue.items); n > 64 {
		t.Errorf("the queue of ten messages has %d places", n)
	}
}

// Many actors that are told something at once are run by a few goroutines.
func TestManyRunsTakeFewGoroutines(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const actors = 1000
	var most atomic.Int64
	var all sync.WaitGroup
	all.Add(actors)
	sys := New(nil)
	refs := make([]Ref[task], actors)
	for i := range refs {
		var err error
		if refs[i], err = Spawn(sys, newHooks().spec("", Stop)); err != nil {
			t.Fatal(err)
		}
		defer refs[i].Stop()
	}
	before := int64(runtime.NumGoroutine())
	for _, ref := range refs {
		ref.Tell(do(func(*worker) {
			most.Store(max(most.Load(), int64(runtime.NumGoroutine())-before))
			all.Done()
		}))
	}
	all.Wait()
	if n := most.Load(); n > actors/10 {
		t.Errorf("%d actors took %d goroutines at once", actors, n)
	}
}

// BenchmarkRun reports the cost of a run that handles one message, by how much
// stack that takes. Each wakes another actor, so each is a run of its own.
func BenchmarkRun(b *testing.B) {
	for _, bytes := range []int{256, 2 << 10, 8 << 10} {
		b.Run(fmt.Sprintf("stack=%d", bytes), func(b *testing.B) { benchmarkRun(b, bytes) })
	}
}

func benchmarkRun(b *testing.B, bytes int) {
	const actors = 100
	sys, done := New(nil), make(chan struct{})
	var refs [actors]Ref[task]
	for i := range refs {
		var err error
		if refs[i], err = Spawn(sys, newHooks().spec("", Stop)); err != nil {
			b.Fatal(err)
		}
		defer refs[i].Stop()
	}
	left := 0
	var pass do
	next := 0
	pass = func(*worker) {
		descend(bytes)
		if left--; left == 0 {
			done <- struct{}{}
			return
		}
		next++
		refs[next%actors].Tell(pass)
	}
	b.ReportAllocs()
	b.ResetTimer()
	left = b.N
	refs[0].Tell(pass)
	<-done
}
