package guard

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// once asks without asking again.
var once = Options{Retries: -1, Failures: 3}

func wantState(t *testing.T, g *Guard, want chat.ProviderState) {
	t.Helper()
	if got := g.Health().State; got != want {
		t.Errorf("the breaker is %s, want %s", got, want)
	}
}

// open makes the breaker open.
func open(t *testing.T, g *Guard) {
	t.Helper()
	for range g.opts.Failures {
		listen(t.Context(), g, provides(fails(broken)))
	}
	wantState(t, g, chat.ProviderOpen)
}

func TestBreakerOpens(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		for range 2 {
			if h := listen(t.Context(), g, provides(fails(broken))); h.states != nil {
				t.Errorf("told %v", h.states)
			}
		}
		wantState(t, g, chat.ProviderClosed)
		h := listen(t.Context(), g, provides(fails(broken)))
		wantMessage(t, h.err, "it is broken")
		if diff := cmp.Diff([]chat.ProviderState{chat.ProviderOpen}, h.states); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}

		p := provides(says(0, "a"))
		h = listen(t.Context(), g, p)
		e := chat.AsError(h.err)
		at := chat.Timestamp(time.Now().Add(DefaultCoolDown))
		if e.Code != chat.CodeProviderError || !strings.Contains(e.Message, "in 30s, at "+at) {
			t.Errorf("refused with %v", e)
		}
		if p.times() != 0 || h.took != 0 || len(h.states) != 1 {
			t.Errorf("asked %d times in %v, told %v", p.times(), h.took, h.states)
		}
	})
}

func TestBreakerCloses(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		open(t, g)
		time.Sleep(DefaultCoolDown)
		wantState(t, g, chat.ProviderHalfOpen)
		h := listen(t.Context(), g, provides(says(time.Second, "a", "b")))
		if diff := cmp.Diff([]chat.ProviderState{chat.ProviderHalfOpen, chat.ProviderClosed}, h.states); diff != "" || h.text != "ab" {
			t.Errorf("got %q, told (-want +got):\n%s", h.text, diff)
		}
		wantState(t, g, chat.ProviderClosed)
		listen(t.Context(), g, provides(fails(broken))) // it counts from the beginning
		wantState(t, g, chat.ProviderClosed)
	})
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		open(t, g)
		time.Sleep(DefaultCoolDown)
		go listen(t.Context(), g, provides(says(10*time.Second, "a", "b")))
		synctest.Wait()
		p := provides(says(0, "c"))
		if h := listen(t.Context(), g, p); h.err == nil || p.times() != 0 {
			t.Errorf("a second probe: %+v", h)
		}
		time.Sleep(10 * time.Second) // the first word has come, the answer goes on
		synctest.Wait()
		if h := listen(t.Context(), g, p); h.text != "c" || h.err != nil {
			t.Errorf("after the first word: %+v", h)
		}
		time.Sleep(10 * time.Second)
	})
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name  string
		probe answer
		want  chat.ProviderState
	}{
		{"fails", fails(broken), chat.ProviderOpen},
		{"is refused", fails(wrongKey), chat.ProviderClosed},
		{"finds nobody", fails(nowhere), chat.ProviderHalfOpen},
		{"answers with nothing", says(0), chat.ProviderClosed},
		{"is given up", hangs, chat.ProviderHalfOpen},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, once, func(t *testing.T, g *Guard) {
				open(t, g)
				time.Sleep(DefaultCoolDown)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				listen(ctx, g, provides(test.probe))
				wantState(t, g, test.want)
				time.Sleep(DefaultCoolDown)
				if h := listen(t.Context(), g, provides(says(0, "a"))); h.text != "a" {
					t.Errorf("later: got %+v", h)
				}
			})
		})
	}
}

// A breaker opens only after failures in a row, within a while, that are the provider's.
func TestBreakerStaysClosed(t *testing.T) {
	for name, answers := range map[string][]answer{
		"an answer between":        {fails(broken), fails(broken), says(0, "a"), fails(broken), fails(broken)},
		"a refusal between":        {fails(broken), fails(broken), fails(wrongKey), fails(broken), fails(broken)},
		"refusals":                 {fails(wrongKey), fails(wrongKey), fails(wrongKey), fails(wrongKey)},
		"over a long time":         {failsAfter(DefaultFailureSpan, broken), failsAfter(DefaultFailureSpan, broken), failsAfter(DefaultFailureSpan, broken)},
		"callers that do not wait": {hangs, hangs, hangs, hangs},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, once, func(t *testing.T, g *Guard) {
				for _, a := range answers {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					listen(ctx, g, provides(a))
					cancel()
				}
				wantState(t, g, chat.ProviderClosed)
			})
		})
	}
}

