package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parlor/protocol/admin"
	"parlor/protocol/chat"
)

// A State is read when the numbers are collected. Its functions are called from any
// goroutine, and have no default.
type State struct {
	Version     string
	Connections func() int                   // open, of all kinds
	Devices     func() (sessions, users int) // connections that have signed in, and how many users they are
	Rooms       func() int                   // in memory
	Answering   func() int                   // turns that run
	Restarts    func() uint64                // of actors that have failed
	FileBytes   func() int64                 // of the event log
	Waiting     func() int                   // changes that wait for the writer of that
	Approvals   func() int                   // calls of tools that wait for a member

	// Mailboxes returns how many messages wait in those of the actors of a kind, and how many
	// in the longest.
	Mailboxes func(kind string) (all, longest int)
}

// kinds are those of actors whose mailboxes are counted.
var kinds = []string{admin.KindSupervisor, admin.KindRoom, admin.KindSession}

// Server counts what happens in the server. The parts of the server call its methods
// as it happens, from any goroutine; they do not block. No label holds what a person
// or a provider can choose, so the number of series is bounded.
type Server struct {
	turns      *prometheus.CounterVec
	first      prometheus.Histogram
	tokens     *prometheus.CounterVec
	calls      *prometheus.CounterVec
	decisions  *prometheus.CounterVec
	commits    prometheus.Histogram
	syncs      prometheus.Histogram
	deliveries prometheus.Histogram
	requests   prometheus.Counter
	failures   prometheus.Counter
	slow       prometheus.Counter
	resumes    *prometheus.CounterVec
}

// Buckets are in seconds.
var (
	firstBuckets    = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}
	deliveryBuckets = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20}
	commitBuckets   = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5}
)

// NewServer returns numbers that are all zero.
func NewServer() *Server {
	s := &Server{
		turns:      counters("parlor_turns_total", "Turns that have ended, by how and why.", "end", "reason"),
		first:      histogram("parlor_first_token_seconds", "Time from the start of an answer to the first that was heard of it.", firstBuckets),
		tokens:     counters("parlor_tokens_total", "Tokens that turns have used, as providers count them or as estimated.", "kind"),
		calls:      counters("parlor_tool_calls_total", "Calls of tools that have ended, by how.", "outcome"),
		decisions:  counters("parlor_approvals_total", "Decisions about calls of tools: of members, or because none has decided in time.", "decision"),
		commits:    histogram("parlor_commit_seconds", "Time that a transaction of the event log took until it was durable.", commitBuckets),
		syncs:      histogram("parlor_fsync_seconds", "Time in which a transaction of the event log was written to the disk and synced.", commitBuckets),
		deliveries: histogram("parlor_delivery_seconds", "Time for which what is sent to a client waits until the system has taken it. One in 16 is measured.", deliveryBuckets),
		requests:   counter("parlor_commit_requests_total", "Changes that transactions of the event log have carried."),
		failures:   counter("parlor_commit_failures_total", "Transactions of the event log that have failed."),
		slow:       counter("parlor_slow_consumers_total", "Connections that were closed because their client did not read."),
		resumes:    counters("parlor_resumes_total", "Clients that came back after a lost connection, and whether they were told all that they had missed.", "complete"),
	}
	s.begin()
	return s
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// begin makes the series that one expects exist before anything has happened: an alert
// on the rate of a series that appears with its first count would miss that count.
func (s *Server) begin() {
	for end, reasons := range map[chat.State][]string{
		chat.StateCompleted:   {string(chat.FinishStop), string(chat.FinishLength), string(chat.FinishFilter)},
		chat.StateStopped:     {""},
		chat.StateInterrupted: {""},
		chat.StateFailed:      {string(chat.CodeProviderError), string(chat.CodeProviderTimeout), string(chat.CodeBudgetExceeded), string(chat.CodeInternal)},
	} {
		for _, reason := range reasons {
			s.turns.WithLabelValues(string(end), reason)
		}
	}
	for _, o := range []chat.ToolOutcome{chat.ToolCompleted, chat.ToolFailed, chat.ToolDenied, chat.ToolStopped, chat.ToolUnknown} {
		s.calls.WithLabelValues(string(o))
	}
	for _, label := range []string{"approved", "denied", "expired"} {
		s.decisions.WithLabelValues(label)
	}
	for _, label := range []string{"prompt", "completion"} {
		s.tokens.WithLabelValues(label)
	}
	for _, complete := range []bool{true, false} {
		s.resumes.WithLabelValues(strconv.FormatBool(complete))
	}
}

// Handler serves the numbers, those that are read now, and those of others. See the
// function [Handler].
func (s *Server) Handler(now State, others ...prometheus.Collector) http.Handler {
	return Handler(append(s.collectors(now), others...)...)
}

func (s *Server) collectors(now State) []prometheus.Collector {
	return []prometheus.Collector{
		s.turns, s.first, s.tokens, s.calls, s.decisions, s.commits, s.syncs, s.deliveries, s.requests, s.failures, s.slow, s.resumes,
		gauge("parlor_connections", "Connections that are open, signed in or not.", func() float64 { return float64(now.Connections()) }),
		gauge("parlor_sessions", "Connections that have signed in.", func() float64 {
			sessions, _ := now.Devices()
			return float64(sessions)
		}),
		gauge("parlor_users", "Users who have a connection.", func() float64 {
			_, users := now.Devices()
			return float64(users)
		}),
		gauge("parlor_rooms", "Rooms that are in memory.", func() float64 { return float64(now.Rooms()) }),
		gauge("parlor_storage_bytes", "Size of the file with the event log.", func() float64 { return float64(now.FileBytes()) }),
		gauge("parlor_commit_queue", "Changes that wait for the writer of the event log.", func() float64 { return float64(now.Waiting()) }),
		gauge("parlor_approvals_waiting", "Calls of tools that wait for a member to decide.", func() float64 { return float64(now.Approvals()) }),
		mailboxes{now.Mailboxes},
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "parlor_restarts_total", Help: "Actors that were started anew after they had failed."},
			func() float64 { return float64(now.Restarts()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parlor_build_info", Help: "1, with the version of the server.", ConstLabels: prometheus.Labels{"version": now.Version},
		}, func() float64 { return 1 }),
	}
}

