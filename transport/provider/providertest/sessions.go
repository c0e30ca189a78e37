package providertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// Limits of the sessions under test, and how soon a stop has to be felt.
const (
	sessionFirstToken = 20 * time.Second
	sessionSilence    = 10 * time.Second
	stopTime          = time.Second
)

func runSessions(t *testing.T, listen Listen) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *session)
	}{
		{"answers follow each other", sessionAnswers},
		{"spoken answers", sessionSpeaks},
		{"what was said becomes a message", sessionHears},
		{"one answer at a time", sessionOneAtATime},
		{"cancel in the answer", sessionCancel},
		{"cancel before the first piece", sessionCancelEarly},
		{"cancel that nobody confirms", sessionCancelUnconfirmed},
		{"cancel what has not begun", sessionCancelQueued},
		{"cancel what has ended", sessionCancelEnded},
		{"close while idle", sessionCloseIdle},
		{"close in the answer", sessionCloseInAnswer},
		{"end of the context while idle", sessionContextIdle},
		{"end of the context in the answer", sessionContextInAnswer},
		{"consumer that leaves", sessionConsumerLeaves},
		{"consumer that is slow", sessionConsumerSlow},
		{"calls, and what comes of them", sessionCalls},
		{"calls of a conversation that the model does not know", sessionKnowsCalls},
		{"call in an answer that is stopped", sessionCallStopped},
		{"call in an answer that fails", sessionCallFails},
		{"call in an answer that is cut", sessionCallCut},
		{"answer that fails", sessionFails},
		{"key in an error", sessionEchoes},
		{"silence before the first piece", sessionSilentAtFirst},
		{"silence in the answer", sessionFallsSilent},
		{"cut in the answer", sessionCut},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.run(t, newSession(t, listen, nil)) })
		})
	}
	for _, refusal := range refusals {
		t.Run(fmt.Sprint("refused with ", refusal.Status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sessionRefused(t, newSession(t, listen, &refusal)) })
		})
	}
}

func sessionAnswers(t *testing.T, s *session) {
	usage := chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8}
	s.say("m1", chat.RoleUser, "before")
	s.say("m2", chat.RoleAssistant, "the session")
	s.begin(t.Context())
	var peer Peer
	for _, id := range []chat.MessageID{"a1", "a2", "a3"} {
		s.ask(id, "one to ten?")
		if peer == nil {
			peer = <-s.peers
		}
		s.asked(peer)
		want := ""
		for i := range 10 {
			peer.Say(fmt.Sprint(i, " "))
			want += fmt.Sprint(i, " ")
		}
		peer.Finish(usage)
		got := s.answer(id)
		got.check(t, want, chat.StateCompleted)
		if got.usage == nil || *got.usage != usage {
			t.Errorf("usage is %+v, want %+v", got.usage, usage)
		}
		s.say(id, chat.RoleAssistant, want)
	}
	s.idle()
}

func sessionSpeaks(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "speak")
	peer := <-s.peers
	s.asked(peer)
	peer.Speak("AAAA", "Hel")
	peer.Speak("BBBB", "lo")
	peer.Finish(chat.Usage{})
	got := s.answer("a1")
	got.check(t, "Hello", chat.StateCompleted)
	if got.audio != "AAAABBBB" {
		t.Errorf("audio is %q", got.audio)
	}
}

func sessionHears(t *testing.T, s *session) {
	s.begin(t.Context())
	s.in <- chat.AudioAppend{Audio: "AAAA"}
	s.in <- chat.AudioClear{}
	s.in <- chat.AudioAppend{Audio: "BBBB"}
	s.in <- chat.AudioAppend{Audio: "CCCC"}
	s.in <- chat.AudioCommit{MessageID: "spoken"}
	peer := <-s.peers
	if got := peer.Committed(); got != "BBBBCCCC" {
		t.Errorf("the model heard %q, want %q", got, "BBBBCCCC")
	}
	peer.Heard("what time is it?")
	want := piece{Delta: chat.Delta{Heard: &chat.Heard{MessageID: "spoken", Text: "what time is it?"}}}
	if diff := cmp.Diff(want.Delta, (<-s.out).Delta); diff != "" {
		t.Fatalf("what was heard differs (-want +got):\n%s", diff)
	}
	s.say("spoken", chat.RoleUser, "what time is it?")
	s.in <- chat.Ask{Answer: "a1", Messages: s.said}
	s.asked(peer) // and knows it once
	peer.Say("noon")
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "noon", chat.StateCompleted)
}

func sessionOneAtATime(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "first")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("one")
	s.ask("a2", "second")
	synctest.Wait()
	peer.Say(" and")
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "one and", chat.StateCompleted)
	peer.Asked()
	peer.Say("two")
	peer.Finish(chat.Usage{})
	s.answer("a2").check(t, "two", chat.StateCompleted)
}

