package guard

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"parlor/protocol/admin"
)

// Providers returns how each provider fares, by name.
func (m *Metrics) Providers() []admin.Provider {
	m.mu.Lock()
	guards := slices.Clone(m.guards)
	m.mu.Unlock()
	all := []admin.Provider{}
	for _, g := range guards {
		health := g.Health()
		p := admin.Provider{Name: g.name, State: health.State, InFlight: g.inFlight.Load(), Requests: make(map[string]uint64)}
		if !health.RetryAt.IsZero() {
			at := health.RetryAt.UTC()
			p.RetryAt = &at
		}
		for _, how := range outcomes {
			p.Requests[how] = count(m.requests.WithLabelValues(g.name, how))
		}
		p.Retries = count(m.retries.WithLabelValues(g.name))
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b admin.Provider) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func count(c prometheus.Counter) uint64 {
	var d dto.Metric
	_ = c.Write(&d) // of a counter of ours, which cannot fail
	return uint64(d.GetCounter().GetValue())
}
