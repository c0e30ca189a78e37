// Package limit limits how often clients may ask for something.
//
//	event or request → Limiter.Take(user, address, event, bytes) → nil, or rate_limited and how long to wait
//
// There is a bucket for each user, for each address and for each kind of event of each
// user. What is asked for takes a token from each of its buckets, or none if one of them
// is empty. What is long takes more tokens, since the disk has one line for all users. A
// bucket that nobody has used for long is full, and is forgotten.
//
//	event or request → Limiter.Begin(user, bytes) → how long to wait → … → Limiter.End(user)
//
// A full bucket lets much through at once, so users who are there together have a pace
// besides.
package limit

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// Burst is how long a client must have been silent to ask for all that it may at once:
// a bucket holds what its rate fills in this time.
const Burst = 10 * time.Second

// Unit is how many bytes of an event or a request one token pays for.
const Unit = 4 << 10

// Rates are how many events there may be in a second. Zero means any number.
type Rates struct {
	User    int // of one user, on all connections and over HTTP
	Address int // from one address, or one IPv6 network of 64 bits
	Event   int // of one user and one kind
	Guest   int // of a guest, instead of User and Event
}

// A Limiter keeps the buckets. Its methods may be called from any goroutine.
type Limiter struct {
	rates Rates
	log   *slog.Logger

	mu      sync.Mutex
	warned  time.Time // when the operator was told last of an address
	buckets map[key]*rate.Limiter
	sweepAt int // number of buckets at which the full ones are forgotten
	paces   paces
}

// A key names a bucket: of an address, of a user, or of an event of a user.
type key struct {
	address netip.Prefix
	user    chat.UserID
	event   string
}

// minSweep is how many buckets there are before any is forgotten. They take about 200 bytes
// each: it is cheaper to keep those of two thousand users than to make them anew.
const minSweep = 4096

// warnEvery is how often the operator is told of an address at most.
const warnEvery = time.Minute

// New returns a Limiter. It logs which addresses send too much, since one of them may be
// a proxy with many users behind it. A nil log discards.
func New(r Rates, log *slog.Logger) *Limiter {
	return &Limiter{rates: r, log: cmp.Or(log, slog.New(slog.DiscardHandler)), buckets: make(map[key]*rate.Limiter), sweepAt: minSweep,
		paces: paces{users: make(map[chat.UserID]*pace), sweepAt: minSweep}}
}

// Take takes the tokens for an event of so many bytes, of a user whose address is remote,
// an [http.Request.RemoteAddr]. An unknown user is "". If there are too few left Take
// returns the refusal, which says when to try again. A full bucket pays for any event. The
// event must be one of few names, and not chosen by the client.
func (l *Limiter) Take(user chat.UserID, remote, event string, bytes int) *chat.Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // never earlier than that of the call before: the buckets would fill twice
	if len(l.buckets) >= l.sweepAt {
		l.sweep(now)
	}
	home := origin.Neighbourhood(remote)
	from := [...]*rate.Limiter{l.bucket(key{address: home}, l.rates.Address), nil, nil}
	switch {
	case user.IsGuest():
		from[1] = l.bucket(key{user: user}, l.rates.Guest)
	case user != "":
		from[1], from[2] = l.bucket(key{user: user}, l.rates.User), l.bucket(key{user: user, event: event}, l.rates.Event)
	}
	tokens, wait := max(1, (bytes+Unit-1)/Unit), time.Duration(0)
	for i, b := range from {
		if w := delay(b, tokens, now); w > 0 {
			wait = max(wait, w)
			if i == 0 {
				l.warn(home, now)
			}
		}
	}
	if wait > 0 {
		return refusal(wait)
	}
	for _, b := range from {
		if b != nil {
			b.AllowN(now, min(tokens, b.Burst()))
		}
	}
	return nil
}

// delay returns how long it takes until the bucket has so many tokens, or is full.
func delay(b *rate.Limiter, tokens int, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	missing := float64(min(tokens, b.Burst())) - b.TokensAt(now)
	return time.Duration(math.Ceil(missing / float64(b.Limit()) * float64(time.Second)))
}

func (l *Limiter) warn(home netip.Prefix, now time.Time) {
	if !l.warned.IsZero() && now.Sub(l.warned) < warnEvery {
		return
	}
	l.warned = now
	l.log.Warn("requests refused: one address sends more than max-address-rate allows; if it is a proxy, name it in trusted-proxies", "address", home)
}

func refusal(wait time.Duration) *chat.Error {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	e := chat.Refuse(chat.CodeRateLimited, fmt.Sprintf("too many requests; try again in %d s", seconds))
	e.RetryAfter = seconds
	return e
}

// bucket returns nil if there is no limit.
func (l *Limiter) bucket(k key, perSecond int) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	b := l.buckets[k]
	if b == nil {
		const seconds = int(Burst / time.Second)
		b = rate.NewLimiter(rate.Limit(perSecond), min(perSecond, math.MaxInt/seconds)*seconds)
		l.buckets[k] = b
	}
	return b
}

// sweep forgets the buckets that are full. A new one is too.
func (l *Limiter) sweep(now time.Time) {
	for k, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, k)
		}
	}
	l.sweepAt = max(minSweep, 2*len(l.buckets))
}
