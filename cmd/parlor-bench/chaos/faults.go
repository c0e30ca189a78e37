package chaos

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A fault is something that happens at a time after the start.
type fault struct {
	at     time.Duration
	happen func(context.Context) error
}

// schedule spreads n faults over the run, each at a random moment of its share
// of it.
func (h *harness) schedule(r *rand.Rand, n int, happen func(context.Context) error) (faults []fault) {
	for i := range n {
		share := h.Duration / time.Duration(n)
		faults = append(faults, fault{time.Duration(i)*share + time.Duration(r.Int64N(int64(share))), happen})
	}
	return faults
}

// inject breaks things until the time is up: one goroutine for the server and
// one for the network.
func (h *harness) inject(ctx context.Context) {
	kills, cuts := h.random("kills"), h.random("cuts")
	server := h.schedule(kills, h.Kills, func(ctx context.Context) error { return h.end(ctx, kills) })
	server = append(server, h.schedule(kills, 1+h.Kills/4, func(ctx context.Context) error { return h.fillDisk(ctx, kills) })...)
	server = append(server, h.schedule(kills, h.Panics, func(context.Context) error { h.panics.Add(1); return nil })...)
	server = append(server, fault{h.Duration, func(ctx context.Context) error { return h.restart(ctx, kills) }})
	network := h.schedule(cuts, h.Cuts, func(context.Context) error { h.cut(cuts); return nil })
	var wg sync.WaitGroup
	wg.Go(func() { h.suffer(ctx, server) })
	wg.Go(func() { h.suffer(ctx, network) })
	wg.Wait()
}

// suffer lets the faults happen in time.
func (h *harness) suffer(ctx context.Context, faults []fault) {
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	begin := time.Now()
	for _, f := range faults {
		if !sleep(ctx, f.at-time.Since(begin)) {
			return
		}
		if err := f.happen(ctx); err != nil && ctx.Err() == nil {
			h.violate("server", "", 0, err)
			return
		}
	}
}

// end ends the server and starts it again, sometimes a while later.
func (h *harness) end(ctx context.Context, r *rand.Rand) error {
	if r.IntN(6) > 0 {
		return h.restart(ctx, r)
	}
	h.report.terms.Add(1)
	if err := h.server.terminate(); err != nil {
		return err
	}
	h.faults.Add(1)
	return h.server.start(ctx)
}

func (h *harness) restart(ctx context.Context, r *rand.Rand) error {
	h.server.kill()
	h.report.kills.Add(1)
	h.faults.Add(1)
	if r.IntN(3) == 0 {
		sleep(ctx, between(r, 10*time.Millisecond, 400*time.Millisecond))
	}
	return h.server.start(ctx)
}

// frontBytes is how much of the file can be written at most while the disk is
// full: its first pages, and not all that a transaction writes.
const frontBytes = 128 << 10

// fillDisk lets the server write nothing, or only to the front of its file, and
// then makes room again, or kills it.
func (h *harness) fillDisk(ctx context.Context, r *rand.Rand) error {
	limit := uint64(0)
	if r.IntN(2) == 0 {
		limit = r.Uint64N(frontBytes)
	}
	if err := h.server.limitDisk(limit); err != nil {
		return err
	}
	h.report.fills.Add(1)
	h.faults.Add(1)
	sleep(ctx, between(r, 100*time.Millisecond, 1500*time.Millisecond))
	if r.IntN(4) == 0 {
		return h.restart(ctx, r)
	}
	return h.server.limitDisk(unix.RLIM_INFINITY)
}

// cut breaks the network.
func (h *harness) cut(r *rand.Rand) {
	n, which := r.IntN(100), r.IntN(1<<20)
	switch {
	case n < 12:
		h.report.cutsOfAll.Add(1)
		h.report.cut.Add(int64(h.network.cutAll()))
	case n < 22:
		if h.network.stall(which, between(r, 50*time.Millisecond, 2*time.Second)) {
			h.report.stalls.Add(1)
		}
	default:
		if h.network.cutOne(which) {
			h.report.cuts.Add(1)
			h.report.cut.Add(1)
		}
	}
}