func sessionCancel(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "count")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("one")
	if got := s.next("a1").Text; got != "one" {
		t.Errorf("first piece is %q", got)
	}
	s.in <- chat.Cancel{Answer: "a1"}
	peer.Cancelled()
	peer.Say(" late") // was on its way
	peer.Stop()
	got := s.answer("a1")
	if got.ended.State != chat.StateStopped || !strings.HasPrefix(" late", got.text) {
		t.Errorf("got %+v, want a stopped answer", got)
	}
	s.ask("a2", "again")
	peer.Asked()
	peer.Say("two")
	peer.Finish(chat.Usage{})
	s.answer("a2").check(t, "two", chat.StateCompleted)
	s.idle()
}

func sessionCancelEarly(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "count")
	peer := <-s.peers
	s.asked(peer)
	s.in <- chat.Cancel{Answer: "a1"}
	peer.Cancelled()
	peer.Stop()
	s.answer("a1").check(t, "", chat.StateStopped)
	s.idle()
}

func sessionCancelUnconfirmed(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "count")
	peer := <-s.peers
	s.asked(peer)
	start := time.Now()
	s.in <- chat.Cancel{Answer: "a1"}
	s.answer("a1").check(t, "", chat.StateStopped)
	if took := time.Since(start); took > stopTime {
		t.Errorf("stopped after %v, want at most %v", took, stopTime)
	}
}

func sessionCancelQueued(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "first")
	peer := <-s.peers
	s.asked(peer)
	s.ask("a2", "second")
	s.in <- chat.Cancel{Answer: "a2"}
	synctest.Wait()
	peer.Say("one")
	peer.Finish(chat.Usage{})
	ended := make(map[chat.MessageID]chat.State)
	text := ""
	for len(ended) < 2 {
		p := <-s.out
		if p.err != nil || p.Answer == "" {
			t.Fatalf("got %+v", p)
		}
		text += p.Text
		if p.Ended != nil {
			ended[p.Answer] = p.Ended.State
		}
	}
	want := map[chat.MessageID]chat.State{"a1": chat.StateCompleted, "a2": chat.StateStopped}
	if diff := cmp.Diff(want, ended); diff != "" || text != "one" {
		t.Errorf("text is %q, ends differ (-want +got):\n%s", text, diff)
	}
	s.idle()
}

func sessionCancelEnded(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hello")
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "Hello", chat.StateCompleted)
	s.say("a1", chat.RoleAssistant, "Hello")
	s.in <- chat.Cancel{Answer: "a1"}
	s.in <- chat.Cancel{Answer: "another"}
	s.idle()
	s.answered(peer, "a2")
}

func sessionCloseIdle(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "", chat.StateCompleted)
	close(s.in)
	if err := s.ends(); err != nil {
		t.Errorf("ended with %v", err)
	}
	peer.Gone()
}

func sessionCloseInAnswer(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hel")
	start := time.Now()
	close(s.in)
	if err := s.ends(); err != nil {
		t.Errorf("ended with %v", err)
	}
	peer.Gone()
	if took := time.Since(start); took > stopTime {
		t.Errorf("ended after %v, want at most %v", took, stopTime)
	}
}

func sessionContextIdle(t *testing.T, s *session) {
	stopped := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.begin(ctx)
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "", chat.StateCompleted)
	sessionCancelled(t, s, peer, func() { cancel(stopped) }, stopped)
}

func sessionContextInAnswer(t *testing.T, s *session) {
	stopped := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.begin(ctx)
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hel")
	sessionCancelled(t, s, peer, func() { cancel(stopped) }, stopped)
}

func sessionCancelled(t *testing.T, s *session, peer Peer, cancel func(), want error) {
	t.Helper()
	start := time.Now()
	cancel()
	if err := s.ends(); !errors.Is(err, want) {
		t.Errorf("ended with %v, want %v", err, want)
	}
	peer.Gone()
	if took := time.Since(start); took > stopTime {
		t.Errorf("ended after %v, want at most %v", took, stopTime)
	}
}

func sessionConsumerLeaves(t *testing.T, s *session) {
	go func() {
		defer close(s.out)
		for d := range s.provider.Stream(t.Context(), chat.Prompt{Model: "m1", Input: s.in}) {
			if d.Text != "" {
				return
			}
		}
	}()
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hel")
	<-s.out
	peer.Gone()
}

// sessionConsumerSlow holds a piece for longer than any limit, which is not
// the provider's silence.
func sessionConsumerSlow(t *testing.T, s *session) {
	s.out = make(chan piece)
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	go func() {
		for range 10 {
			peer.Say("word ")
		}
		peer.Finish(chat.Usage{})
	}()
	synctest.Wait()
	time.Sleep(10 * sessionSilence)
	s.answer("a1").check(t, strings.Repeat("word ", 10), chat.StateCompleted)
}