func gauge(name, help string, f func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
}

// Committed counts a transaction of the event log.
func (s *Server) Committed(requests int, took time.Duration, err error) {
	if err != nil {
		s.failures.Inc()
		return
	}
	s.commits.Observe(took.Seconds())
	s.requests.Add(float64(requests))
}

// TurnEnded counts the end of a turn. The reason is the code of its error, or why the
// model ended it.
func (s *Server) TurnEnded(e chat.TurnEnded) {
	reason := string(e.Finish)
	if e.Error != nil {
		reason = string(e.Error.Code)
	}
	s.turns.WithLabelValues(string(e.State), reason).Inc()
	if e.Usage != nil {
		s.tokens.WithLabelValues("prompt").Add(float64(max(e.Usage.PromptTokens, 0)))
		s.tokens.WithLabelValues("completion").Add(float64(max(e.Usage.CompletionTokens, 0)))
	}
}

// Tools counts the decision about a call of a tool, or its end.
func (s *Server) Tools(e chat.Event) {
	switch e := e.(type) {
	case chat.ToolDecided:
		decision := "denied"
		switch {
		case e.Approved:
			decision = "approved"
		case e.Expired():
			decision = "expired"
		}
		s.decisions.WithLabelValues(decision).Inc()
	case chat.ToolEnded:
		s.calls.WithLabelValues(string(e.State)).Inc()
	}
}

// FirstToken counts the first that is heard of an answer.
func (s *Server) FirstToken(took time.Duration) { s.first.Observe(took.Seconds()) }

// Delivered measures a delivery to a client.
func (s *Server) Delivered(took time.Duration) { s.deliveries.Observe(took.Seconds()) }

// Synced measures a write of the disk.
func (s *Server) Synced(took time.Duration) { s.syncs.Observe(took.Seconds()) }

// SlowConsumer counts a client that was cut off.
func (s *Server) SlowConsumer() { s.slow.Inc() }

// Resumed counts a client that came back.
func (s *Server) Resumed(complete bool) {
	s.resumes.WithLabelValues(strconv.FormatBool(complete)).Inc()
}
