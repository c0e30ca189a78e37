package upstream

import (
	"context"
	"errors"
	"time"
)

var errSilent = errors.New("upstream: nothing came in time")

// A watchdog ends a request, by cancelling ctx, when nothing came for as long
// as it was told to allow. It has no goroutine while it waits.
type watchdog struct {
	parent context.Context // the caller's
	ctx    context.Context // the request's
	cancel context.CancelCauseFunc
	timer  *time.Timer
	since  time.Time // the last allow
}

func newWatchdog(parent context.Context, d time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &watchdog{parent, ctx, cancel, time.AfterFunc(d, func() { cancel(errSilent) }), time.Now()}
}

// allow starts to wait anew, for d.
func (w *watchdog) allow(d time.Duration) {
	w.since = time.Now()
	w.timer.Reset(d)
}

// extend waits for d from now, but in all, since the last allow, no longer than most.
func (w *watchdog) extend(d, most time.Duration) {
	if left := most - time.Since(w.since); left > 0 {
		w.timer.Reset(min(d, left))
	}
}

// rest waits for nothing until the next allow.
func (w *watchdog) rest() { w.timer.Stop() }

// stop ends the request.
func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// barked reports whether the watchdog ended the request.
func (w *watchdog) barked() bool { return context.Cause(w.ctx) == errSilent }

// explain returns why the request failed with err: because its caller went,
// because nothing came, or err itself.
func (w *watchdog) explain(err error) error {
	switch {
	case w.parent.Err() != nil:
		return context.Cause(w.parent)
	case w.barked():
		return late(nil)
	}
	return err
}
