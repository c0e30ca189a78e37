package room_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A user who has as many chats as one may is refused another, until one is deleted.
// Other users are not.
func TestChatsAreLimited(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		s.RestartWithQuota(persistence.Quota{Chats: 3})
		alice, bob := s.User("alice"), s.User("bob")
		for i := range 3 {
			alice.Create(chat.ID(fmt.Sprint(i)))
		}
		create := &room.Create{Chat: "one more", ModelID: actortest.Model}
		if got := alice.Refused("one more", create); got != chat.CodeQuotaExceeded {
			t.Errorf("refused as %s", got)
		}
		if _, err := s.Rooms.Create(t.Context(), alice.User, actortest.Model); chat.AsError(err).Code != chat.CodeQuotaExceeded {
			t.Errorf("over HTTP: %v", err)
		}
		bob.Create("one more")
		alice.Create("0") // it is there
		alice.Do("0", &room.Delete{})
		alice.Create("mine")
	})
}

// When a user's chats take as many bytes as they may, nothing more is said in them, but
// what runs goes on to its end, and can be stopped. Other users' chats go on.
func TestBytesAreLimited(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		s.RestartWithQuota(persistence.Quota{Bytes: 30_000})
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Create("bobs")
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("an answer"))
		alice.Send(theChat, "wait")
		refs := []uint64{}
		for i := range 20 { // at once, each on top of the one before
			refs = append(refs, alice.Tell(theChat, &room.Send{Content: strings.Repeat("x", 3000), ClientID: chat.ClientID(fmt.Sprint(i)), Quiet: true}))
		}
		synctest.Wait()
		sent := 0
		for i, ref := range refs {
			reply, _ := alice.Reply(ref)
			switch {
			case reply.Err == nil && sent == i:
				sent++
			case reply.Err == nil:
				t.Errorf("message %d was accepted behind one that was refused", i)
			case reply.Err.Code != chat.CodeQuotaExceeded:
				t.Errorf("message %d: %v", i, reply.Err)
			}
		}
		if sent < 5 || sent > 10 {
			t.Errorf("%d messages were accepted", sent)
		}
		title := "a title"
		for _, c := range []room.Command{
			&room.Send{Content: strings.Repeat("x", 3000)}, &room.Configure{Changes: chat.Changes{SystemPrompt: &[]string{strings.Repeat("x", 3000)}[0]}},
		} {
			if got := bob.Refused(theChat, c); got != chat.CodeQuotaExceeded {
				t.Errorf("%T in alice's chat: %s", c, got)
			}
		}
		bob.Send("bobs", strings.Repeat("x", 3000))
		bob.Do("bobs", &room.Configure{Changes: chat.Changes{Title: &title}})
		before := len(s.Records(theChat))
		alice.Stop(theChat, "")
		if n := len(s.Records(theChat)); n == before {
			t.Error("the end of the turn was not recorded")
		}
		if last := s.Messages(theChat); last[len(last)-1].State != chat.StateStopped || last[len(last)-1].Content != "an answer" {
			t.Errorf("the turn ended with %+v", last[len(last)-1])
		}
		alice.Do(theChat, &room.Delete{})
		alice.Create(theChat)
		alice.Send(theChat, strings.Repeat("x", 3000))
	})
}

// A chat is handed over to nobody who has as many chats as one user may have.
func TestHandOverBeyondTheQuota(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		s.RestartWithQuota(persistence.Quota{Chats: 1})
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Create("bobs")
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleOwner}})
		accept := &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleOwner}}
		reply := bob.Do(theChat, accept)
		if reply.Err == nil || reply.Err.Code != chat.CodeQuotaExceeded || !strings.Contains(reply.Err.Message, "the chat's owner would have more chats") {
			t.Errorf("handed over: %+v", reply)
		}
		if alice.Send(theChat, "still mine"); bob.Refused(theChat, &room.Delete{}) != chat.CodeForbidden {
			t.Error("bob may delete the chat")
		}
		bob.Do("bobs", &room.Delete{})
		if reply := bob.Do(theChat, accept); reply.Err != nil {
			t.Errorf("handed over: %+v", reply)
		}
	})
}
