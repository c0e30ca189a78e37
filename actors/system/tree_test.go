package system

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func looks(s *System, kind string) (all []string) {
	for l := range s.Each(kind) {
		all = append(all, fmt.Sprintf("%s queue %d restarts %d failed %v", l.ID, l.Queue, l.Restarts, l.Failed))
	}
	return all
}

func wantLooks(t *testing.T, s *System, kind string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := looks(s, kind); !slices.Equal(got, want) || s.Count(kind) != len(want) {
		t.Errorf("got %q (count %d), want %q", got, s.Count(kind), want)
	}
}

// The tree shows what waits, what has failed, and nothing that has stopped.
func TestTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, h := New(nil), newHooks()
		spec := h.spec("a", Restart)
		spec.Kind, spec.About = "worker", "more"
		ref, err := Spawn(sys, spec)
		if err != nil {
			t.Fatal(err)
		}
		wantLooks(t, sys, "worker", "a queue 0 restarts 0 failed false")

		blocked := make(chan struct{})
		ref.Tell(do(func(*worker) { <-blocked }))
		ref.Tell(note("one"))
		ref.Tell(note("two"))
		wantLooks(t, sys, "worker", "a queue 2 restarts 0 failed false")
		close(blocked)
		for range promptRestarts {
			ref.Tell(note("boom"))
		}
		wantLooks(t, sys, "worker", "a queue 0 restarts 3 failed false")
		ref.Tell(note("boom")) // from now on it waits before it is restarted
		ref.Tell(note("go on"))
		wantLooks(t, sys, "worker", "a queue 1 restarts 3 failed true")
		time.Sleep(restartDelay)
		wantLooks(t, sys, "worker", "a queue 0 restarts 4 failed false")
		for l := range sys.Each("worker") {
			if l.About != "more" || l.Failure == nil || l.Failure.Reason != "boom" || l.Since.IsZero() {
				t.Errorf("got %+v", l)
			}
		}
		ref.Stop()
		wantLooks(t, sys, "worker")
		wantLooks(t, sys, "nothing")
	})
}

// Actors may start and stop while somebody looks: those that run all the time are seen once.
func TestTreeChangesWhileItIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := New(nil)
		start := func(name string) Ref[task] {
			spec := newHooks().spec(name, Stop)
			spec.Kind = "worker"
			ref, err := Spawn(sys, spec)
			if err != nil {
				t.Fatal(err)
			}
			return ref
		}
		const n = 3*batchSize + 7
		var all []Ref[task]
		for i := range n {
			all = append(all, start(fmt.Sprint("a", i)))
		}
		synctest.Wait()
		seen := make(map[string]int)
		i := 0
		for l := range sys.Each("worker") {
			seen[l.ID]++
			if i < n && i%3 == 1 {
				all[i].Stop()
				start(fmt.Sprint("b", i))
				synctest.Wait()
			}
			i++
		}
		for i := range n {
			if name := fmt.Sprint("a", i); i%3 != 1 && seen[name] != 1 {
				t.Errorf("%s was seen %d times", name, seen[name])
			}
		}
		for name, times := range seen {
			if times > 1 || !strings.HasPrefix(name, "a") && !strings.HasPrefix(name, "b") {
				t.Errorf("%s was seen %d times", name, times)
			}
		}
		for range sys.Each("worker") {
			break // leaves no cursor behind
		}
		if got := len(looks(sys, "worker")); got != n || sys.Count("worker") != n {
			t.Errorf("%d looks, %d counted, want %d", got, sys.Count("worker"), n)
		}
		for l := range sys.shared.tree.kinds["worker"].all() {
			if l.mailbox == nil {
				t.Error("a cursor was left behind")
			}
		}
	})
}

// all yields what is in the list, cursors too.
func (l *nodes) all() func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		for n := l.head.next; n != &l.head && yield(n); n = n.next {
		}
	}
}
