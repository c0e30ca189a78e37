package persistence

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// A commit does not wait for those that another flow has queued before it: it is in the
// next transaction, which has no more of the other flow than one transaction may.
func TestFlowsTakeTurns(t *testing.T) {
	for name, entry := range map[string]int{"many commits": 1, "long commits": 50 << 10} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			release := stall(s)
			before := transactions(t, s)
			var flood atomic.Int64
			for i := range 500 {
				c := Commit{Room: fmt.Sprint("flood-", i), Flow: "mallory", Entries: [][]byte{make([]byte, entry)}}
				s.Append(c, func(error) {
					if transactions(t, s)-before == 1 {
						flood.Add(1)
					}
				})
			}
			at := make(chan int, 2)
			for _, flow := range []string{"alice", "bob"} {
				s.Append(Commit{Room: flow, Flow: flow, Entries: entries("x")}, func(error) { at <- transactions(t, s) - before })
			}
			release()
			if first, second := <-at, <-at; first != 1 || second != 1 {
				t.Errorf("in transactions %d and %d, want the first", first, second)
			}
			if n := int(flood.Load()); n == 0 || n > flowCommits || n*entry > flowBytes+entry {
				t.Errorf("%d commits of the flood were in the first transaction", n)
			}
		})
	}
}

// The commits of a room keep their order, also if they change from one flow to another,
// and so does its deletion.
func TestRoomsKeepTheirOrder(t *testing.T) {
	s := newStore(t)
	release := stall(s)
	for i := range 200 {
		s.Append(Commit{Room: fmt.Sprint("other-", i), Flow: "alice", Entries: entries("x")}, nil)
	}
	var failed []error
	done := func(err error) { failed = append(failed, err) }
	for i := range uint64(100) {
		s.Append(Commit{Room: "a", After: i, Flow: []string{"alice", "bob"}[i%2], Entries: entries("x")}, done)
	}
	s.Delete("a", done)
	s.Append(Commit{Room: "a", Flow: "carol", Entries: entries("anew")}, done)
	release()
	mustAppend(t, s, Commit{Room: "a", After: 1, Flow: "dave", Entries: entries("x")})
	if err := errors.Join(failed...); err != nil || len(failed) != 102 {
		t.Errorf("%d answers, %v", len(failed), err)
	}
}

// One flow cannot fill the queue: another still finds a place in it.
func TestFlowsDoNotFillTheQueue(t *testing.T) {
	s := openStore(t, newPath(t), Options{QueueBytes: 40_000})
	release := stall(s)
	busy := 0
	for i := range 100 {
		s.Append(Commit{Room: fmt.Sprint("flood-", i), Flow: "mallory", Entries: [][]byte{make([]byte, 1000)}}, func(err error) {
			if errors.Is(err, ErrBusy) {
				busy++
			}
		})
	}
	release2 := make(chan error, 1)
	s.Append(Commit{Room: "alice", Flow: "alice", Entries: [][]byte{make([]byte, 5000)}}, func(err error) { release2 <- err })
	release()
	if err := <-release2; err != nil {
		t.Errorf("alice: %v", err)
	}
	mustAppend(t, s, Commit{Room: "last", Flow: "mallory", Entries: entries("x")})
	if busy < 90 || busy > 95 {
		t.Errorf("%d commits of the flood were refused", busy)
	}
}

// Requests are put and taken in any order: nothing is lost, rooms keep their order, a flow
// is served in each batch unless that is full, and the counts agree.
func TestQueueAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(1 << 20)
		rooms := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"})
		flows := rapid.SampledFrom([]string{"", "x", "y", "z"})
		put, taken := map[string]int{}, map[string]int{}
		number := map[*request]int{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "take") > 0 || q.count == 0 {
				r := &request{room: rooms.Draw(t, "room"), flow: flows.Draw(t, "flow"), size: rapid.SampledFrom([]int{1, 1000, flowBytes / 2}).Draw(t, "size")}
				q.put(r)
				number[r] = put[r.room]
				put[r.room]++
				continue
			}
			count := rapid.IntRange(1, 8).Draw(t, "count")
			batch := q.take(count, 2*flowBytes)
			if len(batch) == 0 || len(batch) > count {
				t.Fatalf("%d requests of %d", len(batch), count)
			}
			for _, r := range batch {
				if r.room != "" && number[r] != taken[r.room] {
					t.Fatalf("room %s: request %d came when %d was next", r.room, number[r], taken[r.room])
				}
				taken[r.room]++
			}
		}
		left, size := 0, 0
		for _, f := range q.turns {
			if f.first == nil || q.flows[f.name] != f {
				t.Errorf("flow %q has a turn and no requests, or is not known", f.name)
			}
			for r := f.first; r != nil; r = r.next {
				left, size = left+1, size+r.size
			}
		}
		for room, n := range put {
			left -= n - taken[room]
		}
		if left != 0 || len(q.turns) != len(q.flows) || size != q.bytes {
			t.Errorf("%d requests too many, %d turns of %d flows, %d bytes counted as %d", left, len(q.turns), len(q.flows), size, q.bytes)
		}
	})
}
