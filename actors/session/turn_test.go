package session_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/session"
)

// clock has an event wait a second for each one of its user that is under way.
type clock struct {
	mu                sync.Mutex
	underWay, charged map[string]int
}

func newClock() *clock { return &clock{underWay: map[string]int{}, charged: map[string]int{}} }

func (c *clock) Begin(user string, bytes int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay[user]++
	c.charged[user] += bytes
	return time.Duration(c.underWay[user]-1) * time.Second
}

func (c *clock) Charge(user string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.charged[user] += bytes
}

func (c *clock) End(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay[user]--
}

// An event reaches its handler when it is the user's turn, and those of others meanwhile.
// It is no longer under way when it is done, or lost with its connection.
func TestTurns(t *testing.T) {
	a, turns := newKeeper(), newClock()
	o := options(&a.app)
	o.Turns = turns
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		const mallorys = `{"user":"mallory"}`
		mallory, alice := dial(t, s), dial(t, s)
		mallory.Say(`0/chat,` + mallorys)
		alice.Say(`0/chat,{"user":"alice"}`)
		synctest.Wait()
		connecting := turns.charged[mallorys]
		if connecting == 0 {
			t.Error("a new connection costs nothing")
		}
		go mallory.Say(`2/chat,["1"]`, `2/chat,["2"]`, `2/chat,["3"]`)
		synctest.Wait()
		alice.Say(`2/chat,["a"]`)
		for _, want := range []int{2, 3, 3, 4} { // with alice's
			synctest.Wait()
			if got := a.count(); got != want {
				t.Errorf("%d events have reached the handlers, want %d", got, want)
			}
			time.Sleep(time.Second)
		}
		if got := turns.charged[mallorys] - connecting; got != 3*len(`["1"]`) {
			t.Errorf("three events count as %d bytes", got)
		}
		a.done()
		if got := turns.underWay[mallorys]; got != 2 {
			t.Errorf("%d events are under way, want 2", got)
		}
		mallory.Close("transport close")
		synctest.Wait()
		if got := turns.underWay[mallorys]; got != 0 {
			t.Errorf("%d events are under way, of no connection", got)
		}
		a.kept = nil
		alice.Close("transport close")
	})
}
