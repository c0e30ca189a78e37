package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// releaseEvery is how often the server checks whether it can give memory back.
	releaseEvery = 15 * time.Second

	// worthReleasing is how much memory must be spare to give it back: that takes
	// a garbage collection, and using the memory again takes page faults.
	worthReleasing = 8 << 20
)

// A usage is what the runtime says of its memory.
type usage struct {
	collections uint64 // so far
	spare       uint64 // bytes of the heap that hold nothing, or what may be garbage by now
}

func readUsage() usage {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	u := usage{collections: samples[0].Value.Uint64(), spare: samples[1].Value.Uint64()}
	if objects, live := samples[2].Value.Uint64(), samples[3].Value.Uint64(); objects > live {
		u.spare += objects - live // allocated since the last collection
	}
	return u
}

// releasable reports whether memory should be given back. A server that has not
// collected garbage since before is nearly idle, so it will not need the memory
// soon.
func (u usage) releasable(before usage) bool {
	return u.collections == before.collections && u.spare >= worthReleasing
}

// releaseMemory gives memory back to the system after a burst, such as when all
// clients come back after a restart. The runtime would keep that memory for its
// next collection, which never comes while all connections are idle. Stop ends
// this and waits for its goroutine.
func releaseMemory() (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(releaseEvery)
		defer tick.Stop()
		for before := readUsage(); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if readUsage().releasable(before) {
				debug.FreeOSMemory()
			}
			before = readUsage()
		}
	}()
	return func(context.Context) error { cancel(); <-done; return nil }
}
