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

// minSweep is how many buckets there are before any is forgotten.
const minSweep = 1024

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
	taken := make([]*rate.Reservation, 0, 3)
	wait := time.Duration(0)
	take := func(k key, perSecond int) {
		if perSecond > 0 {
			b := l.bucket(k, perSecond, now)
			r := b.ReserveN(now, min(max(1, (bytes+Unit-1)/Unit), b.Burst()))
			wait = max(wait, r.DelayFrom(now))
			taken = append(taken, r)
		}
	}
	home := origin.Neighbourhood(remote)
	take(key{address: home}, l.rates.Address)
	if wait > 0 {
		l.warn(home, now)
	}
	switch {
	case user.IsGuest():
		take(key{user: user}, l.rates.Guest)
	case user != "":
		take(key{user: user}, l.rates.User)
		take(key{user: user, event: event}, l.rates.Event)
	}
	if wait == 0 {
		return nil
	}
	for _, r := range taken {
		r.CancelAt(now)
	}
	return refusal(wait)
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

func (l *Limiter) bucket(k key, perSecond int, now time.Time) *rate.Limiter {
	if b, ok := l.buckets[k]; ok {
		return b
	}
	if len(l.buckets) >= l.sweepAt {
		l.sweep(now)
	}
	const seconds = int(Burst / time.Second)
	b := rate.NewLimiter(rate.Limit(perSecond), min(perSecond, math.MaxInt/seconds)*seconds)
	l.buckets[k] = b
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