// A model that fails while another answers is left alone, and the other one is not. When
// that fails too the provider is at fault, and at once when it is out of reach.
func TestBrokenModelIsLeftAlone(t *testing.T) {
	bubble(t, Options{Retries: -1}, func(t *testing.T, g *Guard) {
		ask := func(model chat.ModelID, a answer) heard {
			return hear(t.Context(), g, provides(a), chat.Prompt{Model: model}, false)
		}
		ask("good", says(0, "a"))
		for i := range 3 * DefaultFailures {
			ask(chat.ModelID([]string{"bad", "worse", "worst"}[i%3]), fails(broken))
		}
		wantState(t, g, chat.ProviderClosed)
		if h := ask("good", says(0, "a")); h.text != "a" || g.HealthOf("bad").State != chat.ProviderOpen {
			t.Errorf("the good model: %+v; the bad one is %s", h, g.HealthOf("bad").State)
		}
		for range DefaultFailures {
			ask("good", fails(broken))
		}
		wantState(t, g, chat.ProviderOpen)
		time.Sleep(DefaultCoolDown)
		ask("good", says(0, "a"))
		for range DefaultFailures {
			ask("other", fails(&upstream.Failure{Err: broken.Err, Retryable: true, Unanswered: true}))
		}
		wantState(t, g, chat.ProviderOpen)
	})
}

// A model that is too slow is left alone, and its provider's other models are not.
func TestSlowModelIsLeftAlone(t *testing.T) {
	bubble(t, Options{Retries: -1}, func(t *testing.T, g *Guard) {
		ask := func(model chat.ModelID, p Provider) heard {
			return hear(t.Context(), g, p, chat.Prompt{Model: model}, false)
		}
		var h heard
		for range DefaultFailures {
			h = ask("slow", provides(failsAfter(time.Minute, late)))
		}
		if diff := cmp.Diff([]chat.ProviderState{chat.ProviderOpen}, h.states); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		wantState(t, g, chat.ProviderClosed)
		if slow, quick := g.HealthOf("slow").State, g.HealthOf("quick").State; slow != chat.ProviderOpen || quick != chat.ProviderClosed {
			t.Errorf("the slow model is %s, the other %s", slow, quick)
		}
		if h := ask("quick", provides(says(0, "a"))); h.text != "a" || h.err != nil || h.states != nil {
			t.Errorf("another model: %+v", h)
		}
		p := provides(says(0, "a"))
		if h := ask("slow", p); p.times() != 0 || !strings.HasPrefix(chat.AsError(h.err).Message, "this model of test has failed too often; it will be asked again in 30s") {
			t.Errorf("the slow model: asked %d times, %+v", p.times(), h)
		}
		time.Sleep(DefaultCoolDown)
		if h := ask("slow", p); h.text != "a" || g.HealthOf("slow").State != chat.ProviderClosed {
			t.Errorf("later: %+v", h)
		}
	})
}

// A provider that has failed and then says nothing at all does not answer again.
func TestSilentProbe(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		open(t, g)
		time.Sleep(DefaultCoolDown)
		listen(t.Context(), g, provides(fails(late)))
		wantState(t, g, chat.ProviderOpen)
	})
}

// Only so many models are remembered, and none that fares well.
func TestModelsAreForgotten(t *testing.T) {
	bubble(t, Options{Retries: -1}, func(t *testing.T, g *Guard) {
		for i := range 3 * maxRemembered {
			model := chat.ModelID(fmt.Sprint(i))
			hear(t.Context(), g, provides(says(0, "a")), chat.Prompt{Model: model}, false)
			if g.models.find(model) != nil {
				t.Errorf("%s is remembered", model)
			}
		}
		for i := range 3 * maxRemembered {
			hear(t.Context(), g, provides(fails(late)), chat.Prompt{Model: chat.ModelID(fmt.Sprint(i))}, false)
		}
		if got := len(g.models.byID); got > maxRemembered+1 {
			t.Errorf("%d models are remembered", got)
		}
	})
}

