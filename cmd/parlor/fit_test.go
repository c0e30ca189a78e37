package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Each fault is told with the file, the line, the key and what may stand there.
func TestFaultsInTheFile(t *testing.T) {
	const models, providers, budgets = "window: 7\nmodels:\n", "providers:\n  mine:\n    base_url: http://h\n", "budgets:\n  - { period: day, tokens: 1 }\n  - "
	for _, tt := range []struct {
		file string
		want []string // of each fault, in order
	}{
		{models + "  - model_id: a\n    provder: openai\n", []string{`models[0]: unknown key "provder", did you mean provider? Known are model_id, ,parlor.yaml:4)`}},
		{models + "  - model_id: a\n    provider: eliza\n  - model_id: b\n    provider: nobody\n", []string{`models[1] ("b"): provider: must be eliza, one of ,parlor.yaml:6)`}},
		{models + "  - model_id: a\n    provider: eliza\n    fallbacks:\n      - eliza\n      - nobody\n", []string{`fallbacks[1] ("nobody"),parlor.yaml:7)`}},
		{models + "  - provider: eliza\n", []string{"model_id: is missing,parlor.yaml:3)"}},
		{models + "  - model_id: [a]\n", []string{"models[0].model_id: must be a single value,parlor.yaml:3)"}},
		{models + "  - model_id: a\n    context_window: large\n", []string{`models[0].context_window: "large" must be a whole number such as 5000, 5k,parlor.yaml:4)`}},
		{models + "  - model_id: a\n    model_id: b\n", []string{`models[0]: has "model_id" in line 3 already,parlor.yaml:4)`}},
		{models + "  - just text\n", []string{"models[0]: must be a mapping,parlor.yaml:3)"}},
		{models + "  model_id: a\n", []string{"models: must be a list,parlor.yaml:3)"}},
		{models + "  - model_id: a\n    provider: eliza\n    fallbacks: eliza\n", []string{"models[0].fallbacks: must be a list,parlor.yaml:5)"}},
		{"providers:\n  a: &a\n    base_url: http://h\n    <<: *a\n", []string{`providers["a"]: has a <<,parlor.yaml:4)`}},
		{"providers: &a\n  x: &b { <<: *a }\n  <<: *b\n", []string{`unknown key "x",parlor.yaml:2)`, "has a <<", "has a <<"}},
		{providers + "    discover: sometimes\n", []string{`providers["mine"].discover: "sometimes" must be on or off,parlor.yaml:4)`}},
		{providers + "    first_token_timeout: 60\n", []string{`first_token_timeout: "60" must be a time with its unit,parlor.yaml:4)`}},
		{providers + "    api: soap\n", []string{`providers["mine"]: api: must be one of ,parlor.yaml:4)`}},
		{providers + "  'my own':\n    base_url: http://h\n", []string{`providers["my own"]: ,parlor.yaml:5)`}},
		{"providers:\n  - mine\n", []string{"providers: must be a mapping,parlor.yaml:2)"}},
		{budgets + "period: week\n    tokens: 5\n", []string{"budgets[1]: period: must be hour, day, month or total,parlor.yaml:3)"}},
		{budgets + "period: day\n    tokens: many\n", []string{`budgets[1].tokens: "many" must be a whole number such as 5000, 5k or 2M,parlor.yaml:4)`}},
		{budgets + "period: day\n    tokens: 5m\n", []string{`budgets[1].tokens: "5m" must be a whole number,parlor.yaml:4)`}},
		{budgets + "perod: day\n    user: 1\n    limit: 4\n", []string{`"perod", did you mean period?,parlor.yaml:3)`, `"limit",parlor.yaml:5)`}},
		{"cors-origins:\n  - https://a.example.com\n  - https://b.example.com/\n", []string{"https://b.example.com/,parlor.yaml:3)"}},
		{"window: 0\nmodels:\n  - modle: a\n", []string{`unknown key "modle",parlor.yaml:3)`, "window:,parlor.yaml:1)"}},
		{"retain-for: 30 days\nmodles: []\nwindow: 0\n", []string{`"modles", did you mean models?,parlor.yaml:2`, `"30 days",30d,parlor.yaml:1)`, "window:,parlor.yaml:3)"}},
		{"log-level: loud\n", []string{`log-level: "loud" must be debug, info, warn or error,parlor.yaml:1)`}},
		{"\nturn-policy: wait\n", []string{`turn-policy: "wait" must be queue or steer or interrupt or reject,parlor.yaml:2)`}},

		{"models:\n  - model_id: a\n   provider: x\n", []string{"parlor.yaml:3: is not YAML"}},
		{"window: 1\nlisten: [\n  a,\nwindow: 2\n", []string{"parlor.yaml:2: is not YAML"}},
		{"window: 1\n\tlisten: x\n", []string{"parlor.yaml:2: is not YAML,tabs"}},
		{"window: 1\nsystem-prompt: Be: brief\n", []string{"parlor.yaml:2: is not YAML,quotes"}},
		{"window: 1\nsystem-prompt: @x\n", []string{"parlor.yaml:2: is not YAML,quotes"}},
		{"window: 1\n\nsystem-prompt: 'unclosed\n\n", []string{"parlor.yaml:3: is not YAML"}},
		{strings.Repeat("# long\n", 5000) + "listen: [\n", []string{"parlor.yaml:5001: is not YAML"}},
		{"window: 1\nlisten: *nowhere\nping-timeout: 1s\n", []string{"parlor.yaml:2: is not YAML: unknown anchor"}},
	} {
		_, err := loadIn(t, tt.file, nil)
		if err == nil {
			t.Errorf("taken:\n%s", tt.file)
			continue
		}
		faults := split(err)
		if len(faults) != len(tt.want) {
			t.Errorf("%d faults, want %d: %v\n%s", len(faults), len(tt.want), err, tt.file)
			continue
		}
		for i, want := range tt.want {
			for part := range strings.SplitSeq(want, ",") {
				if !strings.Contains(faults[i].Error(), strings.TrimSpace(part)) {
					t.Errorf("%v\nlacks %q\n%s", faults[i], part, tt.file)
				}
			}
		}
	}
}

