package persistence

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend measures durable acknowledgements with that many callers,
// each with a room of its own and one commit in flight.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkAppend(b, callers)
		})
	}
}

func benchmarkAppend(b *testing.B, callers int) {
	s := newStore(b)
	data := [][]byte{make([]byte, 333)} // an event as they usually are
	var left atomic.Int64
	left.Store(int64(b.N))
	before := transactions(b, s)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			room := fmt.Sprintf("room-%d", i)
			for after := uint64(0); left.Add(-1) >= 0; after++ {
				if err := appendWait(s, Commit{Room: room, After: after, Entries: data}); err != nil {
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
