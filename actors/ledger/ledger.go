// Package ledger counts tokens against budgets.
//
//	usage of the file → New → counters
//	room: a turn begins → Open → Meter ─ Add, for each piece of an answer ─ over → the turn ends
//	                                        └ it crosses a limit → over is called for all turns under that budget
//	room: its end is recorded → Close, Record → counters
//
// # What counts
//
// A counter is the sum of what the file says of a period and what the running
// turns have used so far, by estimate. When the end of a turn is recorded, its
// real use replaces the estimate. So the counters are the same before and after
// a restart. A turn that runs from one period into the next counts in the
// second.
//
// # What it costs
//
// The ledger finds the counters of a turn once, when the turn begins. Each piece
// of the answer then costs one atomic addition for each counter.
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

// A Ledger holds the counters. Its methods may be called from any goroutine. A
// nil Ledger has no budgets, and refuses nothing.
type Ledger struct {
	budgets []Budget
	oneName func(chat.ModelID) chat.ModelID

	mu        sync.Mutex
	counters  map[counterKey]*counter
	lastSweep time.Time
}

// sweepEvery is the time between two sweeps, which delete the counters of periods
// that are over.
const sweepEvery = time.Hour

// An Account is the user, the room and the model that a turn is charged to.
type Account struct {
	User  chat.UserID
	Room  chat.RoomID
	Model chat.ModelID
}

// A counterKey names a counter: the budget, the period, and the part of the
// account that has a counter of its own. The rest of the account is empty.
type counterKey struct {
	budget int
	of     Account
	begin  int64 // of the period, in Unix seconds
}

// A counter counts the tokens of one budget in one period.
type counter struct {
	tokens  atomic.Int64
	limit   int64
	end     time.Time   // of the period; zero if it has no end
	refusal *chat.Error // of turns when the limit is reached

	running map[*Meter]bool // guarded by Ledger.mu
}

func (c *counter) spent() bool { return c.tokens.Load() >= c.limit }

// New returns a ledger for budgets, which must be valid. Charges are what was used
// before. Without budgets, New returns nil and does not read the charges. Several
// names may mean the same model: oneName returns the one that counts.
func New(budgets []Budget, charges iter.Seq2[persistence.Charge, error], oneName func(chat.ModelID) chat.ModelID) (*Ledger, error) {
	if len(budgets) == 0 {
		return nil, nil
	}
	now := time.Now()
	l := &Ledger{budgets: slices.Clone(budgets), oneName: oneName, counters: make(map[counterKey]*counter), lastSweep: now}
	for i := range l.budgets {
		b := &l.budgets[i]
		b.Model = string(oneName(chat.ModelID(b.Model)))
	}
	for charge, err := range charges {
		if err != nil {
			return nil, fmt.Errorf("read what was used of the budgets: %w", err)
		}
		l.add(charge, now)
	}
	return l, nil
}

// add adds a charge to the counters of the periods that are not over.
func (l *Ledger) add(c persistence.Charge, now time.Time) {
	a := Account{chat.UserID(c.User), chat.RoomID(c.Room), chat.ModelID(c.Model)}
	for _, counter := range l.of(a, c.Hour.Time(), now) {
		l.charge(counter, int64(c.Tokens()))
	}
}

// of returns the counters of an account at the time at, without those of periods
// that are over now.
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
			continue // the file may hold charges of many years
		}
		key := counterKey{i, b.part(a), begin.Unix()}
		c := l.counters[key]
		if c == nil {
			c = &counter{limit: b.Tokens, end: end, refusal: b.refusal(), running: make(map[*Meter]bool)}
			l.counters[key] = c
		}
		counters = append(counters, c)
	}
	return counters
}

// sweep deletes the counters of periods that are over, at most once in sweepEvery.
// A counter with running turns stays until they have ended.
func (l *Ledger) sweep(now time.Time) {
	if now.Sub(l.lastSweep) < sweepEvery {
		return
	}
	l.lastSweep = now
	for key, c := range l.counters {
		if !c.end.IsZero() && !c.end.After(now) && len(c.running) == 0 {
			delete(l.counters, key)
		}
	}
}

// Check returns a refusal if a budget of the account is used up, or nil.
func (l *Ledger) Check(a Account) *chat.Error {
	if l == nil {
		return nil
	}
	now := time.Now()
	for _, c := range l.of(a, now, now) {
		if c.spent() {
			return c.refusal
		}
	}
	return nil
}

// Record adds what turns have used, when their ends are recorded.
func (l *Ledger) Record(charges []persistence.Charge) {
	if l == nil {
		return
	}
	now := time.Now()
	for _, c := range charges {
		l.add(c, now)
	}
}

// charge adds tokens to a counter and reports whether it is over its limit. The
// call that crosses the limit ends all turns that the counter counts.
func (l *Ledger) charge(c *counter, tokens int64) (over bool) {
	used := c.tokens.Add(tokens)
	if used <= c.limit {
		return false
	}
	if used-tokens <= c.limit {
		l.crossed(c)
	}
	return true
}

// crossed ends the turns that a counter counts. A turn that opens its Meter at
// this moment is either refused, since the counter is spent, or is ended here.
func (l *Ledger) crossed(c *counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range c.running {
		m.over(c.refusal)
	}
}

// A Meter counts what one running turn uses. Add may be called from several
// goroutines at once. The caller of Open closes the Meter. A nil Meter counts
// nothing.
type Meter struct {
	ledger   *Ledger
	over     func(*chat.Error)
	counters []*counter
	tokens   atomic.Int64
	closed   atomic.Bool
}

// Open returns a Meter for a turn, or a refusal if a budget of its account is used
// up. Later, when any turn crosses a budget of the account, over is called. It
// must do no more than send a message. It may be called once after Close.
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
			return nil, c.refusal
		}
	}
	for _, c := range m.counters {
		c.running[m] = true
	}
	return m, nil
}

// Add counts more tokens. It returns a refusal if the turn has to end, or nil.
func (m *Meter) Add(tokens int) *chat.Error {
	if m == nil || m.closed.Load() {
		return nil
	}
	m.tokens.Add(int64(tokens))
	var refusal *chat.Error
	for _, c := range m.counters {
		if m.ledger.charge(c, int64(tokens)) {
			refusal = c.refusal
		}
	}
	if m.closed.Load() { // Close has run meanwhile, and missed these tokens
		m.takeBack()
	}
	return refusal
}

// Close ends the counting and takes what was added out of the counters. A second
// call does nothing.
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

// takeBack subtracts from the counters what was added since the last takeBack.
func (m *Meter) takeBack() {
	tokens := m.tokens.Swap(0)
	for _, c := range m.counters {
		c.tokens.Add(-tokens)
	}
}
