package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// await waits, if others wait for the model or the provider has refused this
// request, until it may be made. It returns how the request ends instead.
func (r *request) await() error {
	l := r.model.line
	switch {
	case r.hurried || r.busy == nil && l.empty():
		return nil
	case r.busy == nil && !r.say(chat.Delta{Retrying: chat.Refuse(chat.CodeProviderError, r.opts.Shown+" is busy; others wait for it too")}):
		return nil
	}
	if r.ticket == nil {
		r.ticket = l.join(r.prompt.User, r.start)
	}
	limit := time.NewTimer(time.Until(r.limit()))
	defer limit.Stop()
	select {
	case <-r.ticket.turn:
	case <-limit.C:
		return r.waited()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	due, told := l.pause()
	if due.After(r.limit()) && told {
		return r.waited()
	}
	freed := l.freed
	if told {
		freed = nil
	}
	pause := time.NewTimer(time.Until(due))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-freed:
	case <-limit.C:
		return r.waited()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	return nil
}

// limit is until when the request may wait in line.
func (r *request) limit() time.Time { return r.start.Add(r.opts.Wait) }

// waited is the failure of a request for which the provider was busy too long.
func (r *request) waited() error {
	if r.busy != nil {
		return r.final(r.busy)
	}
	r.opts.Metrics.request(r.name, outcomeCrowded)
	return chat.Refuse(chat.CodeProviderTimeout, fmt.Sprintf("%s is busy: this has waited %s for its turn", r.opts.Shown, time.Since(r.start).Round(time.Second)))
}

// isBusy reports whether err says that the provider is busy, and the request may wait.
func (r *request) isBusy(err error) bool {
	f, ok := errors.AsType[*upstream.Failure](err)
	return ok && f.Busy && !r.hurried && !r.begun && r.ctx.Err() == nil
}

// queues reports whether the request, which the provider was too busy for, waits
// in line for another try. While it gives answers to us one of them will end; if
// it gives none, it is asked again no more often than one that fails.
func (r *request) queues(err error) bool {
	f, _ := errors.AsType[*upstream.Failure](err)
	if r.model.inFlight.Load() == 0 {
		r.vain++
	}
	if r.vain > max(0, r.opts.Retries) || time.Until(r.limit()) < f.RetryAfter {
		return false
	}
	tried := r.ticket != nil
	if tried && !r.model.line.tries(r.ticket) { // it was refused so late that it has lost its turn
		r.ticket = nil
	}
	r.busy = err
	r.model.line.refused(f, tried, r.opts)
	r.opts.Metrics.retry(r.name)
	r.say(chat.Delta{Retrying: chat.AsError(err)})
	return true
}

// try notes that the request is made. A provider that is busy says so at once, so
// the next in line does not wait for the first word of this one. The caller calls
// taken when the provider has taken the request or the request has ended.
func (r *request) try() (taken func()) {
	l, t := r.model.line, r.ticket
	if t == nil {
		return func() {}
	}
	timer := time.AfterFunc(r.opts.RetryDelay, func() { l.accepted(); l.leave(t) })
	return func() { timer.Stop() }
}

// accepted notes that the provider has taken the request.
func (r *request) accepted() {
	if r.ticket != nil {
		r.model.line.accepted()
		r.leaveLine()
	}
}

// leaveLine has the next in line try.
func (r *request) leaveLine() {
	if r.ticket != nil {
		r.model.line.leave(r.ticket)
		r.ticket = nil
	}
}
