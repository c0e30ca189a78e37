// Package ledger knows how much of their budgets people have left.
//
//	usage of the file → New → counters
//	room: a turn begins → Open → Meter ─ Add, for each piece of an answer ─ over → the turn ends
//	                                        └ a limit is crossed → over, of all turns under that budget
//	room: its end is recorded → Close, Record → counters
//
// # What counts
//
// A counter holds what the file says of a period, and what the running turns
// have used so far, by estimate. When the end of a turn is recorded its
// estimate makes way for what it really used, so that the counters say after a
// restart what they said before. A turn that began in one period and ends in
// another counts where it ends.
//
// # What it costs
//
// Which counters a turn moves is found when it begins. Each piece of its answer
// then costs an atomic addition for each of them.
package ledger

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Ledger keeps the counters. Its methods may be called from any goroutine. A
// nil Ledger knows no budgets.
type Ledger struct {
	budgets []Budget
	oneName func(chat.ModelID) chat.ModelID

	mu       sync.Mutex
	counters map[counterKey]*counter
	swept    time.Time // when counters of the past were last let go
}

// sweepEvery is how long counters of the past stay at least.
const sweepEvery = time.Hour

// An Account is who is charged for a turn, and where.
type Account struct {
	User  chat.UserID
	Room  chat.RoomID
	Model chat.ModelID
}

// counterKey says what a counter counts: what a budget leaves open is empty.
type counterKey struct {
	budget int
	of     Account
	begin  int64 // of the period, in Unix seconds
}

// counter is what is used of a budget in a period.
type counter struct {
	used  atomic.Int64
	limit int64
	end   time.Time // of the period; zero if it has none
	why   *chat.Error

	running map[*Meter]bool // under Ledger.mu
}

func (c *counter) spent() bool { return c.used.Load() >= c.limit }

// New returns a ledger of budgets, which are valid, that begins with what was
// used before. It is nil, and reads nothing, if there are no budgets. A model
// may be asked by several names: oneName returns the one that counts.
func New(budgets []Budget, used iter.Seq2[persistence.Charge, error], oneName func(chat.ModelID) chat.ModelID) (*Ledger, error) {
	if len(budgets) == 0 {
		return nil, nil
	}
	now := time.Now()
	l := &Ledger{budgets: slices.Clone(budgets), oneName: oneName, counters: make(map[counterKey]*counter), swept: now}
	for i := range l.budgets {
		b := &l.budgets[i]
		b.Model = string(oneName(chat.ModelID(b.Model)))
	}
	for charge, err := range used {
		if err != nil {
			return nil, fmt.Errorf("read what was used of the budgets: %w", err)
		}
		l.add(charge, now)
	}
	return l, nil
}

// add counts what is in the file, as far as it is of the periods that now is in.
func (l *Ledger) add(c persistence.Charge, now time.Time) {
	a := Account{chat.UserID(c.User), chat.RoomID(c.Room), chat.ModelID(c.Model)}
	for _, counter := range l.of(a, c.Hour.Time(), now) {
		l.charge(counter, int64(c.Tokens()))
	}
}

// of returns the counters of the account in the periods that both at and now
// are in.
func (l *Ledger) of(a Account, at, now time.Time) (counters []*counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	a.Model = l.oneName(a.Model)
	for i, b := range l.budgets {
		if !b.covers(a) {
			continue
		}
		begin, end := b.Period.around(at)
		if !end.IsZero() && !end.After(now) {
			continue // a file may tell of years
		}
		key := counterKey{i, b.part(a), begin.Unix()}
		c := l.counters[key]
		if c == nil {
			c = &counter{limit: b.Tokens, end: end, why: b.refusal(), running: make(map[*Meter]bool)}
			l.counters[key] = c
		}
		counters = append(counters, c)
	}
	return counters
}

// sweep lets counters go whose period is over, now and then.
func (l *Ledger) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for key, c := range l.counters {
		if !c.end.IsZero() && !c.end.After(now) && len(c.running) == 0 {
			delete(l.counters, key)
		}
	}
}

// Check returns why the account has nothing left, or nil.
func (l *Ledger) Check(a Account) *chat.Error {
	if l == nil {
		return nil
	}
	now := time.Now()
	for _, c := range l.of(a, now, now) {
		if c.spent() {
			return c.why
		}
	}
	return nil
}

// Record counts what was recorded of turns that have ended.
func (l *Ledger) Record(charges []persistence.Charge) {
	if l == nil {
		return
	}
	now := time.Now()
	for _, c := range charges {
		l.add(c, now)
	}
}

// charge adds to a counter, and if that crosses its limit has all turns under
// it end.
func (l *Ledger) charge(c *counter, tokens int64) (over bool) {
	used := c.used.Add(tokens)
	if used <= c.limit {
		return false
	}
	if used-tokens <= c.limit {
		l.crossed(c)
	}
	return true
}

// crossed tells the turns that run under a counter. One that opens its Meter
// at this moment either finds the counter spent, or is among them.
func (l *Ledger) crossed(c *counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range c.running {
		m.over(c.why)
	}
}

// A Meter counts what one running turn uses. Add may be called from any
// goroutine, also at once; whoever opened the Meter closes it. A nil Meter
// counts nothing.
type Meter struct {
	ledger   *Ledger
	over     func(*chat.Error)
	counters []*counter
	tokens   atomic.Int64
	closed   atomic.Bool
}

// Open begins to count a turn, or says why nothing is left for it. over is
// called when a budget that the turn is under is crossed, by whichever turn; it
// must only send a message, and may be called once more after Close.
func (l *Ledger) Open(a Account, over func(*chat.Error)) (*Meter, *chat.Error) {
	if l == nil {
		return nil, nil
	}
	now := time.Now()
	m := &Meter{ledger: l, over: over, counters: l.of(a, now, now)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range m.counters {
		if c.spent() {
			return nil, c.why
		}
	}
	for _, c := range m.counters {
		c.running[m] = true
	}
	return m, nil
}

// Add counts some tokens more, and returns why the turn has to end, or nil.
func (m *Meter) Add(tokens int) *chat.Error {
	if m == nil || m.closed.Load() {
		return nil
	}
	m.tokens.Add(int64(tokens))
	var why *chat.Error
	for _, c := range m.counters {
		if m.ledger.charge(c, int64(tokens)) {
			why = c.why
		}
	}
	if m.closed.Load() { // meanwhile
		m.takeBack()
	}
	return why
}

// Close takes back what was added and ends the counting. It may be called
// again.
func (m *Meter) Close() {
	if m == nil || m.closed.Swap(true) {
		return
	}
	m.takeBack()
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	for _, c := range m.counters {
		delete(c.running, m)
	}
}

// takeBack takes out of the counters what was added and not taken back yet.
func (m *Meter) takeBack() {
	tokens := m.tokens.Swap(0)
	for _, c := range m.counters {
		c.used.Add(-tokens)
	}
}
