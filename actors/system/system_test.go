package system

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMessagesOfOneSenderKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, messages = 4, 1000
		h := newHooks()
		ref := spawn(t, h.spec("a", Stop))
		var next [senders]int
		for s := range senders {
			go func() {
				for i := range messages {
					ref.Tell(do(func(*worker) {
						if next[s] != i {
							h.journal.add("sender %d: got %d, want %d", s, i, next[s])
						}
						next[s]++
					}))
				}
			}()
		}
		synctest.Wait()
		h.journal.want(t, "started 1")
		for s, n := range next {
			if n != messages {
				t.Errorf("sender %d: got %d messages, want %d", s, n, messages)
			}
		}
	})
}

// The message that fails is salvaged at once by the instance that failed; what
// is queued behind it stays in order and goes to the next instance.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		ref := spawn(t, h.spec("a", Restart))
		for _, m := range []note{"before", "boom", "behind 1", "behind 2"} {
			ref.Tell(m)
		}
		synctest.Wait()
		h.journal.want(t, "started 1", "before", "boom", "salvage boom 1", "stopping 1",
			"started 2", "behind 1", "behind 2")
	})
}

func TestResumeGoesOnWithTheSameInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		ref := spawn(t, h.spec("a", Resume))
		for _, m := range []note{"boom 1", "boom 2", "behind"} {
			ref.Tell(m)
		}
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		h.journal.want(t, "started 1", "boom 1", "salvage boom 1 1", "boom 2", "salvage boom 2 1", "behind", "stopping 1")
	})
}

func TestStopPolicyDropsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		ref := spawn(t, h.spec("a", Stop))
		ref.Tell(note("boom"))
		ref.Tell(note("behind"))
		synctest.Wait()
		ref.Tell(note("later"))
		synctest.Wait()
		h.journal.want(t, "started 1", "boom", "salvage boom 1", "stopping 1")
	})
}

func TestStopOvertakesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		ref := spawn(t, h.spec("a", Restart))
		ref.Tell(do(func(w *worker) {
			ref.Tell(note("queued"))
			w.self.Ref().Stop()
		}))
		synctest.Wait()
		h.journal.want(t, "started 1", "stopping 1")
	})
}

func TestRestartStopsChildrenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, kid := newHooks(), newHooks()
		kid.journal = parent.journal
		kid.stopping = func(*worker) { time.Sleep(time.Second) }
		ref := spawn(t, parent.spec("a", Restart))
		child(ref, kid, "kid")
		synctest.Wait()
		parent.journal.want(t, "started 1", "started 1")

		ref.Tell(note("boom"))
		ref.Tell(note("behind"))
		child(ref, kid, "kid") // the name is free by then
		time.Sleep(2 * time.Second)
		parent.journal.want(t, "boom", "salvage boom 1", "stopping 1", "stopping 1",
			"started 2", "behind", "started 2")
	})
}

// Each instance that fails in Started costs a delay, which doubles, and does
// so for as long as it fails. After a while without a failure that is forgotten.
func TestRestartDelayGrowsAndNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const broken = 10 * time.Minute
		var starts []time.Time
		begin := time.Now()
		h := newHooks()
		h.started = func(*worker) {
			starts = append(starts, time.Now())
			if time.Since(begin) < broken {
				panic("cannot start")
			}
		}
		ref := spawn(t, h.spec("a", Restart))
		ref.Tell(note("waits"))
		time.Sleep(broken + maxRestartDelay + restartWindow)
		synctest.Wait()

		var delays []time.Duration
		for i := range starts[1:] {
			delays = append(delays, starts[i+1].Sub(starts[i]))
		}
		want := []time.Duration{0, 0, 0, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}
		if got := delays[:len(want)]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("first delays: got %v, want %v", got, want)
		}
		for i, d := range delays[12:] {
			if d != maxRestartDelay {
				t.Fatalf("delay %d: got %v, want %v", i+12, d, maxRestartDelay)
			}
		}
		if got, want := len(starts), int(broken/maxRestartDelay); got < want {
			t.Errorf("got %d starts in %v, want at least %d", got, broken, want)
		}

		h.journal.entries = nil
		ref.Tell(note("boom"))
		synctest.Wait()
		last := h.made
		h.journal.want(t, "boom", fmt.Sprintf("salvage boom %d", last-1), fmt.Sprintf("stopping %d", last-1), fmt.Sprintf("started %d", last))
	})
}

func TestPanicsWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		h.salvage = func(*worker) { panic("salvage") }
		h.stopping = func(*worker) { panic("stopping") }
		ref := spawn(t, h.spec("a", Restart))
		ref.Tell(note("boom"))
		ref.Tell(note("behind"))
		synctest.Wait()
		h.journal.want(t, "started 1", "boom", "salvage boom 1", "stopping 1", "started 2", "behind")
	})
}

// An actor that panics in Stopping is gone nevertheless, and does not hold up
// its parent.
func TestPanicInStoppingLeavesNoZombie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, kid := newHooks(), newHooks()
		kid.stopping = func(*worker) { panic("stopping") }
		sys, stopped := New(nil), 0
		spec := parent.spec("a", Restart)
		spec.Stopped = func() { stopped++; panic("stopped") }
		ref, err := Spawn(sys, spec)
		if err != nil {
			t.Fatal(err)
		}
		c := child(ref, kid, "kid")
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		c.Tell(note("too late"))
		ref.Tell(note("too late"))
		ref.Stop()
		synctest.Wait()
		kid.journal.want(t, "started 1", "stopping 1")
		parent.journal.want(t, "started 1", "stopping 1")
		if stopped != 1 {
			t.Errorf("Stopped: got %d calls, want 1", stopped)
		}
		again, err := Spawn(sys, newHooks().spec("a", Stop))
		if err != nil {
			t.Errorf("use the name again: %v", err)
		}
		again.Stop()
	})
}

// Stopped comes after the children, and what comes after Stopping reaches
// nobody: no message, no child's end.
func TestNothingFollowsStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, kid := newHooks(), newHooks()
		kid.journal = parent.journal
		kid.stopping = func(*worker) {
			time.Sleep(time.Second)
			kid.journal.add("kid has stopped")
		}
		spec := parent.spec("a", Restart)
		spec.Stopped = func() { parent.journal.add("stopped") }
		ref := spawn(t, spec)
		child(ref, kid, "kid")
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		ref.Tell(note("while the child stops"))
		time.Sleep(2 * time.Second)
		parent.journal.want(t, "started 1", "started 1", "stopping 1", "stopping 1", "kid has stopped", "stopped")
	})
}

// A child that fails while it is being stopped is not brought back by the
// order to restart, which comes behind the one to stop: neither while it stops
// itself, nor while it waits for a child of its own.
func TestRestartDoesNotReviveTheStopped(t *testing.T) {
	for _, slow := range []string{"kid", "grandkid"} {
		t.Run(slow, func(t *testing.T) { testRestartBehindStop(t, slow) })
	}
}

func testRestartBehindStop(t *testing.T, slow string) {
	synctest.Test(t, func(t *testing.T) {
		parent, kid, grandkid := newHooks(), newHooks(), newHooks()
		failing, stopping := make(chan struct{}), make(chan struct{})
		map[string]*hooks{"kid": kid, "grandkid": grandkid}[slow].stopping = func(*worker) { <-stopping }
		stopped := false
		spec := parent.spec("a", Stop)
		spec.Children = Restart
		spec.Stopped = func() { stopped = true }
		ref := spawn(t, spec)
		c := child(ref, kid, "kid")
		synctest.Wait()
		child(*c, grandkid, "grandkid")
		c.Tell(do(func(*worker) {
			<-failing
			panic("while it is being stopped")
		}))
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		close(failing) // now Stop is before Restart in the child's mailbox
		synctest.Wait()
		close(stopping)
		synctest.Wait()
		if !stopped {
			t.Error("the parent waits for a child that was brought back")
		}
		if kid.made != 1 {
			t.Errorf("got %d instances of the child, want 1", kid.made)
		}
	})
}

