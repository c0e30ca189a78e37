package guard

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An answer is how a provider of tests behaves when it is asked.
type answer func(ctx context.Context, say func(string) bool) error

// A provider answers the first prompt with its first answer, and so on; the
// last one stays.
type provider struct {
	mu      sync.Mutex
	answers []answer
	asked   []time.Time
}

func (p *provider) next() answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, time.Now())
	return p.answers[min(len(p.asked), len(p.answers))-1]
}

func (p *provider) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// Stream implements [Provider].
func (p *provider) Stream(ctx context.Context, _ chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		more := true
		err := p.next()(ctx, func(text string) bool {
			more = more && yield(chat.Delta{Text: text}, nil)
			return more
		})
		if err != nil && more {
			yield(chat.Delta{}, err)
		}
	}
}

func provides(answers ...answer) *provider { return &provider{answers: answers} }

// says answers with pieces, each after a pause.
func says(pause time.Duration, pieces ...string) answer {
	return func(ctx context.Context, say func(string) bool) error {
		for _, piece := range pieces {
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			if !say(piece) {
				return nil
			}
		}
		return nil
	}
}

// fails says pieces and then fails.
func fails(err error, pieces ...string) answer {
	return func(ctx context.Context, say func(string) bool) error {
		if err := says(0, pieces...)(ctx, say); err != nil {
			return err
		}
		return err
	}
}

// failsAfter fails when d is over.
func failsAfter(d time.Duration, failure error) answer {
	return func(ctx context.Context, _ func(string) bool) error {
		if err := sleep(ctx, d); err != nil {
			return err
		}
		return failure
	}
}

// hangs answers never.
func hangs(ctx context.Context, _ func(string) bool) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// The failures of tests.
var (
	broken   = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "it is broken"), Retryable: true}
	late     = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderTimeout, "it is late")}
	away     = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderTimeout, "it is away"), Retryable: true}
	nowhere  = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "its host was not found"), Unanswered: true}
	wrongKey = &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "wrong key")}
)

func busyFor(d time.Duration) error {
	return &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "it is busy"), Retryable: true, RetryAfter: d}
}

// heard is all that a stream yielded, and how long it took.
type heard struct {
	text     string
	retrying []string
	states   []chat.ProviderState
	err      error
	took     time.Duration
}

func listen(ctx context.Context, g *Guard, p Provider) heard {
	return hear(ctx, g, p, chat.Prompt{}, false)
}

func hear(ctx context.Context, g *Guard, p Provider, prompt chat.Prompt, hurried bool) (h heard) {
	start := time.Now()
	for d, err := range g.Stream(ctx, p, prompt, hurried) {
		h.text += d.Text
		if d.Retrying != nil {
			h.retrying = append(h.retrying, d.Retrying.Message)
		}
		if d.Health != nil {
			h.states = append(h.states, d.Health.State)
		}
		h.err = err
	}
	h.took = time.Since(start)
	return h
}

// bubble runs a test with a guard in time of its own.
func bubble(t *testing.T, o Options, test func(t *testing.T, g *Guard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, New("test", o)) })
}

func wantMessage(t *testing.T, err error, want string) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Message != want {
		t.Errorf("got error %v, want %q", err, want)
	}
}

// gather returns the values of all metrics with one label value, by name and
// the others.
func gather(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			name := f.GetName()
			for _, l := range metric.GetLabel() {
				if l.GetName() != "provider" {
					name += " " + l.GetValue()
				}
			}
			all[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return all
}
