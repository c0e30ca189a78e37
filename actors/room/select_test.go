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
