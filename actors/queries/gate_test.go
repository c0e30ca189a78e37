package queries

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// A line notes who came in, in order.
type line struct {
	t    *testing.T
	gate *gate

	mu sync.Mutex
	in []string
}

func (l *line) note(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = append(l.in, name)
}

// enter has a read of the user come, which is noted by its name when it runs.
// It leaves when the returned function is called.
func (l *line) enter(ctx context.Context, user chat.UserID, name string) (leave func()) {
	l.t.Helper()
	gone := make(chan struct{})
	go func() {
		r, err := l.gate.enter(ctx, user)
		if err != nil {
			l.note(name + ": " + err.Error())
			return
		}
		l.note(name)
		<-gone
		r.leave()
	}()
	synctest.Wait()
	return func() {
		close(gone)
		synctest.Wait()
	}
}

func (l *line) want(in ...string) {
	l.t.Helper()
	if !slices.Equal(l.in, in) {
		l.t.Errorf("came in: %q, want %q", l.in, in)
	}
	l.in = nil
}

// checkEmpty checks that the gate has forgotten everybody.
func checkEmpty(t *testing.T, g *gate) {
	t.Helper()
	waiting := 0
	for i := range g.lines {
		waiting += g.lines[i].Len()
	}
	if g.running != 0 || len(g.users) != 0 || waiting != 0 {
		t.Errorf("%d reads run, %d users are known, %d are in line", g.running, len(g.users), waiting)
	}
}

func inLine(t *testing.T, limits Reads, f func(t *testing.T, l *line)) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(limits)
		f(t, &line{t: t, gate: g})
		synctest.Wait()
		checkEmpty(t, g)
	})
}

// One user's queue, however long, does not keep another user's read from a
// place that is free, and not from the next one if none is.
func TestGateIsFairBetweenUsers(t *testing.T) {
	for _, limits := range []Reads{{AtOnce: 2, PerUser: 1}, {AtOnce: 1, PerUser: 1}, {AtOnce: 3, PerUser: 3}} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			inLine(t, limits, func(t *testing.T, l *line) {
				var leave []func()
				for i := range 100 {
					leave = append(leave, l.enter(t.Context(), "alice", fmt.Sprint(i)))
				}
				var first []string
				for i := range limits.PerUser {
					first = append(first, fmt.Sprint(i))
				}
				l.want(first...)
				bob := l.enter(t.Context(), "bob", "bob")
				if limits.PerUser == limits.AtOnce { // one of alice's has to end
					l.want()
					leave[0]()
					leave = leave[1:]
				}
				l.want("bob")
				bob()
				for _, leave := range leave {
					leave()
				}
			})
		})
	}
}

// Users take turns, whoever came first; the reads of each keep their order.
func TestGateTakesTurns(t *testing.T) {
	inLine(t, Reads{AtOnce: 1}, func(t *testing.T, l *line) {
		var leave []func()
		leave = append(leave, l.enter(t.Context(), "alice", "a0"))
		for _, user := range []chat.UserID{"alice", "bob", "carol"} {
			for i := range 3 {
				leave = append(leave, l.enter(t.Context(), user, fmt.Sprint(user[:1], i+1)))
			}
		}
		left := map[string]func(){"a0": leave[0]}
		for i, user := range []string{"a", "b", "c"} {
			for k := range 3 {
				left[fmt.Sprint(user, k+1)] = leave[1+3*i+k]
			}
		}
		for i := 0; i < len(l.in); i++ {
			left[l.in[i]]()
		}
		l.want("a0", "b1", "c1", "a1", "b2", "c2", "a2", "b3", "c3", "a3")
	})
}

// A query that waits is dropped at once when its context ends, and takes no place.
func TestGateDropsWhatNobodyWaitsFor(t *testing.T) {
	inLine(t, Reads{AtOnce: 1}, func(t *testing.T, l *line) {
		ctx, cancel := context.WithCancel(t.Context())
		first := l.enter(t.Context(), "alice", "first")
		for range 1000 {
			l.enter(ctx, "alice", "dropped")
		}
		last := l.enter(t.Context(), "alice", "last")
		l.want("first")
		cancel()
		synctest.Wait()
		if len(l.in) != 1000 || l.in[999] != "dropped: context canceled" {
			t.Errorf("%d were dropped", len(l.in))
		}
		l.in = nil
		if n := l.gate.users["alice"].waiting.Len(); n != 1 {
			t.Errorf("%d reads wait, want 1", n)
		}
		first()
		l.want("last")
		last()
		if r, err := l.gate.enter(ctx, "alice"); !errors.Is(err, context.Canceled) {
			t.Errorf("came too late: %+v, %v", r, err)
		}
	})
}

