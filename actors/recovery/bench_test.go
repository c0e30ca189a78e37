package recovery

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// BenchmarkFullTable fills a table with as many seats as it has by default, of clients
// that are in one room and have lost their connections, and says what a day of them costs:
// memory and file for each seat, and the time of a start and of a sweep that finds none to
// remove.
func BenchmarkFullTable(b *testing.B) {
	const seats = 100_000
	path := filepath.Join(b.TempDir(), "parlor.db")
	store, err := persistence.Open(path, persistence.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { store.Close() }()
	table, err := Open(Options{Store: store, Window: 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	before := heapBytes()
	var saves sync.WaitGroup
	for i := range seats {
		id, owner := NewID(), &nobody{}
		room := chat.ID(fmt.Sprint(i)).Room()
		s := Seat{SID: NewID(), User: chat.UserID(fmt.Sprint("user-", i%10_000)), Mark: 1, Places: []Place{{room, "assistant", "aaaaaaaa", uint64(i)}}}
		saves.Add(1)
		table.Save(id, owner, s, func(err error) {
			if err != nil {
				b.Error(err)
			}
			saves.Done()
		})
		table.Lost(id, owner)
		if i%1000 == 0 {
			saves.Wait()
		}
	}
	saves.Wait()
	used := float64(heapBytes()-before) / seats
	table.Close()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	var start, sweep time.Duration
	for b.Loop() {
		began := time.Now()
		if table, err = Open(Options{Store: store, Window: 24 * time.Hour}); err != nil {
			b.Fatal(err)
		}
		start += time.Since(began)
		began = time.Now()
		table.sweep()
		sweep += time.Since(began)
		table.Close()
	}
	b.ReportMetric(used, "heap-B/seat")
	b.ReportMetric(float64(info.Size())/seats, "file-B/seat")
	b.ReportMetric(float64(start.Milliseconds())/float64(b.N), "start-ms")
	b.ReportMetric(float64(sweep.Microseconds())/1000/float64(b.N), "sweep-ms")
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// nobody owns a seat. It has a size, so that each has an address of its own.
type nobody struct{ _ int }

func (*nobody) Displace() {}
