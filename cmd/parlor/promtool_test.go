package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// promtool runs Prometheus' own tool: the one that make promtool has put into bin, or that is
// installed. Its module is no part of go.mod: it would bring newer versions of what the program is
// built from.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath(filepath.Join(repository, "bin", "promtool"))
	if err != nil {
		tool, err = exec.LookPath("promtool")
	}
	if err != nil {
		t.Skip("promtool is not there: make promtool (Debian)")
	}
	if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The alert rules are sound, and fire when they should.
func TestAlertRules(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"../../docs/deploy/grafana/alerts.yml", "testdata/alerts_test.yml"} {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "rules", filepath.Join(dir, "alerts.yml"))
	promtool(t, "test", "rules", filepath.Join(dir, "alerts_test.yml"))
}

// Each query of the dashboard is one that Prometheus can answer.
func TestDashboardQueries(t *testing.T) {
	text, err := os.ReadFile("../../docs/deploy/grafana/parlor.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules, queries := "groups:\n  - name: dashboard\n    rules:\n", 0
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m", "$instance", "a", "${instance}", "a")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			rules += fmt.Sprintf("      - {record: 'query:%d', expr: %q}\n", queries, variables.Replace(target.Expr))
		}
	}
	if queries < 20 {
		t.Fatalf("only %d queries", queries)
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
