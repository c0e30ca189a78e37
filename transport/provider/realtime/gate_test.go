package realtime

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/provider/guard"
	"parlor/transport/provider/providertest"
)

// Answers of sessions count for the breaker of their provider, and are refused
// while it is open; who listens is told both. Each gives its place back.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New("openai", guard.Options{Streams: 1, Failures: 2})
		w := newGatedTalk(t, Options{Retries: -1}, g)
		var states []chat.ProviderState
		ended := func(answer chat.MessageID) *chat.Ended {
			for d := range w.out {
				if d.Health != nil {
					states = append(states, d.Health.State)
				}
				if d.Answer == answer && d.Ended != nil {
					return d.Ended
				}
			}
			t.Fatal("the session ended")
			return nil
		}

		w.srv.refusal.Store(&providertest.Refusal{Status: http.StatusInternalServerError})
		for _, answer := range []chat.MessageID{"a1", "a2"} {
			w.ask(answer, user("u1", "hello"))
			if e := ended(answer); e.State != chat.StateFailed {
				t.Errorf("%s ended %s", answer, e.State)
			}
		}
		dials := w.srv.dials.Load()
		w.ask("a3", user("u1", "hello"))
		if e := ended("a3"); e.State != chat.StateFailed || !strings.Contains(e.Error.Message, "has failed too often") {
			t.Errorf("ended %+v", e)
		}
		if w.srv.dials.Load() != dials {
			t.Error("the provider was asked")
		}

		w.srv.refusal.Store(nil)
		time.Sleep(guard.DefaultCoolDown)
		w.ask("a4", user("u1", "hello"))
		(<-w.srv.peers).Asked()
		w.in <- chat.Cancel{Answer: "a4"}
		if e := ended("a4"); e.State != chat.StateStopped {
			t.Errorf("ended %+v", e)
		}
		close(w.in)
		for range w.out {
		}
		if diff := cmp.Diff([]chat.ProviderState{chat.ProviderOpen, chat.ProviderHalfOpen}, states); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		leave, err := g.Admit()
		if err != nil {
			t.Fatalf("a place was not given back: %v", err)
		}
		if _, err := g.Admit(); err == nil {
			t.Error("two places of one")
		}
		leave(chat.StateCompleted, nil)
		if h := g.Health(); h.State != chat.ProviderClosed {
			t.Errorf("the provider is %s", h.State)
		}
	})
}
