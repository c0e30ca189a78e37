package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler(t *testing.T) {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "parlor_tests_total", Help: "Tests."})
	c.Inc()
	w := httptest.NewRecorder()
	Handler(c).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"\nparlor_tests_total 1\n", "\ngo_goroutines ", "# HELP parlor_tests_total Tests.\n"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, w.Body)
		}
	}
}
