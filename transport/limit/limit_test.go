package limit

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
)

// take takes n tokens and returns how many it got.
func take(l *Limiter, n int, user chat.UserID, remote, event string) (got int) {
	for range n {
		if l.Take(user, remote, event, 0) == nil {
			got++
		}
	}
	return got
}

// A user has a bucket for each kind of event, and one for all, whatever the address. An
// address has one, whoever the user.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		l := New(Rates{User: 3, Address: 10, Event: 2}, slog.New(slog.NewTextHandler(&log, nil)))
		for _, step := range []struct {
			user          chat.UserID
			remote, event string
			want          int
		}{
			{"alice", "192.0.2.1:1", "send", 20},
			{"alice", "192.0.2.2:1", "send", 0},      // another address is no way around it
			{"alice", "192.0.2.2:1", "read", 10},     // 30 for all events
			{"alice", "192.0.2.2:1", "typing", 0},    //
			{"bob", "192.0.2.2:1", "send", 20},       // another user has buckets of his own
			{"", "192.0.2.1:7", "auth", 80},          // the address has had 20 of 100
			{"carol", "192.0.2.1:9", "send", 0},      // whoever it is
			{"carol", "[2001:db8::1]:1", "send", 20}, //
			{"", "[2001:db8::ffff]:1", "auth", 80},   // the same network
			{"", "[2001:db8:0:1::1]:1", "auth", 100}, // another one
			{"dave", "no address", "send", 20},       //
			{"dave", "no address", "something", 10},  //
			{"alice", "192.0.2.2:1", "send", 0},      // no time has passed
		} {
			if got := take(l, 200, step.user, step.remote, step.event); got != step.want {
				t.Errorf("%s %s from %s: got %d, want %d", step.user, step.event, step.remote, got, step.want)
			}
		}
		if told := log.String(); strings.Count(told, "\n") != 1 || !strings.Contains(told, "trusted-proxies") || !strings.Contains(told, "192.0.2.1/32") {
			t.Errorf("logged %q, want one warning of the first address", told)
		}
		time.Sleep(2 * time.Second)
		if got := take(l, 200, "alice", "192.0.2.3:1", "send"); got != 4 {
			t.Errorf("after two seconds: got %d, want 4", got)
		}
	})
}

// A user who waits as long as the refusal says is not refused again. A refusal takes nothing.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 1}, nil)
		take(l, 10, "alice", "192.0.2.1:1", "send")
		for range 5 {
			refusal := l.Take("alice", "192.0.2.1:1", "send", 0)
			if refusal == nil || refusal.Code != chat.CodeRateLimited || refusal.RetryAfter != 1 {
				t.Fatalf("got %+v", refusal)
			}
			for range 100 {
				l.Take("alice", "192.0.2.1:1", "send", 0)
			}
			time.Sleep(time.Duration(refusal.RetryAfter) * time.Second)
			if refusal := l.Take("alice", "192.0.2.1:1", "send", 0); refusal != nil {
				t.Errorf("waited, and was refused: %v", refusal)
			}
		}
	})
}

// An event of a user whose buckets are there costs no memory.
func TestTakeAllocatesNothing(t *testing.T) {
	l := New(Rates{User: 1000, Address: 1000, Event: 1000}, nil)
	if got := testing.AllocsPerRun(100, func() { l.Take("alice", "192.0.2.1:1", "send", 100) }); got > 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func TestNoLimits(t *testing.T) {
	l := New(Rates{}, nil)
	if got := take(l, 5000, "alice", "192.0.2.1:1", "send"); got != 5000 || len(l.buckets) > 0 {
		t.Errorf("got %d, with %d buckets", got, len(l.buckets))
	}
}

// Users who have gone cost nothing, and those who are at their limit are not forgotten.
func TestFullBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 1, Event: 1}, nil)
		for i := range 5_000 {
			l.Take(chat.UserID(fmt.Sprint("user-", i)), "192.0.2.1:1", "send", 0)
			take(l, 11, "mallory", "192.0.2.1:1", "send")
			time.Sleep(time.Second)
		}
		if n := len(l.buckets); n > 2*minSweep {
			t.Errorf("%d buckets", n)
		}
		if got := take(l, 100, "mallory", "192.0.2.1:1", "send"); got > 1 {
			t.Errorf("mallory got %d", got)
		}
	})
}

// A long event takes a token for each 4 KiB of it. One that is longer than a whole bucket pays
// for is not refused for ever.
func TestLongEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Rates{User: 1}, nil)
		got := func(bytes int) (n int) {
			for l.Take("alice", "192.0.2.1:1", "send", bytes) == nil {
				n++
			}
			return n
		}
		for _, step := range []struct{ bytes, want int }{{0, 10}, {Unit, 10}, {Unit + 1, 5}, {3 * Unit, 3}, {10 * Unit, 1}, {1000 * Unit, 1}} {
			if n := got(step.bytes); n != step.want {
				t.Errorf("%d bytes: got %d events, want %d", step.bytes, n, step.want)
			}
			time.Sleep(Burst)
		}
	})
}
