package metrics

import (
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
)

// A History keeps how the server was of late, for administrators: a point every Every, and
// Points of them. Its methods may be called from any goroutine. The caller of NewHistory
// closes it.
type History struct {
	server *Server
	now    State
	stop   chan struct{}
	done   chan struct{}

	mu     sync.Mutex
	points []admin.Point
	last   reading
}

// Every is the time between two points, and Points how many are kept: ten minutes.
const (
	Every  = 5 * time.Second
	Points = 120
)

// NewHistory begins a history of the server's numbers.
func NewHistory(s *Server, now State) *History {
	h := &History{server: s, now: now, stop: make(chan struct{}), done: make(chan struct{})}
	h.last = h.read()
	go h.run()
	return h
}

func (h *History) run() {
	defer close(h.done)
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.add()
		case <-h.stop:
			return
		}
	}
}

// Close ends the history.
func (h *History) Close() {
	close(h.stop)
	<-h.done
}

func (h *History) add() {
	r := h.read()
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.point(r)
	if len(h.points) == Points {
		copy(h.points, h.points[1:])
		h.points = h.points[:Points-1]
	}
	h.points, h.last = append(h.points, p), r
}

// Show returns the points so far, oldest first, one of what was since the last of them, and
// what has happened since the start.
func (h *History) Show() (series []admin.Point, now admin.Point, all admin.Totals) {
	r := h.read()
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]admin.Point{}, h.points...), h.point(r), r.totals(h.now)
}

// A reading is the counters as they are at one time.
type reading struct {
	at        time.Time
	processor time.Duration
	turns     map[string]float64 // by end
	tokens    float64
	changes   float64
	failures  float64
	slow      float64
	resumes   map[string]float64 // by complete
	commits   *dto.Histogram
	first     *dto.Histogram
	delivery  *dto.Histogram
}

func (h *History) read() reading {
	s := h.server
	r := reading{at: time.Now(), processor: processorTime(), turns: sums(s.turns, "end"), resumes: sums(s.resumes, "complete")}
	for _, n := range sums(s.tokens, "kind") {
		r.tokens += n
	}
	r.changes, r.failures, r.slow = value(s.requests), value(s.failures), value(s.slow)
	r.commits, r.first, r.delivery = buckets(s.commits), buckets(s.first), buckets(s.deliveries)
	return r
}

func (r reading) totals(now State) admin.Totals {
	t := admin.Totals{Turns: make(map[string]uint64), Tokens: uint64(r.tokens), Restarts: now.Restarts(), SlowConsumers: uint64(r.slow)}
	for end, n := range r.turns {
		t.Turns[end] = uint64(n)
	}
	t.Resumed, t.Anew, t.CommitFailures = uint64(r.resumes["true"]), uint64(r.resumes["false"]), uint64(r.failures)
	return t
}

// point returns what was between the last point and a reading.
func (h *History) point(r reading) admin.Point {
	p := admin.Point{At: r.at.UTC(), Connections: h.now.Connections(), Rooms: h.now.Rooms(), Answering: h.now.Answering(), FileBytes: h.now.FileBytes()}
	p.Sessions, _ = h.now.Devices()
	p.Goroutines, p.HeapBytes = memory()
	seconds := r.at.Sub(h.last.at).Seconds()
	if seconds <= 0 {
		return p
	}
	rate := func(now, before float64) float64 { return (now - before) / seconds }
	var turns, before float64
	for end, n := range r.turns {
		turns, before = turns+n, before+h.last.turns[end]
	}
	failed := string(chat.StateFailed)
	p.Turns, p.Failures = rate(turns, before), rate(r.turns[failed], h.last.turns[failed])
	p.Tokens, p.Changes = rate(r.tokens, h.last.tokens), rate(r.changes, h.last.changes)
	p.Commits = rate(float64(r.commits.GetSampleCount()), float64(h.last.commits.GetSampleCount()))
	p.Processor = (r.processor - h.last.processor).Seconds() / seconds
	p.CommitP50, p.CommitP99 = between(h.last.commits, r.commits)
	p.FirstP50, p.FirstP99 = between(h.last.first, r.first)
	p.DeliverP50, p.DeliverP99 = between(h.last.delivery, r.delivery)
	return p
}

// between returns the median and the 99th percentile of what was counted between two
// readings of a histogram, or nil if nothing was.
func between(before, now *dto.Histogram) (p50, p99 *float64) {
	total := float64(now.GetSampleCount()) - float64(before.GetSampleCount())
	if total <= 0 {
		return nil, nil
	}
	return quantile(before, now, total*0.5), quantile(before, now, total*0.99)
}

// quantile finds where so many samples are below, as PromQL's histogram_quantile does: as if
// samples were spread evenly within a bucket.
func quantile(before, now *dto.Histogram, rank float64) *float64 {
	var lower, below float64
	for i, b := range now.GetBucket() {
		count := float64(b.GetCumulativeCount())
		if i < len(before.GetBucket()) {
			count -= float64(before.GetBucket()[i].GetCumulativeCount())
		}
		upper := b.GetUpperBound()
		if count >= rank {
			if count > below {
				upper = lower + (upper-lower)*(rank-below)/(count-below)
			}
			return &upper
		}
		if !math.IsInf(upper, 1) {
			lower = upper
		}
		below = count
	}
	return &lower // above the last bucket
}

// sums adds up the counters of a vector by the value of one label.
func sums(of prometheus.Collector, label string) map[string]float64 {
	all := make(map[string]float64)
	metrics := make(chan prometheus.Metric)
	go func() {
		defer close(metrics)
		of.Collect(metrics)
	}()
	for m := range metrics {
		var d dto.Metric
		if m.Write(&d) != nil {
			continue
		}
		for _, l := range d.GetLabel() {
			if l.GetName() == label {
				all[l.GetValue()] += d.GetCounter().GetValue()
			}
		}
	}
	return all
}

func value(m prometheus.Metric) float64 {
	var d dto.Metric
	_ = m.Write(&d) // of a counter of ours, which cannot fail
	return d.GetCounter().GetValue()
}

func buckets(m prometheus.Metric) *dto.Histogram {
	var d dto.Metric
	_ = m.Write(&d) // likewise
	return d.GetHistogram()
}

// memory returns how many goroutines there are, and the bytes of live objects.
func memory() (goroutines int, bytes uint64) {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return int(samples[0].Value.Uint64()), samples[1].Value.Uint64()
}
