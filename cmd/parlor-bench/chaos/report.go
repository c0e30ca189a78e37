package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"parlor/protocol/chat"
)

// A Violation is a promise that was broken.
type Violation struct {
	What  string
	Who   string        // visitor, "log" or "server"
	Room  chat.ID       // empty if it is of no one room
	Seq   uint64        // zero if it is of no one record
	After time.Duration // the start of the run
}

// String says the violation in a line or more.
func (v Violation) String() string {
	return fmt.Sprintf("%6.1fs %s, room %s, record %d: %s", v.After.Seconds(), v.Who, v.Room, v.Seq, v.What)
}

// mostViolations are kept.
const mostViolations = 40

// A Report is what happened in a run.
type Report struct {
	Seed       uint64
	Violations []Violation

	clients, rooms                  int
	kept                            string // where the server\'s data is, if it was kept
	started                         time.Time
	took                            time.Duration
	kills, terms, fills, panicked   atomic.Int64
	cuts, cutsOfAll, stalls, cut    atomic.Int64
	connections, returns, recovered atomic.Int64
	resumed, snapshots, newcomers   atomic.Int64
	messages, acked, repeated, told atomic.Int64
	calls, lost, unknown            atomic.Int64

	mu       sync.Mutex
	more     int // violations that were not kept
	refusals map[chat.Code]int
	ends     map[chat.State]int
	records  int
	attempts int // of turns, besides the first
}

func (r *Report) violation(v Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.Violations) >= mostViolations {
		r.more++
		return
	}
	r.Violations = append(r.Violations, v)
}

func (r *Report) returned(returning, recovered bool) {
	r.connections.Add(1)
	if returning {
		r.returns.Add(1)
	}
	if recovered {
		r.recovered.Add(1)
	}
}

func (r *Report) refused(code chat.Code) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusals == nil {
		r.refusals = make(map[chat.Code]int)
	}
	r.refusals[code]++
}

// ended counts the end of a turn.
func (r *Report) ended(state chat.State, attempts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends == nil {
		r.ends = make(map[chat.State]int)
	}
	r.ends[state]++
	r.attempts += max(0, attempts-1)
}

func (r *Report) counted(records int) { r.records += records }

// Print writes the report as a table. It is for a run that is over.
func (r *Report) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("seed", "%d, %s, %d clients, %d rooms", r.Seed, r.took.Round(time.Second), r.clients, r.rooms)
	row("server", "%d kill -9, %d SIGTERM, %d times a full disk, %d panics of rooms", r.kills.Load(), r.terms.Load(), r.fills.Load(), r.panicked.Load())
	row("log", "%d outcomes of writes were unknown for a while", r.unknown.Load())
	row("network", "%d cuts of one connection, %d of all: %d connections cut; %d stalls", r.cuts.Load(), r.cutsOfAll.Load(), r.cut.Load(), r.stalls.Load())
	row("connections", "%d, of which %d asked to be recovered, and %d were", r.connections.Load(), r.returns.Load(), r.recovered.Load())
	row("joins", "%d resumed, %d got a snapshot, %d were new", r.resumed.Load(), r.snapshots.Load(), r.newcomers.Load())
	row("messages", "%d, of which %d were acknowledged; %d repeats", r.messages.Load(), r.acked.Load(), r.repeated.Load())
	row("refusals", "%s", counts(r.refusals))
	row("turns", "%s; %d attempts after the first", counts(r.ends), r.attempts)
	row("calls of tools", "%d, of which the end of the server has cut %d", r.calls.Load(), r.lost.Load())
	row("checked", "%d records of the log, %d events told", r.records, r.told.Load())
	row("violations", "%d", len(r.Violations)+r.more)
	if err := table.Flush(); err != nil {
		return err
	}
	if r.kept != "" {
		fmt.Fprintln(w, "the data is kept in", r.kept)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "violation (seed %d): %v\n", r.Seed, v)
	}
	return nil
}

// counts lists a map by its keys.
func counts[K ~string](m map[K]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}
