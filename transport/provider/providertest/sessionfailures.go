package providertest

import (
	"testing"
	"time"

	"parlor/protocol/chat"
)

func sessionFails(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hel")
	peer.Fail("overloaded, said " + Key)
	s.answer("a1").failed(t, "Hel", chat.CodeProviderError, "overloaded")
	s.ask("a2", "hello")
	peer.Asked()
	peer.Say("Hello")
	peer.Finish(chat.Usage{})
	s.answer("a2").check(t, "Hello", chat.StateCompleted)
}

func sessionSilentAtFirst(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	start := time.Now()
	s.asked(peer)
	s.answer("a1").failed(t, "", chat.CodeProviderTimeout, "")
	if took := time.Since(start); took != sessionFirstToken {
		t.Errorf("failed after %v, want %v", took, sessionFirstToken)
	}
}

func sessionFallsSilent(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	start := time.Now()
	peer.Say("Hel")
	s.answer("a1").failed(t, "Hel", chat.CodeProviderTimeout, "")
	if took := time.Since(start); took != sessionSilence {
		t.Errorf("failed after %v, want %v", took, sessionSilence)
	}
}

func sessionCut(t *testing.T, s *session) {
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.asked(peer)
	peer.Say("Hel")
	peer.HangUp()
	s.answer("a1").failed(t, "Hel", chat.CodeProviderError, "")
}

// sessionRefused wants the refusal as the end of the session, or of the answer.
func sessionRefused(t *testing.T, s *session) {
	s.begin(t.Context())
	go func() {
		select {
		case s.in <- chat.Ask{Answer: "a1", Messages: []chat.PromptMessage{{ID: "m1", Role: chat.RoleUser, Content: "hello"}}}:
		case <-t.Context().Done():
		}
	}()
	p := <-s.out
	err := p.err
	if p.Ended != nil && p.Ended.Error != nil {
		err = p.Ended.Error
	}
	Outcome{Err: err}.Check(t, "", chat.CodeProviderError, refusalWords)
}
