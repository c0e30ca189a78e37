package room_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// strangersCommands are those that a stranger may try in somebody else's room.
func strangersCommands() []room.Command {
	title := "mine"
	return []room.Command{
		&room.Create{Chat: theChat, ModelID: actortest.Model}, &room.Create{Chat: theChat, ModelID: "no such model"},
		&room.Join{}, &room.Join{Encoder: "nonsense"}, &room.Leave{}, &room.Send{Content: "hi"}, &room.Send{Content: "hi", ClientID: "1"}, &room.Send{},
		&room.Edit{Replaces: "m", Content: "hi"}, &room.Respond{}, &room.Regenerate{Answer: "m"}, &room.Select{MessageID: "m"}, &room.StopTurn{}, &room.StopTurn{TurnID: "t"},
		&room.AppendAudio{Audio: "AAAA"}, &room.ClearAudio{}, &room.CommitAudio{},
		&room.Configure{Changes: chat.Changes{Title: &title}}, &room.Configure{}, &room.Delete{},
		&room.Invite{Offer: chat.Offer{Role: chat.RoleMember}, Secret: "s"}, &room.ListInvites{}, &room.RevokeInvite{ID: "i"}, &room.Accept{Secret: "s"},
		&room.SetMember{Member: chat.Member{ID: "mallory", Role: chat.RoleMember}}, &room.RemoveMember{Member: "mallory"}, &room.RemoveMember{Member: "alice"},
	}
}

// In every state of a room a stranger gets, word for word, the answer of a chat that does
// not exist.
func TestStrangerCannotTellWhetherThereIsAChat(t *testing.T) {
	states := map[string]func(t *testing.T, s *actortest.Server, alice *actortest.User){
		"in use": func(_ *testing.T, s *actortest.Server, alice *actortest.User) {
			alice.Join(theChat)
			s.Assistant.On("wait", actortest.Hang())
			alice.Send(theChat, "wait")
		},
		"asleep":          func(_ *testing.T, s *actortest.Server, _ *actortest.User) { s.Restart() },
		"asleep for long": func(*testing.T, *actortest.Server, *actortest.User) { time.Sleep(time.Hour) },
		"asleep, not to read": func(_ *testing.T, s *actortest.Server, _ *actortest.User) {
			s.Restart()
			s.Log.FailReads(errors.New("bad sector"))
		},
		"not to read": func(_ *testing.T, s *actortest.Server, alice *actortest.User) {
			s.Restart()
			s.Log.FailReads(errors.New("bad sector"))
			alice.Refused(theChat, &room.Join{})
		},
		"quarantined": func(t *testing.T, s *actortest.Server, alice *actortest.User) {
			alice.Join(theChat)
			s.Log.Fault(panicOn("boom"))
			for range 4 {
				alice.Do(theChat, &room.Send{Content: "boom"})
				time.Sleep(time.Second)
			}
			if got := alice.Refused(theChat, &room.Join{}); got != chat.CodeQuarantined {
				t.Errorf("the owner got %s", got)
			}
		},
		"being deleted": func(t *testing.T, s *actortest.Server, alice *actortest.User) {
			t.Cleanup(s.Log.Hold())
			alice.Tell(theChat, &room.Delete{})
			synctest.Wait()
		},
	}
	for name, enter := range states {
		t.Run(name, func(t *testing.T) {
			actortest.Run(t, room.Options{MaxRestarts: 3}, func(t *testing.T, s *actortest.Server) {
				alice, mallory := s.User("alice"), s.User("mallory")
				var wants []room.Reply
				for _, c := range strangersCommands() {
					want := mallory.Do("no such chat", c)
					if _, created := want.Body.(room.Created); created {
						want.Err, want.Body = errNoChat, nil // the one that cannot be the same
						mallory.Do("no such chat", &room.Delete{})
					}
					wants = append(wants, want)
				}
				alice.Create(theChat)
				alice.Do(theChat, &room.Send{Content: "a secret", Quiet: true})
				enter(t, s, alice)
				for i, c := range strangersCommands() {
					got, want := mallory.Do(theChat, c), wants[i]
					if diff := cmp.Diff(want.Err, got.Err); diff != "" || want.Body != got.Body {
						t.Errorf("%T %+v: %v (-no chat +another's):\n%s", c, c, got.Body, diff)
					}
				}
			})
		})
	}
}

var errNoChat = chat.Refuse(chat.CodeNotFound, "there is no such chat")

// A stranger who knocks does not have a room loaded: that would take as much longer as
// the chat is large, and keep the room in memory.
func TestStrangerWakesNoRoom(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		s.User("alice").Create(theChat)
		s.Restart()
		before := s.Log.Loads(string(theChat.Room()))
		mallory := s.User("mallory")
		for _, c := range strangersCommands() {
			if _, accepts := c.(*room.Accept); !accepts { // which needs to know the invitations
				mallory.Do(theChat, c)
			}
		}
		if got := s.Log.Loads(string(theChat.Room())); got != before {
			t.Errorf("the room was loaded %d times", got-before)
		}
		s.User("alice").Join(theChat)
		if got := s.Log.Loads(string(theChat.Room())); got != before+1 {
			t.Errorf("for its owner the room was loaded %d times", got-before)
		}
	})
}

// An id that the server has made stays its owner's: before the owner uses it, while the
// chat is there, and after it was deleted.
func TestMadeIDsAreTheirOwners(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, mallory := s.User("alice"), s.User("mallory")
		info, err := s.Rooms.Create(t.Context(), alice.User, actortest.Model)
		if err != nil {
			t.Fatal(err)
		}
		take := &room.Create{Chat: info.ID, ModelID: actortest.Model}
		if got := mallory.Do(info.ID, take); got.Err == nil || *got.Err != *errNoChat {
			t.Errorf("before its use: %+v", got)
		}
		if err := s.Rooms.Delete(t.Context(), alice.User, info.ID); err != nil {
			t.Fatal(err)
		}
		if got := mallory.Do(info.ID, take); got.Err == nil || *got.Err != *errNoChat {
			t.Errorf("after it was deleted: %+v", got)
		}
		if got := alice.Create(info.ID).Owner; got != "alice" {
			t.Errorf("made anew, it is the chat of %q", got)
		}
	})
}

// A hung room says only to those who may read its chat that it hangs.
func TestHungRoomIsHiddenToo(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, mallory := s.User("alice"), s.User("mallory")
		alice.Create(theChat)
		alice.Join(theChat)
		gate := make(chan struct{})
		defer close(gate)
		s.Log.Fault(func(persistence.Commit) error { <-gate; return nil })
		alice.Tell(theChat, &room.Send{Content: "stuck", Quiet: true})
		time.Sleep(time.Minute)
		if got := alice.Refused(theChat, &room.Join{}); got != chat.CodeBusy {
			t.Errorf("the owner got %s, want %s", got, chat.CodeBusy)
		}
		if got := mallory.Do(theChat, &room.Join{}); got.Err == nil || *got.Err != *errNoChat {
			t.Errorf("a stranger got %+v", got)
		}
	})
}
