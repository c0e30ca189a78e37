package guard

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parlor/protocol/chat"
)

// An outcome is how a request ended, as a label of a metric.
type outcome = string

const (
	outcomeCompleted outcome = "completed"
	outcomeFailed    outcome = "failed"
	outcomeBusy      outcome = "busy" // as the provider said
	outcomeTimeout   outcome = "timeout"
	outcomeStopped   outcome = "stopped" // by the caller
	outcomeRefused   outcome = "refused" // by the breaker; the provider was not asked
	outcomeCrowded   outcome = "crowded" // no place was free in time; the provider was not asked
)

var outcomes = []outcome{outcomeCompleted, outcomeFailed, outcomeBusy, outcomeTimeout, outcomeStopped, outcomeRefused, outcomeCrowded}

// Metrics count what happens at all guards, for Prometheus. They may be
// registered or not, and used from any goroutine.
type Metrics struct {
	requests *prometheus.CounterVec
	retries  *prometheus.CounterVec
	first    *prometheus.HistogramVec
	state    *prometheus.Desc
	inFlight *prometheus.Desc

	mu     sync.Mutex
	guards []*Guard
}

// firstTokenBuckets are in seconds.
var firstTokenBuckets = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

// NewMetrics returns metrics of no guards yet.
func NewMetrics() *Metrics {
	return &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parlor_provider_requests_total", Help: "Requests for answers, by how they ended.",
		}, []string{"provider", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parlor_provider_retries_total", Help: "Requests that were made again.",
		}, []string{"provider"}),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parlor_provider_first_token_seconds", Help: "Time from a request to the first word of its answer.", Buckets: firstTokenBuckets,
		}, []string{"provider"}),
		state: prometheus.NewDesc("parlor_provider_state",
			"1 for the state that the provider's circuit breaker is in.", []string{"provider", "state"}, nil),
		inFlight: prometheus.NewDesc("parlor_provider_in_flight",
			"Requests that the provider is answering.", []string{"provider"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	m.requests.Describe(to)
	m.retries.Describe(to)
	m.first.Describe(to)
	to <- m.state
	to <- m.inFlight
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.requests.Collect(to)
	m.retries.Collect(to)
	m.first.Collect(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.guards {
		is := g.Health().State
		for _, s := range []chat.ProviderState{chat.ProviderClosed, chat.ProviderOpen, chat.ProviderHalfOpen} {
			value := 0.0
			if s == is {
				value = 1
			}
			to <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, value, g.name, string(s))
		}
		to <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(g.inFlight.Load()), g.name)
	}
}

// add makes g one of the guards that are counted, in the place of one with the same name.
// Its series begin at 0 before anything is asked.
func (m *Metrics) add(g *Guard) {
	for _, how := range outcomes {
		m.requests.WithLabelValues(g.name, how)
	}
	m.retries.WithLabelValues(g.name)
	m.first.WithLabelValues(g.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guards = append(slices.DeleteFunc(m.guards, func(before *Guard) bool { return before.name == g.name }), g)
}

func (m *Metrics) request(provider string, how outcome) {
	m.requests.WithLabelValues(provider, how).Inc()
}

func (m *Metrics) retry(provider string) { m.retries.WithLabelValues(provider).Inc() }

func (m *Metrics) firstToken(provider string, d time.Duration) {
	m.first.WithLabelValues(provider).Observe(d.Seconds())
}