// The forms in which people write times, sizes, numbers and booleans are understood
// wherever one may stand.
func TestUnitsInTheFile(t *testing.T) {
	s, err := loadIn(t, `
retain-for: 30d
retain-bytes: 10G
ping-interval: 1m30s
context-window: 128k
max-connections: 1_000
metrics: on
discover: off
titles: no
log-level: WARNING
models:
  - &base { model_id: a, provider: eliza, max_tokens: 4k, upstream_model: 4.1 }
  - { <<: *base, model_id: b, context_window: 1M }
providers:
  mine: { base_url: "http://h", discover: on, first_token_timeout: 1d, max_streams: 2k }
budgets:
  - { period: day, tokens: 5k }
  - { period: month, tokens: "2M" }
  - { period: total, tokens: 200_000 }
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	mine := s.Providers["mine"]
	for what, ok := range map[string]bool{
		"retain-for":        s.RetainFor == 30*day,
		"retain-bytes":      s.RetainBytes == 10e9,
		"context-window":    s.ContextWindow == 128_000,
		"max-connections":   s.MaxConnections == 1000,
		"booleans":          s.Metrics && !s.Discover && s.Titles == "off" && *mine.Discover,
		"log-level":         s.row("log-level").value == "warn",
		"models":            s.Models[0].MaxTokens == 4000 && s.Models[0].UpstreamModel == "4.1",
		"what a key merges": s.Models[1].MaxTokens == 4000 && s.Models[1].ModelID == "b" && s.Models[1].ContextWindow == 1e6,
		"providers":         time.Duration(mine.FirstTokenTimeout) == day && mine.MaxStreams == 2000,
		"budgets":           s.Budgets[0].Tokens == 5000 && s.Budgets[1].Tokens == 2e6 && s.Budgets[2].Tokens == 200_000,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, s.Values)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0s", "0s": "0s", "1500ms": "1.5s", "30d": "720h", "1w": "168h", "1w1d1h": "193h", "1d12h": "36h", "-1d": "-24h", "-1s": "-1s",
	} {
		if d, err := parseDuration(text); err != nil || showDuration(d) != want {
			t.Errorf("%q is %v, %v, want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "10", "d", "1.5d", "1month", "1 day", "1d-1h", "--1d", "999999w", "1h1d", "day"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q was taken for %v", text, d)
		}
	}
}

func TestBooleanFlags(t *testing.T) {
	for _, tt := range []struct {
		args              []string
		metrics, discover bool
	}{
		{nil, false, true},
		{[]string{"--metrics"}, true, true},
		{[]string{"--metrics=on", "--discover=off"}, true, false},
		{[]string{"--metrics=No", "--discover=0"}, false, false},
		{[]string{"--titles", "off", "--metrics=yes"}, true, true},
	} {
		s, err := loadIn(t, "", nil, tt.args...)
		if err != nil || s.Metrics != tt.metrics || s.Discover != tt.discover || (s.Titles == "off") != slices.Contains(tt.args, "off") {
			t.Errorf("%q: %+v, %v", tt.args, s, err)
		}
	}
}
