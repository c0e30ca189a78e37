package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// releaseEvery is how often it is looked whether memory can be given back.
	releaseEvery = 15 * time.Second

	// worthReleasing is how much has to be spare for that: to give it back takes
	// a garbage collection, and to get it back page faults.
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

// releasable reports whether memory is worth to be given back: a server without
// a collection since before has little to do, and will not soon want it again.
func (u usage) releasable(before usage) bool {
	return u.collections == before.collections && u.spare >= worthReleasing
}

// releaseMemory gives memory back to the system when a burst, such as of all
// clients that come back after a restart, is over. The runtime keeps as much as
// its next collection may need, which for a server whose connections are idle
// is never. It returns what stops that and waits for it.
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
