// Package ledger counts tokens against budgets.
//
//	usage of the file → New → counters
//	room: somebody speaks → Check: is there enough for the prompt?
//	room: a turn begins → Open → Meter ─ Ask, for the prompt
//	                                   └ Add, for each piece of an answer ─ over → the turn ends
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
	budgets  []Budget
	identify Identify

	mu        sync.Mutex
	counters  map[counterKey]*counter
	lastSweep time.Time
}

// sweepEvery is the time between two sweeps, which delete the counters of periods
// that are over.
const sweepEvery = time.Hour

// An Identify returns the provider of a model, and one name for all by which the model
// may be asked.
type Identify func(chat.ModelID) (provider string, model chat.ModelID)

// An Account is the user, the room and the model that a turn is charged to.
type Account struct {
	User  chat.UserID
	Room  chat.RoomID
	Model chat.ModelID

	provider string // of the model
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
	budget  *Budget
	end     time.Time   // of the period; zero if it has no end
	refusal *chat.Error // of turns when the limit is reached

	running map[*Meter]bool // guarded by Ledger.mu
}

func (c *counter) spent() bool { return c.left() <= 0 }

func (c *counter) left() int64 { return c.limit - c.tokens.Load() }

// New returns a ledger for budgets, which must be valid. Charges are what was used
// before. Without budgets, New does not read them.
func New(budgets []Budget, charges iter.Seq2[persistence.Charge, error], identify Identify) (*Ledger, error) {
	now := time.Now()
	l := &Ledger{budgets: slices.Clone(budgets), identify: identify, counters: make(map[counterKey]*counter), lastSweep: now}
	for i := range l.budgets {
		b := &l.budgets[i]
		if b.Model != "" && b.Model != each {
			_, model := identify(chat.ModelID(b.Model))
			b.Model = string(model)
		}
	}
	if len(budgets) == 0 {
		return l, nil
	}
	for charge, err := range charges {
		if err != nil {
			return nil, fmt.Errorf("read what was used of the budgets: %w", err)
		}
		l.add(charge, now)
	}
	return l, nil
}

// Replace takes other budgets, as New does. A turn that runs goes on under those that it
// began with. What is recorded at the same moment may be counted twice, or not, until the
// server starts again.
func (l *Ledger) Replace(budgets []Budget, charges iter.Seq2[persistence.Charge, error]) error {
	fresh, err := New(budgets, charges, l.identify)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budgets, l.counters = fresh.budgets, fresh.counters
	return nil
}

// add adds a charge to the counters of the periods that are not over.
func (l *Ledger) add(c persistence.Charge, now time.Time) {
	a := Account{User: chat.UserID(c.User), Room: chat.RoomID(c.Room), Model: chat.ModelID(c.Model)}
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
	a.provider, a.Model = l.identify(a.Model)
	for i := range l.budgets {
		b := &l.budgets[i]
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
			c = &counter{limit: b.Tokens, budget: b, end: end, refusal: b.spent(), running: make(map[*Meter]bool)}
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

// A Prompt says how many tokens a prompt is. The zero Prompt is none.
type Prompt struct {
	AtMost int        // tokens, without counting them
	Tokens func() int // counts them, by estimate
}

// Check returns a refusal if a budget of the account is used up, or nil.
func (l *Ledger) Check(a Account) *chat.Error { return l.CheckPrompt(a, Prompt{}) }

// CheckPrompt returns a refusal if a budget of the account is used up, or has less left
// than the prompt needs, or nil. The tokens are counted only if that may be so.
func (l *Ledger) CheckPrompt(a Account, p Prompt) *chat.Error {
	if l == nil {
		return nil
	}
	now, needed := time.Now(), int64(-1)
	for _, c := range l.of(a, now, now) {
		left := c.left()
		switch {
		case left <= 0:
			return c.refusal
		case left >= int64(p.AtMost):
			continue
		case needed < 0:
			needed = int64(p.Tokens())
		}
		if needed > left {
			return c.budget.short(left, needed)
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

// Ask counts the tokens of a prompt, unless a budget has less left: then it counts
// nothing, so that no other turn ends for the prompt, and returns a refusal.
func (m *Meter) Ask(tokens int) *chat.Error {
	if m == nil {
		return nil
	}
	for _, c := range m.counters {
		if left := c.left(); int64(tokens) > left {
			return c.budget.short(max(0, left), int64(tokens))
		}
	}
	return m.Add(tokens)
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
