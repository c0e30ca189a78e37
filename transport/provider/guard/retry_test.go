package guard

import (
	"context"
	"errors"
	"iter"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

func TestRetry(t *testing.T) {
	none := Options{Retries: -1}
	for _, test := range []struct {
		name     string
		opts     Options
		answers  []answer
		text     string
		retrying []string
		err      string // the message; empty for none
		asked    int
	}{
		{"answer", Options{}, []answer{says(0, "a", "b")}, "ab", nil, "", 1},
		{"no answer at all", Options{}, []answer{says(0)}, "", nil, "", 1},
		{"once", Options{}, []answer{fails(broken), says(0, "a")}, "a", []string{"it is broken"}, "", 2},
		{"out of reach", Options{}, []answer{fails(away), says(0, "a")}, "a", []string{"it is away"}, "", 2},
		{"too often", Options{}, []answer{fails(broken)}, "", []string{"it is broken", "it is broken"}, "it is broken", 3},
		{"never", none, []answer{fails(broken)}, "", nil, "it is broken", 1},
		{"more often", Options{Retries: 4}, []answer{fails(broken), fails(away), fails(broken), fails(away), says(0, "a")}, "a",
			[]string{"it is broken", "it is away", "it is broken", "it is away"}, "", 5},
		{"not after the first word", Options{}, []answer{fails(broken, "a"), says(0, "b")}, "a", nil, "it is broken", 1},
		{"not a timeout", Options{}, []answer{fails(late), says(0, "a")}, "", nil, "it is late", 1},
		{"not what was refused", Options{}, []answer{fails(wrongKey), says(0, "a")}, "", nil, "wrong key", 1},
		{"not our own fault", Options{}, []answer{fails(errors.New("encode")), says(0, "a")}, "", nil, "something went wrong in the server", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, test.opts, func(t *testing.T, g *Guard) {
				p := provides(test.answers...)
				h := listen(t.Context(), g, p)
				if h.text != test.text || p.times() != test.asked {
					t.Errorf("got %q, asked %d times, want %q and %d", h.text, p.times(), test.text, test.asked)
				}
				if diff := cmp.Diff(test.retrying, h.retrying); diff != "" {
					t.Errorf("retrying (-want +got):\n%s", diff)
				}
				if test.err == "" && h.err != nil || test.err != "" && chat.AsError(h.err).Message != test.err {
					t.Errorf("got error %v, want %q", h.err, test.err)
				}
			})
		})
	}
}

// A tool that the provider has run must not run again.
func TestNoRetryAfterATool(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		asked := 0
		p := streamer(func(_ context.Context, yield func(chat.Delta, error) bool) {
			asked++
			_ = yield(chat.Delta{Tool: &chat.ToolCall{ID: "1"}}, nil) && yield(chat.Delta{}, broken)
		})
		wantMessage(t, listen(t.Context(), g, p).err, "it is broken")
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A streamer is a provider that is a function.
type streamer func(ctx context.Context, yield func(chat.Delta, error) bool)

func (s streamer) Stream(ctx context.Context, _ chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) { s(ctx, yield) }
}

func TestBackoffGrowsAndDiffers(t *testing.T) {
	bubble(t, Options{Retries: 6, RetryDelay: time.Second, RetryBudget: time.Hour, Failures: -1}, func(t *testing.T, g *Guard) {
		p := provides(fails(broken))
		listen(t.Context(), g, p)
		same := true
		for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
			most *= time.Second
			got := p.asked[i+1].Sub(p.asked[i])
			if got < most/2 || got > most {
				t.Errorf("pause %d is %v, want half to all of %v", i, got, most)
			}
			same = same && got == most
		}
		if same {
			t.Error("the pauses have no jitter")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		asked int
		took  time.Duration // and at most the first pause
		err   string
	}{
		{"is waited for", 20 * time.Second, 2, 20 * time.Second, ""},
		{"longer than the budget", 2 * time.Minute, 1, 0, "it is busy (retry after 2m0s)"},
		{"longer than can be added to", math.MaxInt64, 1, 0, "it is busy (retry after 2562047h47m16.854775807s)"},
		{"in all longer than the budget", 20 * time.Second, 2, 20 * time.Second, "it is busy (retry after 20s)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, g *Guard) {
				answers := []answer{fails(busyFor(test.after))}
				if test.err == "" {
					answers = append(answers, says(0, "a"))
				}
				p := provides(answers...)
				h := listen(t.Context(), g, p)
				pause := h.took - test.took
				if p.times() != test.asked || pause < 0 || pause > DefaultRetryDelay || (pause == 0) != (test.asked == 1) {
					t.Errorf("asked %d times in %v, want %d in %v and a pause", p.times(), h.took, test.asked, test.took)
				}
				if test.err != "" {
					wantMessage(t, h.err, test.err)
				} else if h.err != nil {
					t.Error(h.err)
				}
			})
		})
	}
}

