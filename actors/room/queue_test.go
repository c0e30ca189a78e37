package room_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Messages that wait are taken back and moved, once however often the command comes. What
// is taken back is in no prompt.
func TestWithdrawAndMove(t *testing.T) {
	actortest.Run(t, room.Options{SnapshotEvery: 3}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		bob.Join(theChat)
		s.Assistant.On("first", actortest.Slowly(time.Minute, "done"))
		for _, text := range []string{"first", "second", "third", "fourth"} {
			alice.Send(theChat, text)
		}
		messages, turns := s.Messages(theChat), s.Turns(theChat)

		if code := bob.Refused(theChat, &room.Withdraw{MessageID: messages[1].ID}); code != chat.CodeForbidden {
			t.Errorf("another user's message was taken back: %s", code)
		}
		for range 2 {
			if reply := alice.Do(theChat, &room.Withdraw{MessageID: messages[1].ID, ClientID: "w"}); reply.Body != any(room.Withdrawn{MessageID: messages[1].ID}) {
				t.Errorf("withdrawn: %+v", reply)
			}
			if reply := alice.Do(theChat, &room.MoveTurn{TurnID: turns[3], Before: turns[2], ClientID: "m"}); reply.Body != any(room.Queued{TurnID: turns[3]}) {
				t.Errorf("moved: %+v", reply)
			}
		}
		if code := alice.Refused(theChat, &room.MoveTurn{TurnID: turns[2], ClientID: "m"}); code != chat.CodeConflict {
			t.Errorf("the id of another command: %s", code)
		}
		s.Restart()
		time.Sleep(time.Hour)
		synctest.Wait()
		var asked []string
		for _, p := range s.Assistant.Prompts()[1:] {
			asked = append(asked, p.Messages[len(p.Messages)-1].Content)
			for _, m := range p.Messages {
				if m.Content == "second" {
					t.Error("what was taken back is in a prompt")
				}
			}
		}
		if diff := cmp.Diff([]string{"first", "fourth", "third"}, asked); diff != "" {
			t.Errorf("answered (-want +got):\n%s", diff)
		}
		history, _, err := s.Rooms.History(t.Context(), alice.User, theChat.Room(), 0, 10)
		if err != nil || len(history) != 6 {
			t.Errorf("history has %d messages, %v", len(history), err)
		}
	})
}
