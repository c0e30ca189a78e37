// Package chaos runs parlor, breaks what can be broken under it, and checks
// that nothing it has promised is broken too.
//
//	visitors → [proxy] → parlor serve → provider        faults: kill, cut, stall, disk, panic, unknown outcomes
//	    │                    │
//	  views ─→ chronicle ←─ log, read by the API and from the file: check
//	    └────→ ledger (sends, stops) ──────────────────────┘
//
// Visitors talk in rooms, lose their connections and come back. Each keeps a
// [view] of every room, which refuses at once what no client could make sense
// of. What any of them is told of a record goes into one [chronicle], so that
// two visitors cannot be told different things; what a visitor wanted and what
// it was answered goes into the [ledger]. When all has come to rest both are
// compared with the log.
//
// # Seeds
//
// A seed determines the schedule of faults and each visitor's and the
// provider's decisions: what to do, where, with which words, and how long to
// wait. How these interleave, and so which of them meet, is up to the machine.
//
// It needs Linux, for prlimit.
package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
)

// Options say what to run. Parlor has no default.
type Options struct {
	Parlor   string        // program; built with -tags chaos if rooms are to panic
	Duration time.Duration // of the faults. Zero means 20 seconds
	Settle   time.Duration // in which all has to come to rest afterwards. Zero means a minute
	Seed     uint64        // as it is
	Clients  int           // zero means 16
	Users    int           // that the clients belong to. Zero means a third as many
	Rooms    int           // zero means 5
	Kills    int           // of the server; one in six is a SIGTERM. Zero means one in 4 seconds
	Cuts     int           // of connections, one in eight of all at once. Zero means three a second
	Panics   int           // of rooms. Zero means one in 4 seconds, negative none
	Unknown  int           // one in so many writes has an outcome that the server does not know at once. Zero means one in 50
	Bug      string        // that the program is told to have: CHAOS_BUG
	FailFast bool          // end at the first violation
	Keep     bool          // the server's data, if a promise was broken
}

func (o Options) withDefaults() Options {
	o.Duration = cmp.Or(o.Duration, 20*time.Second)
	o.Settle = cmp.Or(o.Settle, time.Minute)
	o.Clients = cmp.Or(o.Clients, 16)
	o.Users = cmp.Or(o.Users, (o.Clients+2)/3)
	o.Rooms = cmp.Or(o.Rooms, 5)
	o.Kills = cmp.Or(o.Kills, int(o.Duration/(4*time.Second)))
	o.Cuts = cmp.Or(o.Cuts, int(3*o.Duration/time.Second))
	o.Unknown = cmp.Or(o.Unknown, 50)
	o.Panics = max(0, cmp.Or(o.Panics, int(o.Duration/(4*time.Second))))
	return o
}

// errViolated ends a run that is to fail fast.
var errViolated = errors.New("a promise was broken")

// A harness is one run.
type harness struct {
	Options
	dir       string
	server    *server
	network   *proxy
	provider  *provider
	chronicle *chronicle
	ledger    *ledger
	report    *Report
	rooms     []place
	visitors  []*visitor
	abort     context.CancelCauseFunc

	quiet  atomic.Bool  // visitors begin nothing new
	panics atomic.Int64 // that visitors are to cause
	faults atomic.Int64 // so far that may have cost a room the text of its running turn
}

// A place is a chat and its room.
type place struct {
	chat chat.ID
	room chat.RoomID
}

// Run runs parlor under faults and reports. The error is of the harness: what
// parlor does wrong are the report's Violations.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	dir, err := os.MkdirTemp("", "parlor-chaos-")
	if err != nil {
		return nil, err
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	h := &harness{
		Options: o, dir: dir, chronicle: newChronicle(), ledger: &ledger{byID: make(map[chat.ClientID]*send)}, abort: abort,
		report: &Report{Seed: o.Seed, started: time.Now()},
	}
	err = h.run(ctx)
	h.report.took = time.Since(h.report.started)
	if o.Keep && len(h.report.Violations) > 0 {
		h.report.kept = dir
	} else {
		os.RemoveAll(dir)
	}
	if errors.Is(context.Cause(ctx), errViolated) {
		err = nil
	}
	return h.report, err
}

func (h *harness) run(ctx context.Context) (err error) {
	h.provider, err = newProvider(h.Seed)
	if err != nil {
		return err
	}
	defer h.provider.close()
	h.server, err = newServer(h)
	if err != nil {
		return err
	}
	defer h.server.kill()
	if err := h.server.start(ctx); err != nil {
		return err
	}
	h.network, err = newProxy(h.server.address)
	if err != nil {
		return err
	}
	defer h.network.close()
	for i := range h.Rooms {
		id := chat.ID(fmt.Sprintf("chat-%d", i))
		h.rooms = append(h.rooms, place{id, id.Room()})
	}
	auditor, err := newAuditor(ctx, h)
	if err != nil {
		return err
	}
	defer h.count()
	leave := h.enter(ctx)
	defer leave()
	h.inject(ctx)
	if err := h.settle(ctx, auditor); err != nil {
		return err
	}
	leave()
	return h.check(ctx, auditor)
}

// enter starts the visitors, and returns what ends them and waits for them.
func (h *harness) enter(ctx context.Context) (leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range h.Clients {
		v := newVisitor(h, i)
		h.visitors = append(h.visitors, v)
		wg.Go(func() { v.run(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// random returns a source of decisions for whoever is named so.
func (h *harness) random(who string) *rand.Rand {
	return rand.New(rand.NewPCG(h.Seed, hash(who)))
}

// violate reports that a promise was broken.
func (h *harness) violate(who string, room chat.RoomID, seq uint64, err error) {
	h.report.violation(Violation{Who: who, Room: h.chatOf(room), Seq: seq, What: err.Error(), After: time.Since(h.report.started)})
	if h.FailFast {
		h.abort(errViolated)
	}
}

func (h *harness) chatOf(id chat.RoomID) chat.ID {
	for _, p := range h.rooms {
		if p.room == id {
			return p.chat
		}
	}
	return chat.ID(id)
}

// data is the file that the server keeps.
func (h *harness) data() string { return filepath.Join(h.dir, "parlor.db") }

// sleep waits for d or the end of ctx, and reports whether that has not come.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between returns a duration from low to high.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}
