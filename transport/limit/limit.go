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

// minSweep is how many buckets there are before any is forgotten. Those of users who ask for
// little are full again soon, so forgetting them costs more than to keep 200 bytes for each.
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
	home := origin.Neighbourhood(remote)
	pays := [3]payment{l.payment(key{address: home}, l.rates.Address, bytes, now)}
	if pays[0].wait(now) > 0 {
		l.warn(home, now)
	}
	switch {
	case user.IsGuest():
		pays[1] = l.payment(key{user: user}, l.rates.Guest, bytes, now)
	case user != "":
		pays[1] = l.payment(key{user: user}, l.rates.User, bytes, now)
		pays[2] = l.payment(key{user: user, event: event}, l.rates.Event, bytes, now)
	}
	if wait := max(pays[0].wait(now), pays[1].wait(now), pays[2].wait(now)); wait > 0 {
		return refusal(wait)
	}
	for _, p := range pays {
		p.take(now)
	}
	return nil
}

// A payment is what an event takes from one bucket. Without a bucket it is nothing.
// A rate.Reservation could be taken back, but is allocated for each event and bucket.
type payment struct {
	bucket *rate.Limiter
	tokens int
}

func (l *Limiter) payment(k key, perSecond, bytes int, now time.Time) payment {
	if perSecond == 0 {
		return payment{}
	}
	b := l.bucket(k, perSecond, now)
	return payment{b, min(max(1, (bytes+Unit-1)/Unit), b.Burst())}
}

// wait returns how long it takes until the bucket can pay.
func (p payment) wait(now time.Time) time.Duration {
	if p.bucket == nil {
		return 0
	}
	missing := float64(p.tokens) - p.bucket.TokensAt(now)
	return max(0, time.Duration(missing/float64(p.bucket.Limit())*float64(time.Second)))
}

func (p payment) take(now time.Time) {
	if p.bucket != nil {
		p.bucket.AllowN(now, p.tokens)
	}
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
