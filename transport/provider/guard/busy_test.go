package guard

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A slotted provider answers so many prompts at once, and refuses the others.
type slotted struct {
	takes      time.Duration // for one answer
	retryAfter time.Duration // it asks for
	refuses    time.Duration // time that a refusal takes

	mu      sync.Mutex
	slots   int
	begun   []int // who was answered, in this order
	refused int
}

func (s *slotted) take(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots == 0 {
		s.refused++
		return false
	}
	s.slots--
	s.begun = append(s.begun, n)
	return true
}

func (s *slotted) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots++
}

// Stream implements [Provider]. MaxTokens says who asks.
func (s *slotted) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		if !s.take(p.MaxTokens) {
			_ = sleep(ctx, s.refuses)
			yield(chat.Delta{}, &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "429"), Retryable: true, Busy: true, RetryAfter: s.retryAfter})
			return
		}
		defer time.AfterFunc(10*time.Millisecond, s.free) // it counts a little longer
		if err := sleep(ctx, s.takes); err != nil {
			yield(chat.Delta{}, err)
			return
		}
		yield(chat.Delta{Text: "a"}, nil)
	}
}

// together asks n times at once, and again n times while the first wait. It
// returns what was heard.
func together(t *testing.T, g *Guard, p Provider, n int) []heard {
	all := make([]heard, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = hear(t.Context(), g, p, chat.Prompt{Model: "m", MaxTokens: i}, false) })
		synctest.Wait() // so that they come in order
	}
	wg.Wait()
	return all
}

// More requests than a provider has slots wait for their turn, and all are
// answered, in the order in which they came unless the provider takes long to refuse
// them. The breaker stays closed.
func TestBusyProviderIsWaitedFor(t *testing.T) {
	for _, test := range []struct {
		name     string
		provider *slotted
		within   time.Duration
	}{
		{"it says nothing", &slotted{takes: 10 * time.Second}, 24 * time.Second},
		{"it is quick", &slotted{takes: 100 * time.Millisecond}, 3 * time.Second},
		{"it says when", &slotted{takes: 10 * time.Second, retryAfter: 2 * time.Second}, 30 * time.Second},
		{"it is slow", &slotted{takes: 50 * time.Second}, 104 * time.Second},
		{"it refuses slowly", &slotted{takes: 10 * time.Second, refuses: time.Second}, 24 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, Options{Failures: 2}, func(t *testing.T, g *Guard) {
				p := test.provider
				p.slots = 8
				var order []int
				for i, h := range together(t, g, p, 12) {
					order = append(order, i)
					if h.text != "a" || h.err != nil || h.states != nil || h.took > test.within {
						t.Errorf("request %d: %+v", i, h)
					}
				}
				if diff := cmp.Diff(order, p.begun); diff != "" && p.refuses == 0 {
					t.Errorf("answered in the order (-want +got):\n%s", diff)
				}
				wantState(t, g, chat.ProviderClosed)
				if got := p.refused; got > 60 {
					t.Errorf("the provider had to refuse %d times", got)
				}
				synctest.Wait()
				if !g.models.use("m").line.empty() {
					t.Error("somebody is still in line")
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// A user with many requests in line does not keep another waiting until all of them
// are answered.
func TestBusyProviderIsSharedBetweenUsers(t *testing.T) {
	bubble(t, Options{Wait: 10 * time.Minute}, func(t *testing.T, g *Guard) {
		p := &slotted{takes: 10 * time.Second, slots: 4}
		var wg sync.WaitGroup
		ask := func(user chat.UserID, n int) {
			wg.Go(func() {
				h := hear(t.Context(), g, p, chat.Prompt{Model: "m", User: user, MaxTokens: n}, false)
				if h.text != "a" || h.err != nil {
					t.Errorf("request %d of %s: %+v", n, user, h)
				}
			})
			synctest.Wait()
		}
		for i := range 60 {
			ask("mallory", i)
		}
		for i := range 3 {
			ask("bob", 100+i)
		}
		wg.Wait()
		before := 0
		for at, n := range p.begun {
			if n >= 100 {
				before = at
			}
		}
		if before > 4+3*2 {
			t.Errorf("%d requests were answered before the last of bob's three: %v", before, p.begun)
		}
		if g.models.use("m").line.running["mallory"] != 0 {
			t.Error("requests are counted that have ended")
		}
		time.Sleep(time.Second)
	})
}

// A model that never has room is waited for as long as for a place, and those who
// come meanwhile do not ask at all.
func TestBusyProviderIsWaitedForWithinLimits(t *testing.T) {
	bubble(t, Options{Wait: time.Minute}, func(t *testing.T, g *Guard) {
		p := &slotted{takes: 2 * time.Minute, slots: 1}
		for i, h := range together(t, g, p, 4) {
			want, code := "429", chat.CodeProviderError
			switch i {
			case 0:
				continue
			case 1:
			default:
				want, code = "test is busy: this has waited 1m0s for its turn", chat.CodeProviderTimeout
			}
			wantMessage(t, h.err, want)
			if h.took != time.Minute || chat.AsError(h.err).Code != code || len(h.retrying) == 0 {
				t.Errorf("request %d: %+v", i, h)
			}
		}
		wantState(t, g, chat.ProviderClosed)
		if p.refused > 20 {
			t.Errorf("it was asked %d times in a minute", p.refused)
		}
	})
}

// A provider that is busy, but not with us, is asked as often as one that fails,
// when it said.
func TestBusyWithOthers(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, g *Guard) {
				p := &slotted{retryAfter: after}
				h := listen(t.Context(), g, p)
				if pauses := h.took - DefaultRetries*after; p.refused != 1+DefaultRetries || pauses < 0 || pauses > 3*DefaultRetryDelay || len(h.retrying) != DefaultRetries {
					t.Errorf("asked %d times, %+v", p.refused, h)
				}
				wantState(t, g, chat.ProviderClosed)
			})
		})
	}
}

