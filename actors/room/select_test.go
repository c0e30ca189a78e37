package room_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// The current branch is the same for all, and prompts follow it, also after a restart.
func TestSelect(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Join(theChat)
		one := alice.Send(theChat, "one")
		first := answerTo(s, theChat, one.MessageID)
		bob.Send(theChat, "two")
		s.Assistant.On("one", actortest.Say("again"))
		alice.Do(theChat, &room.Regenerate{Answer: first, ModelID: actortest.Model})
		wantSaid(t, s, alice, "one", "again")
		bob.Send(theChat, "three")
		lastPrompt(t, s, "user alice: one", "assistant again", "user bob: three")

		choose := &room.Select{MessageID: first, ClientID: "s"}
		if reply := alice.Do(theChat, choose); reply.Body != any(room.Selected{MessageID: first}) {
			t.Fatalf("select: %+v", reply)
		}
		wantSaid(t, s, bob, "one", "You said: one", "two", "You said: two")
		s.Restart()
		records := len(s.Records(theChat))
		alice.Do(theChat, choose)
		alice.Do(theChat, &room.Select{MessageID: one.MessageID})
		if got := len(s.Records(theChat)); got != records {
			t.Errorf("%d records after selecting what was selected, want %d", got, records)
		}
		bob.Send(theChat, "four")
		lastPrompt(t, s, "user alice: one", "assistant You said: one", "user bob: two", "assistant You said: two", "user bob: four")
		if code := bob.Refused(theChat, &room.Select{MessageID: "none"}); code != chat.CodeNotFound {
			t.Errorf("an unknown message: %s", code)
		}
	})
}

// An answer that is being given, or waits, belongs to the branch of its message, and its
// prompt is made of that.
func TestTurnsStayInTheirBranch(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		one := alice.Send(theChat, "one")
		alice.Do(theChat, edit(one, "other"))
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		two := alice.Send(theChat, "two")
		alice.Do(theChat, &room.Select{MessageID: one.MessageID})
		alice.Do(theChat, &room.Send{Content: "steer", Policy: chat.PolicySteer})
		alice.Stop(theChat, "")
		synctest.Wait()
		wantSaid(t, s, alice, "one", "You said: one", "steer", "You said: steer")
		var got [][]string
		for _, p := range s.Assistant.Prompts()[len(s.Assistant.Prompts())-2:] {
			var said []string
			for _, m := range p.Messages[1:] {
				said = append(said, m.Content)
			}
			got = append(got, said)
		}
		want := [][]string{{"other", "You said: other", "wait", "so far", "two"}, {"one", "You said: one", "steer"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prompts (-want +got):\n%s", diff)
		}
		alice.Do(theChat, &room.Select{MessageID: two.MessageID})
		wantSaid(t, s, alice, "other", "You said: other", "wait", "two", "so far (stopped)", "You said: two")
	})
}

func TestMaxBranches(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxBranches: 1}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		one := alice.Send(theChat, "one")
		first := answerTo(s, theChat, one.MessageID)
		alice.Do(theChat, &room.Regenerate{Answer: first, ModelID: actortest.Model})
		for name, c := range map[string]room.Command{
			"edit": edit(one, "other"), "regenerate": &room.Regenerate{Answer: first, ModelID: actortest.Model}, "select": &room.Select{MessageID: first},
		} {
			if code := alice.Refused(theChat, c); code != chat.CodeQuotaExceeded {
				t.Errorf("%s: %s", name, code)
			}
		}
	})
}

// An answer that was to be given anew, and has come to nothing, leaves the conversation in
// the branch that it was in. Otherwise nobody would find what followed the answer before.
func TestAnAnswerThatComesToNothingLeavesTheBranch(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxAttempts: 1}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		one := alice.Send(theChat, "one")
		first := answerTo(s, theChat, one.MessageID)
		alice.Send(theChat, "two")
		all := []string{"one", "You said: one", "two", "You said: two"}
		again := &room.Regenerate{Answer: first, ModelID: actortest.Model}

		s.Assistant.On("one", actortest.Fail(nil))
		alice.Do(theChat, again)
		wantSaid(t, s, alice, all...)

		s.Assistant.On("one", actortest.Hang())
		alice.Do(theChat, again)
		wantSaid(t, s, alice, "one", "You said: one")
		alice.Stop(theChat, "")
		wantSaid(t, s, alice, all...)

		alice.Do(theChat, again)
		s.Restart() // the turn is not begun again
		alice.Join(theChat)
		wantSaid(t, s, alice, all...)

		alice.Do(theChat, again)
		alice.Send(theChat, "three")
		alice.Stop(theChat, "")
		wantSaid(t, s, alice, "one", "You said: one", "three", "You said: three") // others have gone on
	})
}

// A message that is said behind an earlier one goes on from there. It begins a branch of its
// own if something else has followed.
func TestSayAfter(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Join(theChat)
		after := func(id chat.MessageID, content string) chat.MessageID {
			t.Helper()
			reply := bob.Do(theChat, &room.Send{Content: content, After: id, ClientID: chat.ClientID("id-" + content), Policy: chat.PolicyInterrupt})
			if reply.Err != nil {
				t.Fatalf("%s: %v", content, reply.Err)
			}
			return reply.Body.(room.Sent).MessageID
		}
		one := alice.Send(theChat, "one")
		first := answerTo(s, theChat, one.MessageID)
		records := len(s.Records(theChat))
		two := after(first, "two")
		if got := len(s.Records(theChat)); got != records+4 {
			t.Errorf("%d records more, want the message, and the three of its turn: nothing has followed the answer", got-records)
		}
		alice.Send(theChat, "three")

		other := after(first, "other")
		lastPrompt(t, s, "user alice: one", "assistant You said: one", "user bob: other")
		wantSaid(t, s, alice, "one", "You said: one", "other", "You said: other")
		if again := after(first, "other"); again != other {
			t.Errorf("a repetition is message %s, want %s", again, other)
		}
		s.Restart()
		after(answerTo(s, theChat, two), "third way")
		lastPrompt(t, s, "user alice: one", "assistant You said: one", "user bob: two", "assistant You said: two", "user bob: third way")
		after(answerTo(s, theChat, other), "more")
		lastPrompt(t, s, "user alice: one", "assistant You said: one", "user bob: other", "assistant You said: other", "user bob: more")

		// Of an answer that was given anew it is the one that is named.
		s.Assistant.On("one", actortest.Say("again"))
		alice.Do(theChat, &room.Regenerate{Answer: first, ModelID: actortest.Model})
		anew := answerTo(s, theChat, one.MessageID)
		after(first, "first")
		lastPrompt(t, s, "user alice: one", "assistant You said: one", "user bob: first")
		after(anew, "second")
		lastPrompt(t, s, "user alice: one", "assistant again", "user bob: second")

		// Turns of other branches run on.
		s.Assistant.On("wait", actortest.Hang("so far"))
		wait := after(anew, "wait")
		after(anew, "beside")
		lastPrompt(t, s, "user alice: one", "assistant again", "user bob: wait")
		alice.Do(theChat, &room.StopTurn{})
		lastPrompt(t, s, "user alice: one", "assistant again", "user bob: beside")
		wantSaid(t, s, alice, "one", "again", "beside", "You said: beside")

		for _, id := range []chat.MessageID{"none", wait + "x"} {
			if code := bob.Refused(theChat, &room.Send{Content: "x", After: id}); code != chat.CodeNotFound {
				t.Errorf("after %s: %s", id, code)
			}
		}
	})
}
