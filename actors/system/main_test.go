package system

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// task is a message that says itself what the actor does with it.
type task interface{ do(w *worker) }

type do func(w *worker)

func (d do) do(w *worker) { d(w) }

// note is a task that leaves its text in the journal, and then panics if that
// begins with "boom".
type note string

func (n note) do(w *worker) {
	w.journal.add("%s", n)
	if len(n) >= 4 && n[:4] == "boom" {
		panic(string(n))
	}
}

// worker is an instance of an actor that keeps a journal of what happens to it.
type worker struct {
	*hooks
	number int // of the instance, from 1
	self   *Self[task]
}

// hooks are what the instances of one actor share. The functions run after
// the entry in the journal and may be nil.
type hooks struct {
	journal                    *journal
	made                       int
	started, salvage, stopping func(w *worker)
	childStopped               func(w *worker, name string)
}

func (h *hooks) spec(name string, p Policy) Spec[task] {
	return Spec[task]{Name: name, Policy: p, New: func() Actor[task] {
		h.made++
		return &worker{hooks: h, number: h.made}
	}}
}

func (w *worker) Started(self *Self[task]) {
	w.self = self
	w.tell("started", w.started)
}

func (w *worker) Receive(t task) { t.do(w) }
func (w *worker) Salvage(t task) { w.tell(fmt.Sprintf("salvage %v", t), w.salvage) }
func (w *worker) Stopping()      { w.tell("stopping", w.stopping) }
func (w *worker) ChildStopped(n string) {
	w.journal.add("child %s stopped", n)
	if w.childStopped != nil {
		w.childStopped(w, n)
	}
}

func (w *worker) tell(event string, hook func(*worker)) {
	w.journal.add("%s %d", event, w.number)
	if hook != nil {
		hook(w)
	}
}

// journal is what happened, in order.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

// want checks what was added since the last call.
func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(want, slices.Clone(j.entries)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	j.entries = nil
}

func newHooks() *hooks { return &hooks{journal: new(journal)} }

// spawn spawns an actor that is stopped, and has stopped, with the test.
func spawn(t *testing.T, spec Spec[task]) Ref[task] {
	t.Helper()
	stopped := make(chan struct{})
	then := spec.Stopped
	spec.Stopped = func() {
		defer close(stopped)
		if then != nil {
			then()
		}
	}
	ref, err := Spawn(New(nil), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ref.Stop()
		<-stopped
	})
	return ref
}

// child makes the actor spawn a child.
func child(ref Ref[task], h *hooks, name string) *Ref[task] {
	var c Ref[task]
	ref.Tell(do(func(w *worker) {
		var err error
		if c, err = SpawnChild(w.self, h.spec(name, 0)); err != nil {
			w.journal.add("spawn %s: %v", name, err)
		}
	}))
	return &c
}