// An answer that falls silent in the middle is a failure of its provider.
func TestBreakerCountsSilence(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		for range 3 {
			listen(t.Context(), g, provides(fails(late, "a")))
		}
		wantState(t, g, chat.ProviderOpen)
	})
}

// An answer that is cut off after its first word is a failure as well.
func TestBreakerCountsCutAnswers(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		for range 3 {
			listen(t.Context(), g, provides(fails(broken, "a")))
		}
		wantState(t, g, chat.ProviderOpen)
	})
}

// A request from before the breaker opened says nothing about what is since.
func TestOldRequestsDoNotCount(t *testing.T) {
	bubble(t, once, func(t *testing.T, g *Guard) {
		go listen(t.Context(), g, provides(says(10*time.Second, "a")))
		synctest.Wait()
		open(t, g)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantState(t, g, chat.ProviderOpen)
	})
}

func TestBreakerCanBeOff(t *testing.T) {
	bubble(t, Options{Retries: -1, Failures: -1}, func(t *testing.T, g *Guard) {
		for range 100 {
			listen(t.Context(), g, provides(fails(broken)))
		}
		wantState(t, g, chat.ProviderClosed)
	})
}

// A retry that the breaker would refuse is not waited for: its own failure
// says more.
func TestNoRetryOnceOpen(t *testing.T) {
	bubble(t, Options{Failures: 2, Retries: 5}, func(t *testing.T, g *Guard) {
		p := provides(fails(broken))
		h := listen(t.Context(), g, p)
		wantMessage(t, h.err, "it is broken")
		if p.times() != 2 || h.took > DefaultRetryDelay {
			t.Errorf("asked %d times in %v", p.times(), h.took)
		}
	})
}

// A provider that hangs costs others nothing: neither those of another
// provider nor, as long as there are places, its own.
func TestHangingProviderHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := NewMetrics()
		sick, well := New("sick", Options{Metrics: metrics}), New("well", Options{Metrics: metrics})
		ctx, cancel := context.WithCancel(t.Context())
		for range 100 {
			go listen(ctx, sick, provides(hangs))
		}
		synctest.Wait()
		for _, g := range []*Guard{well, sick} {
			if h := listen(t.Context(), g, provides(says(time.Second, "a", "b"))); h.text != "ab" || h.took != 2*time.Second {
				t.Errorf("%s: got %+v", g.name, h)
			}
		}
		cancel()
		synctest.Wait()
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics()
		g := New("test", Options{Metrics: m, Streams: 1, Failures: 3, Wait: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		go listen(ctx, g, provides(hangs))
		synctest.Wait()
		listen(t.Context(), g, provides(hangs)) // crowded
		if got := gather(t, m)["parlor_provider_in_flight"]; got != 1 {
			t.Errorf("%v in flight, want 1", got)
		}
		cancel()
		synctest.Wait()
		listen(t.Context(), g, provides(says(0, "a")))
		listen(t.Context(), g, provides(fails(away), fails(broken), fails(broken)))
		listen(t.Context(), g, provides(says(0, "a"))) // refused
		want := map[string]float64{
			"parlor_provider_requests_total stopped": 1, "parlor_provider_requests_total crowded": 1,
			"parlor_provider_requests_total completed": 1, "parlor_provider_requests_total timeout": 1,
			"parlor_provider_requests_total failed": 2, "parlor_provider_requests_total refused": 1,
			"parlor_provider_requests_total busy": 0,
			"parlor_provider_retries_total":       2, "parlor_provider_first_token_seconds": 1, "parlor_provider_in_flight": 0,
			"parlor_provider_state closed": 0, "parlor_provider_state open": 1, "parlor_provider_state half_open": 0,
		}
		if diff := cmp.Diff(want, gather(t, m)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// An operator reads once that a provider is left alone, and once that it is back.
func TestBreakerIsLogged(t *testing.T) {
	var log bytes.Buffer
	o := once
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	bubble(t, o, func(t *testing.T, g *Guard) {
		open(t, g)
		listen(t.Context(), g, provides(says(0, "a")))
		time.Sleep(DefaultCoolDown)
		listen(t.Context(), g, provides(says(0, "a")))
	})
	want := `level=WARN msg="provider is left alone" provider=test for=30s err="provider_error: it is broken"
level=INFO msg="provider answers again" provider=test
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
