package guard

import (
	"sync"
	"time"

	"parlor/protocol/chat"
)

// A verdict is what one request says about its provider.
type verdict int

const (
	none  verdict = iota // nothing: the caller left before it was known
	good                 // it answers, if only to refuse
	bad                  // it is out of order
	fault                // of the model that was asked, and not of the provider
)

// ofModel is what the verdict says about the model that was asked, for the
// breaker of that model alone.
func (v verdict) ofModel() verdict {
	switch v {
	case fault:
		return bad
	case good:
		return good
	}
	return none
}

// A permit lets one request through. It means nothing any more once the
// breaker has changed its state.
type permit struct{ era int }

// A breaker stops requests to a provider that keeps failing.
//
//	closed ── so many failures in a row ──→ open ── after the cool-down ──→ half-open
//	   ↑                                     ↑────── the probe fails ──────────┤
//	   └──────────────────── the probe is answered ────────────────────────────┘
//
// It is our own because requests are long: the usual libraries forget, with
// the count of an interval, also the requests that began in it, and a provider
// that hangs is found out only after an interval.
//
// All methods may be called from any goroutine; none waits.
type breaker struct {
	limit    int           // failures in a row; negative is never
	window   time.Duration // in which they have to fall
	coolDown time.Duration

	mu       sync.Mutex
	era      int         // counts changes of the state
	failures []time.Time // in a row, while closed
	open     bool        // or half-open
	probing  bool        // the one request of half-open is under way
	retryAt  time.Time   // the end of the cool-down
}

func newBreaker(o *Options) breaker {
	return breaker{limit: o.Failures, window: o.FailureSpan, coolDown: o.CoolDown}
}

// blameless reports whether there is nothing to remember.
func (b *breaker) blameless() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open && len(b.failures) == 0
}

// state returns how the provider fares.
func (b *breaker) state() (s chat.ProviderState, retryAt time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return chat.ProviderClosed, time.Time{}
	case b.probing, !time.Now().Before(b.retryAt):
		return chat.ProviderHalfOpen, time.Time{}
	}
	return chat.ProviderOpen, b.retryAt
}

// refuses reports whether a request would not be let through now.
func (b *breaker) refuses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusesLocked()
}

func (b *breaker) refusesLocked() bool {
	return b.open && (b.probing || time.Now().Before(b.retryAt))
}

// allow lets a request through, which then has to be reported, or refuses it.
func (b *breaker) allow() (p permit, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusesLocked() {
		return permit{}, false
	}
	b.probing = b.open
	return permit{b.era}, true
}

// answers reports the first word of an answer, which is all that half-open
// waits for. What is good in the long run is said at the end. It returns
// whether the state has changed.
func (b *breaker) answers(p permit) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || p.era != b.era {
		return false
	}
	b.close()
	return true
}

// report says how a request went. It returns whether the state has changed. The fault of
// one model does not open the breaker of its provider, but nor does it close it.
func (b *breaker) report(p permit, v verdict) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	era := b.era
	switch {
	case p.era != b.era: // it was let through in another state
	case v == none, v == fault && !b.open:
		b.probing = false
	case v == good && b.open:
		b.close()
	case v == good:
		b.failures = b.failures[:0]
	case b.open:
		b.trip()
	default:
		b.count()
	}
	return b.era != era
}

// count adds a failure to those in a row.
func (b *breaker) count() {
	if b.limit < 0 {
		return
	}
	now := time.Now()
	for len(b.failures) > 0 && now.Sub(b.failures[0]) > b.window {
		b.failures = b.failures[1:]
	}
	b.failures = append(b.failures, now)
	if len(b.failures) >= b.limit {
		b.trip()
	}
}

func (b *breaker) trip() {
	b.era++
	b.open, b.probing, b.failures = true, false, nil
	b.retryAt = time.Now().Add(b.coolDown)
}

func (b *breaker) close() {
	b.era++
	b.open, b.probing, b.failures = false, false, nil
}
