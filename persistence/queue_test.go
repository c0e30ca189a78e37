package persistence

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestManyCommitsShareATransaction(t *testing.T) {
	s := newStore(t)
	const commits = 1000 // below DefaultTxCommits
	release := stall(s)
	before := transactions(t, s)
	var refused atomic.Int64
	var wg sync.WaitGroup
	for i := range commits {
		wg.Add(1)
		s.Append(Commit{Room: fmt.Sprintf("room-%d", i%70), After: uint64(i / 70), Entries: entries("x")}, func(err error) {
			if err != nil {
				refused.Add(1)
			}
			wg.Done()
		})
	}
	release()
	wg.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d commits refused", n)
	}
	if got := transactions(t, s) - before; got != 1 {
		t.Errorf("%d commits took %d transactions, want 1", commits, got)
	}
}

// With one processor, the writer runs next once the first request is queued. The
// requests of all other callers that can run still have to get into the same
// transaction.
func TestRunnableCallersShareATransactionOnOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := newStore(t)
	const callers, rounds = 100, 50
	begin, first := transactions(t, s), 0
	for round := range rounds {
		for range 10 {
			runtime.Gosched() // until the writer waits
		}
		before := transactions(t, s)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Add(1)
			go s.Append(Commit{Room: fmt.Sprintf("room-%d", i), After: uint64(round), Entries: entries("x")}, func(err error) {
				if err != nil {
					t.Error(err)
				}
				if transactions(t, s)-before == 1 {
					first++ // the writer's goroutine counts, until Wait returns
				}
				wg.Done()
			})
		}
		wg.Wait()
	}
	// The scheduler under the race detector runs the writer next only half the time.
	if first < rounds*callers*4/5 {
		t.Errorf("the first transactions of %d rounds held %d of %d commits, want nearly all", rounds, first, rounds*callers)
	}
	if n := transactions(t, s) - begin; n > rounds*callers/10 {
		t.Errorf("%d commits took %d transactions, want far fewer", rounds*callers, n)
	}
}

func TestTransactionsAreBounded(t *testing.T) {
	for name, o := range map[string]Options{
		"count": {TxCommits: 3},
		"bytes": {TxBytes: 3*(requestOverhead+100) + 50},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, newPath(t), o)
			release := stall(s)
			before := transactions(t, s)
			var after []int // transactions seen by each commit
			for i := range 8 {
				s.Append(Commit{Room: fmt.Sprintf("room-%d", i), Entries: [][]byte{make([]byte, 100)}},
					func(error) { after = append(after, transactions(t, s)-before) })
			}
			release()
			mustAppend(t, s, Commit{Room: "last", Entries: entries("1")})
			if diff := cmp.Diff([]int{1, 1, 1, 2, 2, 2, 3, 3}, after); diff != "" {
				t.Errorf("transactions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFullQueueRefusesInOrder(t *testing.T) {
	s := openStore(t, newPath(t), Options{QueueBytes: 3 * (requestOverhead + 1)})
	release := stall(s)
	outcomes := make(chan error, 5)
	for after := range uint64(5) {
		s.Append(Commit{Room: "a", After: after, Entries: entries("x")}, func(err error) { outcomes <- err })
	}
	release()
	for i := range 5 {
		if err, want := <-outcomes, i >= 3; errors.Is(err, ErrBusy) != want {
			t.Errorf("commit %d: %v, busy expected: %v", i, err, want)
		}
	}
	mustAppend(t, s, Commit{Room: "a", After: 3, Entries: entries("x")})
	// An empty queue takes any commit that is small enough for the store.
	mustAppend(t, s, Commit{Room: "b", Entries: [][]byte{make([]byte, 10_000)}})
}
