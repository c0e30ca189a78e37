package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backups counts the backups that the server makes by itself. Last says when the newest one
// was made, and may be set once, before the numbers are collected.
type Backups struct {
	Last func() time.Time

	made *prometheus.CounterVec
	took prometheus.Histogram
	at   prometheus.GaugeFunc
}

var backupBuckets = []float64{0.1, 1, 10, 60, 300, 1800, 3600}

// NewBackups returns numbers that are all zero.
func NewBackups() *Backups {
	b := &Backups{
		Last: func() time.Time { return time.Time{} },
		made: counters("parlor_backups_total", "Backups that the server has made by itself, by how they ended.", "outcome"),
		took: histogram("parlor_backup_seconds", "Time that such a backup took until it was verified and in its place.", backupBuckets),
	}
	b.at = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parlor_backup_last_timestamp_seconds", Help: "When the newest such backup was made, in Unix time; 0 for never.",
	}, func() float64 {
		if at := b.Last(); !at.IsZero() {
			return float64(at.Unix())
		}
		return 0
	})
	b.made.WithLabelValues("completed")
	b.made.WithLabelValues("failed")
	return b
}

// Told counts a backup.
func (b *Backups) Told(took time.Duration, _ int64, err error) {
	if err != nil {
		b.made.WithLabelValues("failed").Inc()
		return
	}
	b.made.WithLabelValues("completed").Inc()
	b.took.Observe(took.Seconds())
}

// Describe and Collect implement [prometheus.Collector].
func (b *Backups) Describe(to chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{b.made, b.took, b.at} {
		c.Describe(to)
	}
}

// Collect is described with [Backups.Describe].
func (b *Backups) Collect(to chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{b.made, b.took, b.at} {
		c.Collect(to)
	}
}
