package limit

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// Tries limit how often a password may be tried: for one user, and from one address. They
// may be used from any goroutine.
type Tries struct {
	PerMinute int

	mu      sync.Mutex
	buckets map[any]*rate.Limiter // by user or network
}

// maxTries is how many users and networks are remembered; past it the full buckets are
// forgotten.
const maxTries = 10_000

// Take returns the refusal if there were too many.
func (t *Tries) Take(u chat.UserID, remote string) *chat.Error {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	var wait time.Duration
	for _, key := range []any{u, origin.Neighbourhood(remote)} {
		if network, ok := key.(netip.Prefix); ok && !network.IsValid() {
			continue
		}
		b, ok := t.buckets[key]
		if !ok {
			b = rate.NewLimiter(rate.Limit(float64(t.PerMinute)/60), t.PerMinute)
			t.buckets[key] = b
		}
		if r := b.ReserveN(now, 1); r.DelayFrom(now) > 0 {
			wait = max(wait, r.DelayFrom(now))
			r.CancelAt(now)
		}
	}
	if wait == 0 {
		return nil
	}
	refusal := chat.Refuse(chat.CodeRateLimited, "there were too many tries: wait a little")
	refusal.RetryAfter = int(math.Ceil(wait.Seconds()))
	return refusal
}

func (t *Tries) sweep(now time.Time) {
	if t.buckets == nil {
		t.buckets = make(map[any]*rate.Limiter)
	}
	if len(t.buckets) < maxTries {
		return
	}
	for key, b := range t.buckets {
		if b.TokensAt(now) >= float64(t.PerMinute) {
			delete(t.buckets, key)
		}
	}
}
