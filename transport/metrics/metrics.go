// Package metrics serves numbers about the running server, as Prometheus
// collects them.
//
//	collectors, Go runtime, process → registry → GET /metrics
//
// The numbers name providers and no users, but they are not for everybody: who
// serves the handler decides who may ask.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxRequests limits who may collect at once: each walks through everything.
const maxRequests = 4

// Handler returns what answers with the numbers of the collectors, and of the
// Go runtime and the process. Two collectors of one name are a bug.
func Handler(of ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(of...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxRequests})
}
