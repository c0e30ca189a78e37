package providertest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// lines is a conversation, a line for each message, call and result.
func lines(messages []chat.PromptMessage) (all []string) {
	for _, m := range messages {
		if m.ResultOf != nil {
			all = append(all, m.ResultOf.Given+" is "+m.Content)
			continue
		}
		if m.Content != "" {
			all = append(all, string(m.Role)+": "+m.Content)
		}
		for _, c := range m.Calls {
			all = append(all, c.Given+" calls "+c.Name+" "+c.Arguments)
		}
	}
	return all
}

// knows waits until the server is asked, and compares what it knows by then.
func (s *session) knows(peer Peer, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, lines(peer.Asked())); diff != "" {
		s.t.Fatalf("conversation of the model differs (-want +got):\n%s", diff)
	}
}

// called has the answer's calls run: each result is its arguments.
func (s *session) called(a sessionAnswer) {
	for i := range a.calls {
		a.calls[i].ID = fmt.Sprint("parlor", len(s.said), i)
	}
	s.said = append(s.said, calls(a.text, a.calls...))
	for _, c := range a.calls {
		s.said = append(s.said, result(c, "ran "+c.Arguments))
	}
}

func (a sessionAnswer) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, c := range a.calls {
		got = append(got, c.Given+" "+c.Name+" "+c.Arguments)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func sessionCalls(t *testing.T, s *session) {
	s.tools = []chat.Tool{echo}
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.knows(peer, "user: hello")
	peer.Say("I look.")
	peer.Call("call_a", echoOnWire, `{"text":"one"}`)
	peer.Call("call_b", echoOnWire, `{}`)
	peer.Finish(chat.Usage{PromptTokens: 3, CompletionTokens: 5, TotalTokens: 8})
	a := s.answer("a1")
	a.check(t, "I look.", chat.StateCompleted)
	a.wantCalls(t, `call_a say again {"text":"one"}`, `call_b say again {}`)
	s.called(a)

	s.askAgain("a1") // the next step of the same answer
	told := []string{"user: hello", "assistant: I look.", `call_a calls say_again {"text":"one"}`, `call_b calls say_again {}`, `call_a is ran {"text":"one"}`, "call_b is ran {}"}
	s.knows(peer, told...)
	peer.Call("call_c", echoOnWire, `{"text":"one"}`)
	peer.Finish(chat.Usage{})
	a = s.answer("a1")
	a.wantCalls(t, `call_c say again {"text":"one"}`)
	s.called(a)

	s.askAgain("a1")
	told = append(told, `call_c calls say_again {"text":"one"}`, `call_c is ran {"text":"one"}`)
	s.knows(peer, told...)
	peer.Say("Done.")
	peer.Finish(chat.Usage{})
	a = s.answer("a1")
	a.check(t, "Done.", chat.StateCompleted)
	a.wantCalls(t)
	s.say("a1", chat.RoleAssistant, "Done.")
	s.ask("a2", "again")
	s.knows(peer, append(told, "assistant: Done.", "user: again")...)
	peer.Finish(chat.Usage{})
	s.answer("a2").check(t, "", chat.StateCompleted)
	s.idle()
}

func sessionKnowsCalls(t *testing.T, s *session) {
	s.tools = []chat.Tool{echo}
	s.say("m1", chat.RoleUser, "hello")
	s.called(sessionAnswer{text: "I look.", calls: []chat.ToolCall{{Given: "call_a", Name: echo.Name, Arguments: "{}"}}})
	s.say("m2", chat.RoleAssistant, "Done.")
	s.begin(t.Context())
	s.ask("a1", "again")
	peer := <-s.peers
	s.knows(peer, "user: hello", "assistant: I look.", "call_a calls say_again {}", "call_a is ran {}", "assistant: Done.", "user: again")
	peer.Finish(chat.Usage{})
	s.answer("a1").check(t, "", chat.StateCompleted)
}

func sessionCallStopped(t *testing.T, s *session) {
	s.tools = []chat.Tool{echo}
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.knows(peer, "user: hello")
	peer.Call("call_a", echoOnWire, "{}")
	s.in <- chat.Cancel{Answer: "a1"}
	peer.Cancelled()
	peer.Stop()
	a := s.answer("a1")
	a.check(t, "", chat.StateStopped)
	a.wantCalls(t)
	s.ask("a2", "again")
	s.knows(peer, "user: hello", "user: again")
	peer.Finish(chat.Usage{})
	s.answer("a2").check(t, "", chat.StateCompleted)
}

func sessionCallFails(t *testing.T, s *session) {
	sessionCallLost(t, s, func(p Peer) { p.Fail("overloaded") })
}

func sessionCallCut(t *testing.T, s *session) { sessionCallLost(t, s, Peer.HangUp) }

// sessionCallLost ends an answer with a call otherwise than whole. The call does not count.
func sessionCallLost(t *testing.T, s *session, end func(Peer)) {
	s.tools = []chat.Tool{echo}
	s.begin(t.Context())
	s.ask("a1", "hello")
	peer := <-s.peers
	s.knows(peer, "user: hello")
	peer.Say("I look.")
	peer.Call("call_a", echoOnWire, "{}")
	end(peer)
	a := s.answer("a1")
	a.failed(t, "I look.", chat.CodeProviderError, "")
	a.wantCalls(t)
}
