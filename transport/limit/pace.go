package limit

import (
	"context"
	"maps"
	"time"

	"parlor/protocol/chat"
)

// The buckets let a user ask for ten seconds' worth at once. While another user is there,
// that is spread over time: the other one would wait behind all of it. A user who asks for
// one short thing after the other needs no pace: both users take turns anyway.
const (
	// ahead is how many tokens a user may be ahead of the pace: a page that opens asks for
	// several things.
	ahead = 20

	// paceUnit is how many bytes one token pays for here. A long event keeps the processor
	// and the disk busy for several milliseconds, in which others wait.
	paceUnit = 512

	// maxCost is how long one event can delay the next one of its user.
	maxCost = time.Second

	// maxDelay is how long any event can be delayed.
	maxDelay = Burst

	// few is how many users may ask for much at once with the same pace for each. If there
	// are more of them, each has less of the server anyway, and the pace is faster.
	few = 10
)

// paces are those of all users who have something under way, or have used up their pace.
type paces struct {
	users   map[chat.UserID]*pace
	sweepAt int // number of users at which the others are forgotten
	crowd   crowd

	// The user who has asked last, and the last one before who is another.
	last, other asked
}

// A crowd is the users with more than one event under way. Events often end together, so
// the largest crowd of about a second counts.
type crowd struct {
	users, most int
	since       time.Time // when most was counted anew
}

func (c *crowd) largest(now time.Time) int {
	if now.Sub(c.since) > time.Second {
		c.most, c.since = 0, now
	}
	c.most = max(c.most, c.users)
	return c.most
}

type pace struct {
	underWay int       // events
	even     time.Time // until when the pace is used up
}

type asked struct {
	user chat.UserID
	at   time.Time
}

// Begin begins an event of a user, of so many bytes. It returns how long the event has to
// wait for the user's turn. Nothing waits if no other user has asked for anything lately.
// Each event has to be ended.
func (l *Limiter) Begin(user chat.UserID, bytes int) (wait time.Duration) {
	if user == "" || l.rates.User == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	p := l.paces.of(user, now)
	if p.underWay++; p.underWay == 2 {
		l.paces.crowd.users++
	}
	if l.paces.alone(user, now) {
		return 0
	}
	tokens := bytes / paceUnit
	if p.underWay > 1 {
		tokens++
	}
	interval := time.Second / time.Duration(l.rates.User)
	return p.turn(now, tokens, interval/time.Duration(max(1, l.paces.crowd.largest(now)/few)))
}

// Charge makes the next event of a user wait as it would behind one of so many bytes. It
// is for what costs others more than the event that caused it.
func (l *Limiter) Charge(user chat.UserID, bytes int) {
	l.Begin(user, bytes)
	l.End(user)
}

// End ends an event that has begun.
func (l *Limiter) End(user chat.UserID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.paces.users[user]
	if p == nil { // without a rate nothing is counted
		return
	}
	if p.underWay--; p.underWay == 1 {
		l.paces.crowd.users--
	}
}

// Wait begins an event and waits for the user's turn. The event ends with ctx.
func (l *Limiter) Wait(ctx context.Context, user chat.UserID, bytes int) {
	wait := l.Begin(user, bytes)
	context.AfterFunc(ctx, func() { l.End(user) })
	if wait <= 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

func (p *paces) of(user chat.UserID, now time.Time) *pace {
	if of := p.users[user]; of != nil {
		return of
	}
	if len(p.users) >= p.sweepAt {
		maps.DeleteFunc(p.users, func(_ chat.UserID, of *pace) bool { return of.underWay == 0 && of.even.Before(now) })
		p.sweepAt = max(minSweep, 2*len(p.users))
	}
	of := new(pace)
	p.users[user] = of
	return of
}

// alone notes that the user asks, and reports whether nobody else has lately.
func (p *paces) alone(user chat.UserID, now time.Time) bool {
	if p.last.user != user {
		p.other = p.last
	}
	p.last = asked{user, now}
	return p.other.at.IsZero() || now.Sub(p.other.at) > Burst
}

// turn takes tokens, of which there is a new one after each interval.
func (p *pace) turn(now time.Time, tokens int, interval time.Duration) (wait time.Duration) {
	if p.even.Before(now) {
		p.even = now
	}
	wait = max(0, p.even.Sub(now)-ahead*interval)
	p.even = p.even.Add(min(time.Duration(tokens)*interval, maxCost))
	if latest := now.Add(maxDelay); p.even.After(latest) {
		p.even = latest
	}
	return wait
}
