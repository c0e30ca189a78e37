package limit

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// flood has a user do as much as possible for some time, with so many events of so many
// bytes under way. It returns how many were done. An event takes no time once it has
// waited.
func flood(l *Limiter, user chat.UserID, underWay, bytes int, length time.Duration) int {
	done := make(chan int)
	for range underWay {
		go func() {
			n := 0
			for end := time.Now().Add(length); time.Now().Before(end); n++ {
				time.Sleep(l.Begin(user, bytes))
				time.Sleep(time.Millisecond)
				l.End(user)
			}
			done <- n
		}()
	}
	all := 0
	for range underWay {
		all += <-done
	}
	return all
}

// A user with many events under way is held to the rate while another user is there, and
// not otherwise. The other one, who asks for one thing after the other, waits for nothing.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 200}, nil)
		if got := flood(l, "mallory", 32, 0, time.Second); got != 32_000 {
			t.Errorf("alone mallory does %d, want 32000", got)
		}
		go func() {
			for range 1000 {
				if wait := l.Begin("alice", 100); wait > 0 {
					t.Errorf("alice waits for %v", wait)
				}
				time.Sleep(time.Millisecond)
				l.End("alice")
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(time.Millisecond)
		if got := flood(l, "mallory", 32, 0, time.Second); got < 200 || got > 200+ahead+2*32 {
			t.Errorf("beside alice mallory does %d, want about 200 and %d", got, ahead)
		}
		time.Sleep(time.Second + Burst)
		if got := flood(l, "mallory", 32, 0, time.Second); got != 32_000 {
			t.Errorf("when alice has left mallory does %d, want 32000", got)
		}
	})
}

// Many users who all ask for much have what the server can do: each has less of it anyway.
func TestPaceOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 200}, nil)
		done := make(chan int)
		for i := range 100 {
			go func() { done <- flood(l, chat.UserID(fmt.Sprint("user-", i)), 8, 0, 200*time.Millisecond) }()
		}
		for range 100 {
			if got := <-done; got < 300 {
				t.Errorf("one of them does %d in 0.2 s, want ten times the rate", got)
			}
		}
		if l.paces.crowd.users != 0 {
			t.Errorf("%d users have more than one event under way, want none", l.paces.crowd.users)
		}
	})
}

// A long event makes the next one of its user wait, even if the user asks for one thing
// after the other: for at most a second each, and ten in all.
func TestPaceOfLongEvents(t *testing.T) {
	for _, test := range []struct {
		underWay, bytes int
		want            int // in ten seconds
	}{
		{1, 60 << 10, 17},
		{8, 60 << 10, 25},
		{1, 1 << 30, 11},
		{500, 1 << 30, 1000},
	} {
		t.Run(fmt.Sprint(test.underWay, " of ", test.bytes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Rates{User: 200}, nil)
				l.Begin("alice", 0)
				l.Begin("mallory", 0)
				if got := flood(l, "mallory", test.underWay, test.bytes, 10*time.Second); got < test.want-2 || got > test.want+2 {
					t.Errorf("mallory does %d, want %d", got, test.want)
				}
			})
		})
	}
}

// The next event waits for what was charged. A request of a client that has gone does not
// wait.
func TestPaceOfCharges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 200}, nil)
		l.Begin("alice", 0)
		l.Charge("mallory", 10<<10)
		begin := time.Now()
		l.Wait(t.Context(), "mallory", 10<<10)
		if took := time.Since(begin); took > 0 {
			t.Errorf("mallory has waited for %v behind what a page asks for", took)
		}
		l.Wait(t.Context(), "mallory", 0)
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("mallory has waited for %v, want 100ms", took)
		}
		l.Charge("mallory", 1<<20)
		gone, leave := context.WithCancel(t.Context())
		leave()
		begin = time.Now()
		l.Wait(gone, "mallory", 0)
		if took := time.Since(begin); took > 0 {
			t.Errorf("a client that has gone waits for %v", took)
		}
	})
}

// Users are forgotten when they have nothing under way and their pace is not used up.
func TestPacesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 200}, nil)
		l.Begin("alice", 0)
		for i := range 10 * minSweep {
			l.Charge(chat.UserID(fmt.Sprint("user-", i)), 0)
			time.Sleep(time.Millisecond)
		}
		if got := len(l.paces.users); got > minSweep {
			t.Errorf("%d users are remembered", got)
		}
		if l.paces.users["alice"] == nil {
			t.Error("alice is forgotten, who has something under way")
		}
		off := New(Rates{}, nil)
		if wait := off.Begin("alice", 1<<30); wait != 0 || len(off.paces.users) > 0 {
			t.Errorf("without a rate alice waits for %v", wait)
		}
	})
}
