// Package guard keeps the failures of one provider from becoming anybody
// else's, and asks it again where that can help.
//
//	Prompt → breakers → place ─→ Provider.Stream ─────────→ Delta, Delta, …
//	   ↑                             │ failed before the first word
//	   ├── backoff ── {Retrying} ────┤
//	   └── line ───── {Retrying} ────┘ it is busy
//
// # What is asked again
//
// Only a request that failed before the first word of its answer, and before
// the first tool that the provider ran for it; and only what a provider may do
// better next time ([upstream.Failure]). The pauses grow, come on top of the
// provider's Retry-After, and have to fit into a budget with it.
//
// # What opens the breaker
//
// So many failures in a row that are the provider's own. A refusal of what was
// asked proves that it works; a caller who left proves nothing. While the
// breaker is open requests fail at once; after a cool-down one is let through,
// and with its first word the breaker closes.
//
// A model that does not say a word in time says nothing of the provider's other models,
// nor does one that fails while another answers: it has a breaker of its own for that.
//
// # A provider that is busy
//
// A provider that says so (429, 529, some 503) is not broken. The requests that it refused,
// and those that come after them, wait in a line in which users take turns. The first tries
// again: when the provider said, when an answer has ended, or after a pause. How long they
// wait is limited as for a place. Tries are counted only while it gives no answers
// to us, since it may then be busy for good.
//
// # Latency
//
// Guards share nothing. Nothing is locked while an answer streams, and a delta
// passes through one loop.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
)

// The defaults of [Options].
const (
	DefaultStreams     = 1000
	DefaultWait        = 120 * time.Second
	DefaultRetries     = 2
	DefaultRetryDelay  = 500 * time.Millisecond
	DefaultRetryBudget = 30 * time.Second
	DefaultFailures    = 5
	DefaultFailureSpan = 5 * time.Minute
	DefaultCoolDown    = 30 * time.Second
	maxRetryDelay      = 10 * time.Second
)

