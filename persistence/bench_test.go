package persistence

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// BenchmarkAppend measures durable acknowledgements with that many callers,
// each with a room of its own and one commit in flight. Flag -cpu 1,2 compares
// one processor with two.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkAppend(b, newStore(b), callers)
		})
	}
}

// BenchmarkGather compares, on one processor, a writer that lets callers queue
// before it takes a batch with one that does not.
func BenchmarkGather(b *testing.B) {
	for _, callers := range []int{1, 100, 1000} {
		for _, yields := range []int{0, maxYields} {
			b.Run(fmt.Sprintf("callers=%d/yields=%d", callers, yields), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				s := newStore(b)
				s.queue.setYields(yields)
				benchmarkAppend(b, s, callers)
			})
		}
	}
}

func (q *queue) setYields(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.yields = n
}

func benchmarkAppend(b *testing.B, s *Store, callers int) {
	data := [][]byte{make([]byte, 333)} // an event as they usually are
	benchmarkWrites(b, s, callers, func(caller int, n uint64) error {
		return appendWait(s, Commit{Room: fmt.Sprintf("room-%d", caller), After: n, Entries: data})
	})
}

// BenchmarkPutSession measures the same for sessions. Each caller has ten of its
// own.
func BenchmarkPutSession(b *testing.B) {
	value := string(make([]byte, 1000))
	for _, callers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := newStore(b)
			benchmarkWrites(b, s, callers, func(caller int, n uint64) error {
				return putSessionWait(s, fmt.Sprintf("session-%d-%d", n%10, caller), value)
			})
		})
	}
}

// benchmarkWrites calls write from that many callers. n counts the calls of one
// caller.
func benchmarkWrites(b *testing.B, s *Store, callers int, write func(caller int, n uint64) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	before := transactions(b, s)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := uint64(0); left.Add(-1) >= 0; n++ {
				if err := write(i, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "durable/s")
	b.ReportMetric(float64(b.N)/float64(transactions(b, s)-before), "commits/tx")
}

// BenchmarkRead measures the replay of a log of 1000 entries.
func BenchmarkRead(b *testing.B) {
	s := newStore(b)
	c := Commit{Room: "room"}
	for range 1000 {
		c.Entries = append(c.Entries, make([]byte, 333))
	}
	mustAppend(b, s, c)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range s.Read("room", 0) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSessions measures the reading of 1000 sessions, as at a start.
func BenchmarkSessions(b *testing.B) {
	s := newStore(b)
	for i := range 1000 {
		s.PutSession(fmt.Sprintf("session-%d", i), make([]byte, 1000), nil)
	}
	mustPutSession(b, s, "last", "")
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range s.Sessions() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkAppendLarge is [BenchmarkAppend] with messages of 60 KiB, of 50 rooms. It also
// says how many bytes of pages are written, and what the processor does, for each.
func BenchmarkAppendLarge(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := newStore(b)
			data := [][]byte{make([]byte, 60<<10)}
			before, cpu := written(s), processorTime()
			benchmarkWrites(b, s, callers, func(caller int, n uint64) error {
				return appendWait(s, Commit{Room: fmt.Sprintf("room-%d-%d", caller, n%50), After: n / 50, Entries: data})
			})
			b.ReportMetric(float64(written(s)-before)/float64(b.N), "written/op")
			b.ReportMetric(float64(processorTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime returns what the process has used, in nanoseconds.
func processorTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