// Once ChildStopped has come, a name can be used again, and the new child is
// a child like any other.
func TestNameIsFreeAfterChildStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, kid := newHooks(), newHooks()
		kid.journal = parent.journal
		parent.childStopped = func(w *worker, name string) {
			if kid.made == 1 {
				if _, err := SpawnChild(w.self, kid.spec(name, 0)); err != nil {
					t.Errorf("spawn again: %v", err)
				}
			}
		}
		ref := spawn(t, parent.spec("a", Stop))
		c := child(ref, kid, "kid.1")
		synctest.Wait()
		c.Stop()
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		parent.journal.want(t, "started 1", "started 1", "stopping 1", "child kid.1 stopped", "started 2",
			"stopping 1", "stopping 2")
	})
}

func TestNamesAreUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, h := New(nil), newHooks()
		first, err := Spawn(sys, h.spec("a", Stop))
		if err != nil {
			t.Fatal(err)
		}
		defer first.Stop()
		if _, err := Spawn(sys, newHooks().spec("a", Stop)); err == nil {
			t.Error("second actor of that name: got no error")
		}
		child(first, newHooks(), "kid")
		child(first, newHooks(), "kid")
		synctest.Wait()
		h.journal.want(t, "started 1", "spawn kid: spawn: name exists")
	})
}

func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		ref := spawn(t, h.spec("a", Restart))
		ref.Tell(do(func(w *worker) {
			w.self.After(time.Second, note("tick"))
			w.self.After(time.Second, note("stopped")).Stop()
			panic("the timer outlives the instance")
		}))
		synctest.Wait()
		h.journal.entries = nil
		time.Sleep(time.Second - 1)
		synctest.Wait()
		h.journal.want(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		h.journal.want(t, "tick")
	})
}

func TestNilMessagePanicsAtTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks()
		for _, ref := range []Ref[task]{spawn(t, h.spec("a", Stop)), {}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("Tell(nil): got no panic")
					}
				}()
				ref.Tell(nil)
			}()
		}
		synctest.Wait()
		h.journal.want(t, "started 1")
	})
}

func TestZeroRefAddressesNobody(t *testing.T) {
	var ref Ref[task]
	if !ref.IsZero() {
		t.Error("IsZero: got false")
	}
	ref.Tell(note("to nobody"))
	ref.Stop()
}

func TestRefsAreComparable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside [2]Ref[task]
		h := newHooks()
		h.started = func(w *worker) { inside[w.number-1] = w.self.Ref() }
		ref := spawn(t, h.spec("", Restart))
		ref.Tell(note("boom"))
		synctest.Wait()
		if inside[0] != ref || inside[1] != ref {
			t.Error("the instances' own Ref is not the one that Spawn returned")
		}
	})
}

// A failure is logged once, with the stack of the panic; what the framework
// says of it is not logged.
func TestFailuresAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ref, err := Spawn(New(slog.New(slog.NewTextHandler(&out, nil))), newHooks().spec("a", Restart))
		if err != nil {
			t.Fatal(err)
		}
		ref.Tell(note("boom"))
		synctest.Wait()
		ref.Stop()
		synctest.Wait()
		ref.Tell(note("a dead letter"))
		time.Sleep(time.Minute)
		got := out.String()
		if n := strings.Count(got, "\n"); n != 1 {
			t.Errorf("got %d records, want 1:\n%s", n, got)
		}
		for _, want := range []string{"level=ERROR", "actor=a", "panic=boom", "note.do"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in:\n%s", want, got)
			}
		}
	})
}
