package commands_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A message by HTTP is said once, and they are told which turns answer it.
func TestSay(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		say := func(m chat.Say) chat.Said {
			t.Helper()
			said, err := s.Rooms.Say(t.Context(), alice.User, theChat, m)
			if err != nil {
				t.Fatal(err)
			}
			return said
		}
		first := say(chat.Say{Content: "@ada @bert hello", ClientID: "once"})
		synctest.Wait()
		want := chat.Said{MessageID: s.Messages(theChat)[0].ID, ClientID: "once", Seq: 2, Turns: s.Turns(theChat)}
		if diff := cmp.Diff(want, first); diff != "" || len(first.Turns) != 2 {
			t.Errorf("to a message for two (-want +got):\n%s", diff)
		}
		want.Repeated = true
		if diff := cmp.Diff(want, say(chat.Say{Content: "@ada @bert hello", ClientID: "once"})); diff != "" {
			t.Errorf("repeated (-want +got):\n%s", diff)
		}
		if _, err := s.Rooms.Say(t.Context(), alice.User, theChat, chat.Say{Content: "other", ClientID: "once"}); chat.AsError(err).Code != chat.CodeConflict {
			t.Errorf("with other content: %v", err)
		}
		if quiet := say(chat.Say{Content: "hm", Answer: new(false)}); len(quiet.Turns) > 0 || !quiet.Unasked {
			t.Errorf("without an answer: %+v", quiet)
		}
		synctest.Wait()
		if got, want := len(s.Messages(theChat)), 4; got != want {
			t.Errorf("%d messages, want %d", got, want)
		}
	})
}

// A message may be for one model alone, which does not become the chat's.
func TestSayAddressed(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		before := alice.Create(theChat).ModelID
		said, err := s.Rooms.Say(t.Context(), alice.User, theChat, chat.Say{Content: "@ada hello", Addressed: actortest.OtherModel})
		if err != nil || len(said.Turns) != 1 {
			t.Fatalf("got %+v, %v", said, err)
		}
		synctest.Wait()
		info, err := s.Rooms.Get(t.Context(), alice.User, theChat)
		if answer := s.Messages(theChat)[1]; answer.ModelID != actortest.OtherModel || info.ModelID != before || before == actortest.OtherModel || err != nil {
			t.Errorf("%s answered, the chat's model is %s and was %s, %v", answer.ModelID, info.ModelID, before, err)
		}
		if _, err := s.Rooms.Say(t.Context(), alice.User, theChat, chat.Say{Content: "hello", Addressed: "none"}); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("no such model: %v", err)
		}
	})
}

// A message that a running turn takes in is answered by that turn.
func TestSaySteers(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("go", actortest.Hang("so far"))
		alice.Send(theChat, "go")
		synctest.Wait()
		said, err := s.Rooms.Say(t.Context(), alice.User, theChat, chat.Say{Content: "and", Policy: chat.PolicySteer})
		if err != nil || !slices.Equal(said.Turns, s.Turns(theChat)[:1]) {
			t.Errorf("got %+v, %v", said, err)
		}
		for _, want := range []chat.Stopped{{TurnID: said.Turns[0]}, {TurnID: said.Turns[0], Repeated: true}} {
			stopped, err := s.Rooms.Stop(t.Context(), alice.User, theChat, chat.Stop{TurnID: said.Turns[0], ClientID: "stop"})
			if err != nil || stopped != want {
				t.Errorf("stop: got %+v, %v", stopped, err)
			}
		}
	})
}

// Edits and other answers are asked for once too, and by nobody who may not.
func TestEditAndRegenerate(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		sent := alice.Send(theChat, "hello")
		synctest.Wait()
		answer := s.Messages(theChat)[1].ID
		again := chat.Again{Answer: answer, ClientID: "again"}
		first, err := s.Rooms.Regenerate(t.Context(), alice.User, theChat, again)
		synctest.Wait()
		if turns := s.Turns(theChat); err != nil || len(turns) != 2 || first != (chat.Queued{TurnID: turns[1]}) {
			t.Errorf("regenerate: got %+v, %v", first, err)
		}
		if second, err := s.Rooms.Regenerate(t.Context(), alice.User, theChat, again); err != nil || second != (chat.Queued{TurnID: first.TurnID, Repeated: true}) {
			t.Errorf("regenerate again: got %+v, %v", second, err)
		}
		edit := chat.Edit{MessageID: sent.MessageID, Content: "good morning"}
		edited, err := s.Rooms.Edit(t.Context(), alice.User, theChat, edit)
		if err != nil || edited.Replaces != sent.MessageID || len(edited.Turns) != 1 {
			t.Errorf("edit: got %+v, %v", edited, err)
		}
		if _, err := s.Rooms.Edit(t.Context(), bob.User, theChat, edit); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("edit by a stranger: %v", err)
		}
	})
}
