package main

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"parlor/transport/metrics"
	"parlor/transport/provider/guard"
)

// The names of our numbers in the table, and in what operators load into Grafana and
// Prometheus, are those that the server serves.
func TestNumbersAreDocumented(t *testing.T) {
	served := servedNumbers()
	for file, all := range map[string]bool{
		"../../docs/operations.md":              true,
		"../../docs/deploy/grafana/parlor.json": true,
		"../../docs/deploy/grafana/alerts.yml":  false, // not every number is worth an alert
	} {
		named := namedNumbers(t, file)
		for name := range named {
			if !served[name] {
				t.Errorf("%s names %s, which the server does not serve", file, name)
			}
		}
		for name := range served {
			if all && !named[name] {
				t.Errorf("%s does not name %s", file, name)
			}
		}
	}
}

// servedNumbers are the names that the help of /metrics lists.
func servedNumbers() map[string]bool {
	zero := func() int { return 0 }
	state := metrics.State{
		Connections: zero, Devices: func() (int, int) { return 0, 0 }, Rooms: zero,
		Restarts: func() uint64 { return 0 }, FileBytes: func() int64 { return 0 },
		Waiting: zero, Approvals: zero, Mailboxes: func(string) (int, int) { return 0, 0 },
	}
	guards := guard.NewMetrics()
	guard.New("eliza", guard.Options{Metrics: guards})
	w := httptest.NewRecorder()
	metrics.NewServer().Handler(state, guards, metrics.NewBackups()).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	names := make(map[string]bool)
	for _, found := range regexp.MustCompile(`(?m)^# HELP (parlor_\w+) `).FindAllStringSubmatch(w.Body.String(), -1) {
		names[found[1]] = true
	}
	return names
}

func namedNumbers(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(`parlor_[a-z_]+`).FindAllString(string(text), -1) {
		names[strings.TrimSuffix(name, "_bucket")] = true
	}
	return names
}