// A pause that a provider asks for is not waited for if it is longer than the limit.
func TestBusyForLong(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		p := &slotted{retryAfter: time.Hour}
		h := listen(t.Context(), g, p)
		wantMessage(t, h.err, "429 (retry after 1h0m0s)")
		if h.took != 0 || p.refused != 1 {
			t.Errorf("asked %d times in %v", p.refused, h.took)
		}
	})
}

// With another model to ask, nobody waits longer than for a failure.
func TestHurried(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		p := new(slotted)
		h := hear(t.Context(), g, p, chat.Prompt{}, true)
		wantMessage(t, h.err, "429")
		if p.refused != 1+DefaultRetries || h.took > 3*DefaultRetryDelay {
			t.Errorf("asked %d times in %v", p.refused, h.took)
		}
		wantState(t, g, chat.ProviderClosed)
	})
}

// Somebody who leaves the line holds nobody up, wherever in it.
func TestLeaveTheLine(t *testing.T) {
	for leaves := range 3 {
		t.Run(fmt.Sprint(leaves), func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, g *Guard) {
				p := &slotted{takes: 5 * time.Second, slots: 1}
				var wg sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				all := make([]heard, 4)
				for i := range all {
					of := t.Context()
					if i == leaves+1 {
						of = ctx
					}
					wg.Go(func() { all[i] = hear(of, g, p, chat.Prompt{MaxTokens: i}, false) })
					synctest.Wait()
				}
				time.Sleep(time.Second)
				cancel()
				wg.Wait()
				for i, h := range all {
					if i == leaves+1 && h.took != time.Second || i != leaves+1 && h.text != "a" {
						t.Errorf("request %d: %+v", i, h)
					}
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// A busy session is no failure of its provider either.
func TestBusySession(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		for range 3 {
			ended, err := g.Admit()
			if err != nil {
				t.Fatal(err)
			}
			ended(chat.StateFailed, &upstream.Failure{Err: chat.Refuse(chat.CodeProviderError, "429"), Retryable: true, Busy: true})
		}
		wantState(t, g, chat.ProviderClosed)
	})
}
