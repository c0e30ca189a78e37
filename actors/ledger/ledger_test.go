package ledger

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/persistence"
	"parlor/protocol/chat"
)

var alice, bob = Account{User: "alice", Room: "r1", Model: "m"}, Account{User: "bob", Room: "r2", Model: "m"}

// used yields charges of one user and model.
func used(charges ...persistence.Charge) iter.Seq2[persistence.Charge, error] {
	return func(yield func(persistence.Charge, error) bool) {
		for _, c := range charges {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func spend(at time.Time, a Account, tokens uint64) persistence.Charge {
	return persistence.Charge{
		User: string(a.User), Hour: persistence.HourOf(at), Room: string(a.Room), Model: string(a.Model),
		Count: persistence.Count{Turns: 1, Completion: tokens},
	}
}

// anyCase has models be the same in upper and lower case.
func anyCase(id chat.ModelID) (provider string, model chat.ModelID) {
	id = chat.ModelID(strings.ToLower(string(id)))
	provider, _, _ = strings.Cut(string(id), ":")
	return provider, id
}

func newLedger(t *testing.T, budgets []Budget, charges ...persistence.Charge) *Ledger {
	t.Helper()
	if err := Validate(budgets); err != nil {
		t.Fatal(err)
	}
	l, err := New(budgets, used(charges...), anyCase)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// open opens a meter, and counts in over how often it is told to end.
func open(t *testing.T, l *Ledger, a Account, over *int) *Meter {
	t.Helper()
	m, err := l.Open(a, func(*chat.Error) { *over++ })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whose budget is crossed is told in all rooms, and nobody else.
func TestCrossingTellsAllTurnsUnderTheBudget(t *testing.T) {
	l := newLedger(t, []Budget{{User: "*", Period: Total, Tokens: 100}})
	var here, there, others int
	elsewhere := alice
	elsewhere.Room, elsewhere.Model = "r9", "other"
	a, b, c := open(t, l, alice, &here), open(t, l, elsewhere, &there), open(t, l, bob, &others)
	if why := errors.Join(asError(a.Add(60)), asError(b.Add(40)), asError(c.Add(99))); why != nil {
		t.Fatalf("refused within the budget: %v", why)
	}
	if why := a.Add(1); why == nil || why.Code != chat.CodeBudgetExceeded {
		t.Errorf("crossed: %v", why)
	}
	if here != 1 || there != 1 || others != 0 {
		t.Errorf("told %d, %d and another user %d times, want 1, 1, 0", here, there, others)
	}
	if why := b.Add(1); why == nil {
		t.Error("a turn under a crossed budget goes on")
	}
	if _, why := l.Open(alice, nil); why == nil || l.Check(alice) == nil || l.Check(bob) != nil {
		t.Errorf("open: %v, check: %v, another user's: %v", why, l.Check(alice), l.Check(bob))
	}
	// The real usage counts in place of the estimates.
	a.Close()
	b.Close()
	b.Close()
	l.Record([]persistence.Charge{spend(time.Now(), alice, 50), spend(time.Now(), elsewhere, 49)})
	if why := l.Check(alice); why != nil {
		t.Errorf("with 99 of 100 used: %v", why)
	}
	// A second crossing is told again.
	a = open(t, l, alice, &here)
	a.Add(2)
	if here != 2 {
		t.Errorf("told %d times, want 2", here)
	}
}

func asError(e *chat.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func TestScopes(t *testing.T) {
	room := chat.ID("c").Room()
	in := func(user, room, model string) Account {
		return Account{User: chat.UserID(user), Room: chat.RoomID(room), Model: chat.ModelID(model)}
	}
	all := map[string]Account{
		"alice":             in("alice", string(room), "m"),
		"alice elsewhere":   in("alice", "r", "m"),
		"alice, other":      in("alice", string(room), "other"),
		"bob":               in("bob", string(room), "m"),
		"bob, other, there": in("bob", "r", "other"),
	}
	for _, c := range []struct {
		budget Budget
		want   []string // who has nothing left after alice has used it up
	}{
		{Budget{}, []string{"alice", "alice elsewhere", "alice, other", "bob", "bob, other, there"}},
		{Budget{User: "alice"}, []string{"alice", "alice elsewhere", "alice, other"}},
		{Budget{User: "*"}, []string{"alice", "alice elsewhere", "alice, other"}},
		{Budget{User: "bob"}, nil},
		{Budget{Chat: "c"}, []string{"alice", "alice, other", "bob"}},
		{Budget{Chat: "*"}, []string{"alice", "alice, other", "bob"}},
		{Budget{Model: "m"}, []string{"alice", "alice elsewhere", "bob"}},
		{Budget{User: "*", Chat: "*"}, []string{"alice", "alice, other"}},
		{Budget{User: "*", Chat: "c", Model: "*"}, []string{"alice"}},
	} {
		c.budget.Period, c.budget.Tokens = Day, 10
		l := newLedger(t, []Budget{c.budget}, spend(time.Now(), all["alice"], 10))
		var got []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if l.Check(all[name]) != nil {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.budget, diff)
		}
	}
}

// Another name of a model is no way around its budget.
func TestNamesOfOneModel(t *testing.T) {
	loud := alice
	loud.Model = "M"
	for _, name := range []string{"m", "M", "*"} {
		l := newLedger(t, []Budget{{Model: name, Period: Total, Tokens: 10}}, spend(time.Now(), loud, 6))
		m := open(t, l, alice, new(int))
		if why := m.Add(5); why == nil || l.Check(loud) == nil {
			t.Errorf("%s: 11 of 10 tokens: %v, %v", name, why, l.Check(loud))
		}
	}
}

// A budget of a provider is one for all its models.
func TestProviderBudgets(t *testing.T) {
	of := func(user chat.UserID, model chat.ModelID) Account {
		return Account{User: user, Room: "r", Model: model}
	}
	for _, test := range []struct {
		budget        Budget
		same, another bool // are refused
	}{{Budget{Provider: "mine"}, true, false}, {Budget{Provider: "*"}, true, false}, {Budget{Provider: "other"}, false, false}, {Budget{User: "*", Provider: "mine"}, true, false}} {
		test.budget.Period, test.budget.Tokens = Day, 10
		l := newLedger(t, []Budget{test.budget}, spend(time.Now(), of("alice", "mine:a"), 10))
		same, another := l.Check(of("alice", "Mine:b")), l.Check(of("alice", "other:a"))
		if (same != nil) != test.same || (another != nil) != test.another {
			t.Errorf("%v: %v, %v", test.budget, same, another)
		}
		if test.budget.User == "" && (l.Check(of("bob", "mine:c")) != nil) != test.same || test.budget.User == "*" && l.Check(of("bob", "mine:c")) != nil {
			t.Errorf("%v: of another user: %v", test.budget, l.Check(of("bob", "mine:c")))
		}
	}
	if got, want := (Budget{Provider: "mine", Period: Day, Tokens: 10}).String(), "10 per day for provider mine"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A prompt that needs more than is left is refused in words that are true, uses
// nothing, and ends nobody else's turn. It is counted only where that may be so.
func TestPromptsThatAreTooLong(t *testing.T) {
	l := newLedger(t, []Budget{{User: "*", Period: Day, Tokens: 100}, {Period: Month, Tokens: 1000}}, spend(time.Now(), alice, 20))
	const short = "this needs about 81 tokens with the conversation before it, and of the 100 tokens that you may use for this day 80 are left"
	counted := 0
	need := func(n int) Prompt { return Prompt{AtMost: n, Tokens: func() int { counted++; return n }} }
	if why := l.CheckPrompt(alice, need(81)); why == nil || why.Code != chat.CodeBudgetExceeded || why.Message != short {
		t.Errorf("got %v", why)
	}
	if why := l.CheckPrompt(alice, Prompt{AtMost: 500, Tokens: func() int { return 80 }}); why != nil {
		t.Errorf("what fits is refused: %v", why)
	}
	if why := l.CheckPrompt(bob, need(100)); why != nil || counted != 1 {
		t.Errorf("got %v, counted %d times", why, counted)
	}
	ended := 0
	running, m := open(t, l, alice, &ended), open(t, l, alice, &ended)
	if why := m.Ask(81); why == nil || why.Message != short || ended != 0 {
		t.Errorf("got %v, %d turns have ended", why, ended)
	}
	if why := running.Ask(80); why != nil {
		t.Errorf("what fits is refused: %v", why)
	}
	if why := running.Add(1); why == nil || why.Message != "the 100 tokens that you may use for this day are used up" || ended != 2 {
		t.Errorf("got %v, %d turns have ended", why, ended)
	}
}

// The usage of another period does not count, and a new period begins by itself.
func TestPeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for period, length := range map[Period]time.Duration{Hour: time.Hour, Day: 24 * time.Hour, Month: 31 * 24 * time.Hour} {
			now := time.Now()
			l := newLedger(t, []Budget{{User: "*", Period: period, Tokens: 10}},
				spend(now.Add(-length), bob, 99), spend(now, alice, 10))
			if l.Check(alice) == nil || l.Check(bob) != nil {
				t.Errorf("%s: %v, %v", period, l.Check(alice), l.Check(bob))
			}
			time.Sleep(length)
			if why := l.Check(alice); why != nil {
				t.Errorf("%s: still %v", period, why)
			}
			if n := len(l.counters); n > 2 {
				t.Errorf("%s: %d counters are kept", period, n)
			}
		}
	})
}

func TestDeletedChatsCountForTheirUser(t *testing.T) {
	gone := spend(time.Now(), alice, 10)
	gone.Room = ""
	l := newLedger(t, []Budget{{User: "*", Period: Total, Tokens: 10}, {Chat: "*", Period: Total, Tokens: 1}}, gone)
	if l.Check(alice) == nil || l.Check(bob) != nil {
		t.Errorf("%v, %v", l.Check(alice), l.Check(bob))
	}
}

// However many turns use a budget at once, it is crossed once, and no turn that
// runs is left out.
func TestConcurrentTurns(t *testing.T) {
	for range 50 {
		l := newLedger(t, []Budget{{User: "*", Period: Total, Tokens: 1000}})
		var meters [8]*Meter
		var told [len(meters)]chan struct{}
		for i := range meters {
			told[i] = make(chan struct{}, len(meters))
			meters[i], _ = l.Open(alice, func(*chat.Error) { told[i] <- struct{}{} })
		}
		var all sync.WaitGroup
		for i, m := range meters {
			all.Go(func() {
				for range 200 {
					if m.Add(1) != nil {
						break
					}
				}
				<-told[i]
			})
		}
		all.Wait()
		for _, m := range meters {
			m.Close()
		}
		if why := l.Check(alice); why != nil {
			t.Fatalf("all was taken back: %v", why)
		}
	}
}

func TestNoBudgets(t *testing.T) {
	l, err := New(nil, func(func(persistence.Charge, error) bool) { t.Error("the usage is read") }, anyCase)
	if err != nil {
		t.Fatal(err)
	}
	m, why := l.Open(alice, nil)
	if why != nil || m.Add(1) != nil || l.Check(alice) != nil {
		t.Error("something is limited")
	}
	m.Close()
	l.Record(nil)
}

// Other budgets hold at once, with what was used before. A turn that runs goes on.
func TestReplace(t *testing.T) {
	used := func(yield func(persistence.Charge, error) bool) {
		yield(persistence.Charge{User: "alice", Room: "r", Model: "m", Hour: persistence.HourOf(time.Now()), Count: persistence.Count{Prompt: 8}}, nil)
	}
	l, err := New(nil, used, anyCase)
	if err != nil {
		t.Fatal(err)
	}
	running, _ := l.Open(alice, nil)
	for _, step := range []struct {
		limit int64
		spent bool
	}{{10, false}, {8, true}, {9, false}} {
		if err := l.Replace([]Budget{{User: each, Period: Total, Tokens: step.limit}}, used); err != nil {
			t.Fatal(err)
		}
		if spent := l.Check(alice) != nil; spent != step.spent {
			t.Errorf("of %d tokens all are used: %v", step.limit, spent)
		}
	}
	if running.Add(100) != nil {
		t.Error("a turn was ended by a budget that did not hold when it began")
	}
	running.Close()
	if err := l.Replace(nil, used); err != nil || l.Check(alice) != nil {
		t.Error("something is limited", err)
	}
}

func TestValidate(t *testing.T) {
	err := Validate([]Budget{
		{User: "*", Period: Day, Tokens: 1},
		{Chat: "a b", Period: "week"},
		{User: "*", Period: Day, Tokens: 2},
		{Tokens: 3},
	})
	want := `budgets[1]: chat: is not the id of a chat, nor *
budgets[1]: period: must be hour, day, month or total
budgets[1]: tokens: must be more than 0
budgets[2]: tokens: budgets[0] limits the same already
budgets[3]: period: is missing: hour, day, month or total`
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// BenchmarkAdd is what a delta costs.
func BenchmarkAdd(b *testing.B) {
	l, _ := New([]Budget{{User: "*", Period: Day, Tokens: 1 << 60}, {Period: Month, Tokens: 1 << 60}}, used(), anyCase)
	m, _ := l.Open(alice, nil)
	b.ReportAllocs()
	for b.Loop() {
		m.Add(1)
	}
}

// A turn that is stopped while it counts its prompt leaves nothing behind.
func TestCloseWhileTokensAreAdded(t *testing.T) {
	l := newLedger(t, []Budget{{Period: Total, Tokens: 1 << 40}})
	for range 2000 {
		m := open(t, l, alice, new(int))
		begun := make(chan struct{})
		var adding sync.WaitGroup
		adding.Go(func() {
			close(begun)
			for !m.closed.Load() {
				m.Add(1)
			}
		})
		<-begun
		m.Close()
		adding.Wait()
	}
	for _, c := range l.counters {
		if n := c.tokens.Load(); n != 0 {
			t.Errorf("%d tokens are still counted of turns that are over", n)
		}
	}
}

// Years of usage leave nothing in memory but what counts today.
func TestPastPeriodsAreNotKept(t *testing.T) {
	var past []persistence.Charge
	for h := range 1000 {
		past = append(past, spend(time.Now().Add(-time.Duration(h+1)*time.Hour), alice, 1))
	}
	l := newLedger(t, []Budget{{User: each, Period: Hour, Tokens: 10}}, past...)
	if got := len(l.counters); got > 0 {
		t.Errorf("%d counters of the past", got)
	}
}
