package guard

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"parlor/protocol/chat"
)

// ask takes n places for a user, each on a goroutine, and counts those that it gets.
func ask(ctx context.Context, p *places, user chat.UserID, n int, got *atomic.Int64) {
	for range n {
		go func() {
			if p.take(ctx, user) == nil {
				got.Add(1)
			}
		}()
		synctest.Wait()
	}
}

// A user who asks for more answers than a provider gives at once keeps no other user
// waiting for one of them to end. Who waits for a free place has it by turns.
func TestPlacesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPlaces(8)
		var mallory, alice, bob atomic.Int64
		ask(ctx, p, "mallory", 64, &mallory)
		ask(ctx, p, "alice", 2, &alice)
		ask(ctx, p, "bob", 2, &bob)
		want := func(want ...int64) {
			t.Helper()
			synctest.Wait()
			if got := []int64{mallory.Load(), alice.Load(), bob.Load()}; !slices.Equal(got, want) {
				t.Errorf("mallory, alice and bob have got %d, want %d", got, want)
			}
		}
		want(6, 2, 0)
		p.leave("mallory") // both of bob's come before mallory's next
		want(6, 2, 1)
		p.leave("mallory")
		want(6, 2, 2)
		p.leave("mallory")
		want(7, 2, 2)
		cancel()
		synctest.Wait()
		if len(p.waiting) > 0 || p.taken != 8 {
			t.Errorf("%d wait and %d are taken", len(p.waiting), p.taken)
		}
	})
}

// Requests of nobody in particular may take all places, first come first served.
func TestPlacesOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p, got := newPlaces(4), new(atomic.Int64)
		ask(ctx, p, "", 6, got)
		if got.Load() != 4 || p.tryTake("") || p.tryTake("alice") {
			t.Errorf("%d have a place, and there are more", got.Load())
		}
		p.leave("")
		p.leave("")
		synctest.Wait()
		if got.Load() != 6 {
			t.Errorf("%d have got a place, want all", got.Load())
		}
		cancel()
		synctest.Wait()
	})
}

func TestPlacesAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlaces(rapid.IntRange(1, 5).Draw(t, "limit"))
		user := rapid.SampledFrom([]chat.UserID{"", "a", "b", "c"})
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			u := user.Draw(t, "user")
			if rapid.Bool().Draw(t, "leaves") && p.held[u] > 0 {
				p.leave(u)
			} else {
				p.waiting = append(p.waiting, &waiter{u, make(chan struct{})})
				p.fill()
			}
			sum := 0
			for u, n := range p.held {
				sum += n
				if u != "" && n > p.perUser || n <= 0 {
					t.Fatalf("%q has %d places", u, n)
				}
			}
			if sum != p.taken || sum > p.limit {
				t.Fatalf("%d places are taken, counted as %d, of %d", sum, p.taken, p.limit)
			}
			for _, w := range p.waiting {
				if sum < p.limit && p.may(w.user) {
					t.Fatalf("%q waits beside a free place", w.user)
				}
			}
		}
	})
}