// Options configure a [Guard]. The zero value is ready to use.
type Options struct {
	// Streams limits the requests that the provider answers at once; others
	// wait, and users take turns: see places. Zero means [DefaultStreams].
	Streams int

	// Wait limits how long, and also how long a request waits for a provider
	// that says it is busy. Zero means [DefaultWait].
	Wait time.Duration

	// Retries is how often a request is made again. Zero means
	// [DefaultRetries], and less than that never.
	Retries int

	// RetryDelay is the first pause before that; each is about twice the one
	// before, up to ten seconds. Zero means [DefaultRetryDelay].
	RetryDelay time.Duration

	// RetryBudget limits the time from the first request to the start of the
	// last. Zero means [DefaultRetryBudget], and less than that no retries.
	RetryBudget time.Duration

	// Failures in a row, within FailureSpan, open the breaker. Zero means
	// [DefaultFailures], and less than that never; a zero span means
	// [DefaultFailureSpan], which has room for as many timeouts one by one.
	Failures    int
	FailureSpan time.Duration

	// CoolDown is how long the breaker stays open. Zero means [DefaultCoolDown].
	CoolDown time.Duration

	// Shown is the provider's name in what people are told. Empty means the
	// name of the guard, which the metrics and the log have.
	Shown string

	// Metrics count what happens, Logger is told when the breaker opens and
	// closes. Nil is for nobody.
	Metrics *Metrics
	Logger  *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Streams = cmp.Or(o.Streams, DefaultStreams)
	o.Wait = cmp.Or(o.Wait, DefaultWait)
	o.Retries = cmp.Or(o.Retries, DefaultRetries)
	o.RetryDelay = cmp.Or(o.RetryDelay, DefaultRetryDelay)
	o.RetryBudget = cmp.Or(o.RetryBudget, DefaultRetryBudget)
	o.Failures = cmp.Or(o.Failures, DefaultFailures)
	o.FailureSpan = cmp.Or(o.FailureSpan, DefaultFailureSpan)
	o.CoolDown = cmp.Or(o.CoolDown, DefaultCoolDown)
	o.Metrics = cmp.Or(o.Metrics, NewMetrics())
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// A Provider answers prompts; see the packages beside this one.
type Provider interface {
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// A Guard stands before one provider, however many clients of it there are.
//
// All methods may be called from any goroutine. It has no goroutine of its
// own and need not be closed.
type Guard struct {
	name     string
	opts     Options
	breaker  breaker
	models   models
	places   *places
	inFlight atomic.Int64
	well     well
}

// New returns a guard of the provider that is known as name.
func New(name string, o Options) *Guard {
	o = o.withDefaults()
	o.Shown = cmp.Or(o.Shown, name)
	g := &Guard{name: name, opts: o, places: newPlaces(o.Streams), breaker: newBreaker(&o)}
	g.models = models{opts: &g.opts, byID: make(map[chat.ModelID]*model)}
	o.Metrics.add(g)
	return g
}

// Health returns how the provider fares.
func (g *Guard) Health() chat.Health {
	state, retryAt := g.breaker.state()
	return chat.Health{Provider: g.opts.Shown, State: state, RetryAt: retryAt}
}

// HealthOf returns how one model fares, by the provider's own name for it.
func (g *Guard) HealthOf(id chat.ModelID) chat.Health { return g.health(g.models.find(id)) }

// health is that of the provider, unless that is well and the model is left
// alone. The model may be nil.
func (g *Guard) health(m *model) chat.Health {
	h := g.Health()
	if m != nil && h.State == chat.ProviderClosed {
		h.State, h.RetryAt = m.breaker.state()
	}
	return h
}

// Stream asks provider and yields its answer, as [Provider] does. Hurried is
// for those who would rather ask another model than wait for one that is busy.
//
// Deltas without text may come before the answer: with Retrying when the
// request is made again, and with Health when that is not [chat.ProviderClosed]
// or has changed meanwhile. The last one may come before an error.
func (g *Guard) Stream(ctx context.Context, provider Provider, p chat.Prompt, hurried bool) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		r := request{
			Guard: g, model: g.models.use(p.Model), ctx: ctx, provider: provider, prompt: p, yield: yield, hurried: hurried,
			start: time.Now(), told: chat.ProviderClosed,
		}
		defer g.models.release(r.model)
		defer r.leaveLine()
		if err := r.run(); err != nil && !r.left {
			yield(chat.Delta{}, err)
		}
	}
}

// place waits until the provider may be asked once more at once.
func (g *Guard) place(ctx context.Context, user chat.UserID) (leave func(), err error) {
	limited, cancel := context.WithTimeout(ctx, g.opts.Wait)
	defer cancel()
	switch err := g.places.take(limited, user); {
	case err == nil:
		g.inFlight.Add(1)
		return func() { g.inFlight.Add(-1); g.places.leave(user) }, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	g.opts.Metrics.request(g.name, outcomeCrowded)
	return nil, chat.Refuse(chat.CodeProviderTimeout,
		fmt.Sprintf("%s is busy: it answers %d others, and none of them was done within %s", g.opts.Shown, g.opts.Streams, g.opts.Wait))
}

// refusal says why a breaker lets nothing through to a model.
func (g *Guard) refusal(m *model) error {
	g.opts.Metrics.request(g.name, outcomeRefused)
	h, who := g.Health(), g.opts.Shown+" has failed"
	if m != nil && h.State == chat.ProviderClosed {
		h, who = g.health(m), "this model of "+g.opts.Shown+" has failed"
	}
	if h.State != chat.ProviderOpen {
		return chat.Refuse(chat.CodeProviderError, who+" too often; whether it answers again is being tried")
	}
	return chat.Refuse(chat.CodeProviderError, fmt.Sprintf("%s too often; it will be asked again in %s, at %s",
		who, time.Until(h.RetryAt).Round(time.Second), chat.Timestamp(h.RetryAt)))
}
