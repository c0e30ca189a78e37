package metrics

import "github.com/prometheus/client_golang/prometheus"

// mailboxes tells how much waits in the mailboxes of actors, by kind.
type mailboxes struct {
	count func(kind string) (all, longest int)
}

var (
	queued  = prometheus.NewDesc("parlor_mailbox_messages", "Messages that wait in the mailboxes of actors.", []string{"kind"}, nil)
	longest = prometheus.NewDesc("parlor_mailbox_longest", "Messages that wait in the longest of these mailboxes.", []string{"kind"}, nil)
)

// Describe implements [prometheus.Collector].
func (mailboxes) Describe(to chan<- *prometheus.Desc) {
	to <- queued
	to <- longest
}

// Collect implements [prometheus.Collector].
func (m mailboxes) Collect(to chan<- prometheus.Metric) {
	for _, kind := range kinds {
		all, most := m.count(kind)
		to <- prometheus.MustNewConstMetric(queued, prometheus.GaugeValue, float64(all), kind)
		to <- prometheus.MustNewConstMetric(longest, prometheus.GaugeValue, float64(most), kind)
	}
}
