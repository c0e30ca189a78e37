package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A request is one prompt on its way through a guard.
type request struct {
	*Guard
	model    *model
	ctx      context.Context
	provider Provider
	prompt   chat.Prompt
	yield    func(chat.Delta, error) bool
	hurried  bool

	start time.Time
	begun bool               // some of the answer was yielded
	left  bool               // the consumer has enough
	told  chat.ProviderState // what the consumer knows of the provider

	ticket *ticket // nil unless the request is in line
	busy   error   // how the provider refused it last
	vain   int     // refusals by a provider that was not busy with us
}

// run asks until the provider answers, or asking again cannot help.
func (r *request) run() error {
	for retries := 0; ; {
		if err := r.await(); err != nil || r.left {
			return err
		}
		err := r.ask()
		r.tell()
		if err == nil || r.left {
			return err
		}
		if r.isBusy(err) {
			if r.queues(err) {
				continue
			}
			return r.final(err)
		}
		r.leaveLine()
		pause, again := r.pause(err, retries)
		if !again {
			return r.final(err)
		}
		retries++
		r.opts.Metrics.retry(r.name)
		if !r.say(chat.Delta{Retrying: chat.AsError(err)}) {
			return nil
		}
		if err := sleep(r.ctx, pause); err != nil {
			return err
		}
	}
}

// ask makes one request, if the breakers and the others let it.
func (r *request) ask() (err error) {
	if r.breaker.refuses() || r.model.breaker.refuses() {
		return r.refusal(r.model)
	}
	leave, err := r.place(r.ctx, r.prompt.User)
	if err != nil {
		return err
	}
	defer leave()
	r.model.inFlight.Add(1)
	defer r.model.inFlight.Add(-1)
	defer r.model.line.start(r.prompt.User)()
	p, ok := r.allow()
	if !ok {
		return r.refusal(r.model)
	}
	v, outcome := none, outcomeStopped
	defer func() { // also when the consumer panics
		r.model.breaker.report(p.model, v.ofModel())
		r.note(r.breaker.report(p.provider, v), err)
		r.opts.Metrics.request(r.name, outcome)
		if outcome != outcomeBusy {
			r.model.line.ended()
		}
	}()
	if !r.tell() {
		return nil
	}
	if err = r.pass(p); !r.left {
		v, outcome = judge(r.ctx, err, r.begun)
		v = r.well.blame(v, err, r.model.id, r.opts.FailureSpan)
	}
	return err
}

// permits let one request through both breakers.
type permits struct{ provider, model permit }

// allow lets a request through, which then has to be reported, or refuses it.
func (r *request) allow() (p permits, ok bool) {
	if p.provider, ok = r.breaker.allow(); !ok {
		return p, false
	}
	if p.model, ok = r.model.breaker.allow(); !ok {
		r.breaker.report(p.provider, none)
	}
	return p, ok
}

// note logs that the breaker has changed its state, because of err.
func (g *Guard) note(changed bool, err error) {
	h := g.Health()
	switch {
	case !changed:
	case h.State == chat.ProviderClosed:
		g.opts.Logger.Info("provider answers again", "provider", g.name)
	default:
		g.opts.Logger.Warn("provider is left alone", "provider", g.name, "for", g.opts.CoolDown, "err", err)
	}
}

// pass yields the answer as it comes.
func (r *request) pass(p permits) error {
	asked := time.Now()
	defer r.try()()
	for d, err := range r.provider.Stream(r.ctx, r.prompt) {
		if err != nil {
			return err
		}
		r.accepted()
		if !r.begun && d.Answers() {
			r.begun = true
			r.model.breaker.answers(p.model)
			if r.breaker.answers(p.provider) {
				r.opts.Logger.Info("provider answers again", "provider", r.name)
			}
			r.opts.Metrics.firstToken(r.name, time.Since(asked))
			if !r.tell() {
				return nil
			}
		}
		if !r.say(d) {
			return nil
		}
	}
	return nil
}

// say yields d and reports whether the consumer wants more.
func (r *request) say(d chat.Delta) bool {
	r.left = r.left || !r.yield(d, nil)
	return !r.left
}

// tell yields how the provider fares, if that is news.
func (r *request) tell() bool {
	h := r.health(r.model)
	if h.State == r.told || r.left {
		return !r.left
	}
	r.told = h.State
	return r.say(chat.Delta{Health: &h})
}

// judge says what the end of a request says about the provider. Begun means that
// some of the answer had come.
func judge(ctx context.Context, err error, begun bool) (verdict, outcome) {
	if err == nil {
		return good, outcomeCompleted
	}
	if ctx.Err() != nil {
		return none, outcomeStopped
	}
	var f *upstream.Failure
	switch {
	case !errors.As(err, &f):
		return none, outcomeFailed // not the provider's
	case f.Busy:
		return good, outcomeBusy
	case f.Err.Code == chat.CodeProviderTimeout && !begun && !f.Retryable:
		return fault, outcomeTimeout
	case f.Err.Code == chat.CodeProviderTimeout:
		return bad, outcomeTimeout
	case f.Retryable:
		return bad, outcomeFailed
	case f.Unanswered:
		return none, outcomeFailed
	}
	return good, outcomeFailed
}

// pause returns how long to wait before the request is made again after err,
// if that can help.
func (r *request) pause(err error, retries int) (d time.Duration, again bool) {
	var f *upstream.Failure
	if r.begun || r.ctx.Err() != nil || retries >= r.opts.Retries || !errors.As(err, &f) || !f.Retryable ||
		f.RetryAfter > r.opts.RetryBudget { // also centuries, which would overflow what follows
		return 0, false
	}
	d = f.Pause(retries, r.opts.RetryDelay, maxRetryDelay)
	h := r.health(r.model)
	stays := h.State == chat.ProviderOpen && h.RetryAt.After(time.Now().Add(d))
	return d, !stays && time.Since(r.start)+d <= r.opts.RetryBudget
}

// final is err as the caller gets it: with the time that the provider wants to
// be left alone.
func (r *request) final(err error) error {
	var f *upstream.Failure
	if !errors.As(err, &f) || f.RetryAfter <= 0 || strings.Contains(f.Err.Message, "retry after") {
		return err
	}
	said := *f
	said.Err = chat.Refuse(f.Err.Code, fmt.Sprintf("%s (retry after %s)", f.Err.Message, f.RetryAfter))
	return &said
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