func TestGateRefusesACrowd(t *testing.T) {
	inLine(t, Reads{AtOnce: 1, Waiting: 3}, func(t *testing.T, l *line) {
		var leave []func()
		for i := range 5 {
			leave = append(leave, l.enter(t.Context(), "alice", fmt.Sprint(i)))
		}
		bob := l.enter(t.Context(), "bob", "bob")
		l.want("0", "4: "+errCrowded.Error())
		for _, leave := range leave[:4] {
			leave()
		}
		l.want("bob")
		bob()
		l.want("1", "2", "3")
	})
}

// A read that rests lets others go first, and goes on before others of its user.
func TestGateRests(t *testing.T) {
	inLine(t, Reads{AtOnce: 1}, func(t *testing.T, l *line) {
		long, err := l.gate.enter(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if err := long.rest(t.Context()); err != nil { // nobody waits
			t.Fatal(err)
		}
		alice, bob := l.enter(t.Context(), "alice", "alice"), l.enter(t.Context(), "bob", "bob")
		go func() {
			if err := long.rest(t.Context()); err != nil {
				t.Error(err)
			}
			l.note("long")
			long.leave()
			long.leave()
		}()
		synctest.Wait()
		l.want("bob")
		bob()
		l.want("long", "alice")
		go func() {
			if err := long.resume(t.Context()); err != nil {
				t.Error(err)
			}
			l.note("long")
		}()
		synctest.Wait()
		l.want()
		alice() // nobody of her is known for a moment
		l.want("long")
		long.leave()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := long.resume(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("resumed for nobody: %v", err)
		}
		long.leave()
	})
}

// A closed gate refuses what waits and what comes, and says when nothing runs.
func TestGateCloses(t *testing.T) {
	inLine(t, Reads{AtOnce: 1}, func(t *testing.T, l *line) {
		first := l.enter(t.Context(), "alice", "first")
		l.enter(t.Context(), "alice", "second")
		l.enter(t.Context(), "bob", "third")
		l.want("first")
		idle := l.gate.close()
		synctest.Wait()
		slices.Sort(l.in)
		l.want("second: "+errStopping.Error(), "third: "+errStopping.Error())
		l.enter(t.Context(), "bob", "fourth")
		l.want("fourth: " + errStopping.Error())
		select {
		case <-idle:
			t.Error("idle while a read runs")
		default:
		}
		first()
		select {
		case <-idle:
		default:
			t.Error("not idle")
		}
		<-l.gate.close()
	})
}

// However reads come, rest and are dropped: the limits hold, each read ends,
// and nothing is remembered.
func TestGateHoldsItsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := Reads{AtOnce: 5, PerUser: 2, Waiting: 1000}
		g := newGate(limits)
		inside := make(map[chat.UserID]int)
		total, most, mostOfOne, ended := 0, 0, 0, 0
		come := func(u chat.UserID, by int) { // under the gate's lock
			g.mu.Lock()
			defer g.mu.Unlock()
			inside[u] += by
			total += by
			most, mostOfOne = max(most, total), max(mostOfOne, inside[u])
		}
		const reads = 2000
		for i := range reads {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			u := chat.UserID(fmt.Sprint("user-", random.IntN(8)))
			pause := func() { time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond) }
			go func() {
				defer func() { g.mu.Lock(); ended++; g.mu.Unlock() }()
				time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(2000))*time.Millisecond)
				defer cancel()
				r, err := g.enter(ctx, u)
				for n := random.IntN(4); err == nil && n > 0; n-- {
					come(u, 1)
					pause()
					come(u, -1)
					if n%2 == 0 {
						err = r.rest(ctx)
						continue
					}
					r.leave()
					pause()
					err = r.resume(ctx)
				}
				if err == nil {
					r.leave()
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if most != limits.AtOnce || mostOfOne != limits.PerUser || ended != reads {
			t.Errorf("%d at once, %d of one user, %d of %d ended", most, mostOfOne, ended, reads)
		}
		checkEmpty(t, g)
	})
}
