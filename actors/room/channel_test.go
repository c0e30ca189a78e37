package room_test

import (
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// In a channel people change what they have said, and everybody sees the present words alone,
// also after a restart.
func TestChannel(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Do(theChat, &room.Create{
			Chat: theChat, ModelID: actortest.Model, Kind: chat.KindChannel, Settings: chat.Settings{Answers: chat.AnswerMentioned},
		})
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		first := alice.Send(theChat, "hello")
		reply := bob.Do(theChat, &room.Send{Content: "hi", Parent: first.MessageID}).Body.(room.Sent)
		if len(s.Turns(theChat)) != 0 {
			t.Error("a message that names no model is answered")
		}
		for _, c := range []struct {
			user *actortest.User
			do   room.Command
			want chat.Code
		}{
			{bob, &room.Revise{MessageID: first.MessageID, Content: "mine"}, chat.CodeForbidden},
			{bob, &room.Retract{MessageID: first.MessageID}, chat.CodeForbidden},
			{alice, &room.Revise{MessageID: "nothing", Content: "x"}, chat.CodeNotFound},
			{alice, &room.React{MessageID: first.MessageID}, chat.CodeInvalid},
			{alice, &room.React{MessageID: first.MessageID, Name: "a\nb"}, chat.CodeInvalid},
			{s.User("eve"), &room.React{MessageID: first.MessageID, Name: "smile"}, chat.CodeNotFound},
		} {
			if got := c.user.Refused(theChat, c.do); got != c.want {
				t.Errorf("%T by %s: refused as %q, want %q", c.do, c.user.ID, got, c.want)
			}
		}
		alice.Do(theChat, &room.Revise{MessageID: first.MessageID, Content: "hello all"})
		bob.Do(theChat, &room.React{MessageID: first.MessageID, Name: "smile"})
		if got := alice.Refused(theChat, &room.Revise{MessageID: first.MessageID, Content: "once more"}); got != chat.CodeNotFound {
			t.Errorf("a version that is gone is revised: %q", got)
		}
		alice.Do(theChat, &room.Retract{MessageID: reply.MessageID}) // the owner may
		check := func(when string) {
			t.Helper()
			board, err := s.Rooms.Board(t.Context(), bob.User, theChat)
			if err != nil {
				t.Fatal(err)
			}
			p, _ := board.Find(first.MessageID)
			if p.Content != "hello all" || p.Replies != 0 || len(p.Reactions) != 1 {
				t.Errorf("%s: got %+v", when, p)
			}
			if got := s.Messages(theChat); len(got) == 0 || got[len(got)-1].Content != "hello all" {
				t.Errorf("%s the last message is %+v", when, got)
			}
		}
		check("at first")
		s.Restart()
		check("after a restart")
	})
}

// A message that is about to be answered is not changed, and messages of chats never are.
func TestChannelRefusals(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create("a-chat")
		said := alice.Send("a-chat", "hello")
		for _, c := range []room.Command{
			&room.Revise{MessageID: said.MessageID, Content: "x"}, &room.Retract{MessageID: said.MessageID}, &room.React{MessageID: said.MessageID, Name: "smile"},
		} {
			if got := alice.Refused("a-chat", c); got != chat.CodeInvalid {
				t.Errorf("%T in a chat: refused as %q", c, got)
			}
		}
		s.Assistant.On("hello", actortest.Hang())
		alice.Do(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model, Kind: chat.KindChannel})
		asked := alice.Send(theChat, "hello")
		synctest.Wait()
		if got := alice.Refused(theChat, &room.Revise{MessageID: asked.MessageID, Content: "x"}); got != chat.CodeBusy {
			t.Errorf("while it is answered: refused as %q", got)
		}
	})
}
