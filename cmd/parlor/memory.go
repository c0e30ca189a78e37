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

	// worthReleasing is how much has to be free for that: to give it back takes
	// a garbage collection, and to get it back page faults.
	worthReleasing = 8 << 20
)

// A usage is what the runtime says of its memory.
type usage struct {
	collections uint64 // so far
	free        uint64 // bytes of the heap that hold nothing, and belong to the process
}

func readUsage() usage {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	return usage{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}

// releasable reports whether memory is worth to be given back: a server without
// a collection since before has little to do, and will not soon want it again.
func (u usage) releasable(before usage) bool {
	return u.collections == before.collections && u.free >= worthReleasing
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