// A provider that says how long it wants to be left alone is not told twice.
func TestRetryAfterIsSaidOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		said := *broken
		said.RetryAfter, said.Err = time.Hour, chat.Refuse(chat.CodeProviderError, "429 (retry after 3600 s)")
		wantMessage(t, listen(t.Context(), g, provides(fails(&said))).err, said.Err.Message)
	})
}

// A request that has taken the whole budget is not made again.
func TestSlowFailureIsNotRetried(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		p := provides(failsAfter(DefaultRetryBudget, broken))
		h := listen(t.Context(), g, p)
		if p.times() != 1 || h.took != DefaultRetryBudget {
			t.Errorf("asked %d times in %v", p.times(), h.took)
		}
	})
}

func TestCancelWhileBackingOff(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, g *Guard) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		h := listen(ctx, g, provides(fails(busyFor(20*time.Second))))
		if !errors.Is(h.err, stopped) || h.took != time.Second {
			t.Errorf("got %v after %v", h.err, h.took)
		}
	})
}

// A consumer who leaves is not called again, wherever it leaves, and takes
// nothing with it.
func TestLeave(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []answer
		leaves  func(chat.Delta) bool
	}{
		{"at a word", []answer{says(0, "a", "b")}, func(d chat.Delta) bool { return d.Text == "a" }},
		{"at a retry", []answer{fails(broken)}, func(d chat.Delta) bool { return d.Retrying != nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, Options{Streams: 1}, func(t *testing.T, g *Guard) {
				for d := range g.Stream(t.Context(), provides(test.answers...), chat.Prompt{}, false) {
					if test.leaves(d) {
						break
					}
				}
				if h := listen(t.Context(), g, provides(says(0, "next"))); h.text != "next" || h.err != nil || h.took != 0 {
					t.Errorf("afterwards: got %+v", h)
				}
			})
		})
	}
}

func TestPanicGivesThePlaceBack(t *testing.T) {
	bubble(t, Options{Streams: 1}, func(t *testing.T, g *Guard) {
		func() {
			defer func() { recover() }()
			listen(t.Context(), g, provides(func(context.Context, func(string) bool) error { panic("a bug") }))
		}()
		if h := listen(t.Context(), g, provides(says(0, "next"))); h.text != "next" || h.took != 0 {
			t.Errorf("afterwards: got %+v", h)
		}
	})
}

func TestPlaces(t *testing.T) {
	bubble(t, Options{Streams: 2}, func(t *testing.T, g *Guard) {
		p := provides(says(10*time.Second, "a"))
		order := make(chan int, 6)
		for i := range 6 {
			go func() {
				if h := listen(t.Context(), g, p); h.err != nil {
					t.Error(h.err)
				}
				order <- i
			}()
			synctest.Wait() // so that they come in order
		}
		if got := p.times(); got != 2 {
			t.Errorf("%d requests at once, want 2", got)
		}
		var left []int
		for range 3 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			a, b := <-order, <-order
			left = append(left, min(a, b), max(a, b))
		}
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5}, left); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestWaitForAPlaceIsBounded(t *testing.T) {
	bubble(t, Options{Streams: 1, Wait: time.Minute}, func(t *testing.T, g *Guard) {
		ctx, cancel := context.WithCancel(t.Context())
		go listen(ctx, g, provides(hangs))
		synctest.Wait()
		p := provides(says(0, "a"))
		h := listen(t.Context(), g, p)
		wantMessage(t, h.err, "test is busy: it answers 1 others, and none of them was done within 1m0s")
		if chat.AsError(h.err).Code != chat.CodeProviderTimeout || h.took != time.Minute || p.times() != 0 {
			t.Errorf("got %v after %v", h.err, h.took)
		}
		if got := g.Health().State; got != chat.ProviderClosed {
			t.Errorf("the breaker is %s: a crowd is not the provider's fault", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestCancelWhileWaitingForAPlace(t *testing.T) {
	bubble(t, Options{Streams: 1}, func(t *testing.T, g *Guard) {
		hung, cancelHung := context.WithCancel(t.Context())
		go listen(hung, g, provides(hangs))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if h := listen(ctx, g, provides(says(0, "a"))); !errors.Is(h.err, context.DeadlineExceeded) || h.took != time.Second {
			t.Errorf("got %v after %v", h.err, h.took)
		}
		cancelHung()
		synctest.Wait()
		if h := listen(t.Context(), g, provides(says(0, "a"))); h.text != "a" || h.took != 0 {
			t.Errorf("afterwards: got %+v", h)
		}
	})
}
