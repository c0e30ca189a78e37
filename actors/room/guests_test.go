package room_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Guests come by an invitation that is for them, ask the chat's model alone, own nothing, and
// go with the invitation, when it expires, or with the chat.
func TestGuests(t *testing.T) {
	var mu sync.Mutex
	var gone []chat.UserID
	departed := func(u chat.UserID) {
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, u)
	}
	actortest.Run(t, room.Options{Departed: departed, MaxMembers: 3}, func(t *testing.T, s *actortest.Server) {
		want := func(when string, ids ...chat.UserID) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(gone, ids) {
				t.Errorf("%s: gone %v, want %v", when, gone, ids)
			}
			gone = nil
		}
		alice, guest, second, third := s.User("alice"), s.User("guest:1"), s.User("guest:2"), s.User("guest:3")
		for _, u := range []*actortest.User{guest, second, third} {
			u.User.Only = theChat.Room()
		}
		alice.Create(theChat)
		invite := func(secret string, o chat.Offer) chat.InviteID {
			o.Role = chat.RoleMember
			return alice.Do(theChat, &room.Invite{Offer: o, Secret: secret}).Body.(room.Invited).Invite.ID
		}
		invite("members", chat.Offer{})
		forGuests := invite("guests", chat.Offer{Guests: true, Uses: 1})
		if code := guest.Refused(theChat, &room.Accept{Secret: "members"}); code != chat.CodeNotFound {
			t.Errorf("by an invitation that is not for guests: %s", code)
		}
		guest.Do(theChat, &room.Accept{Secret: "guests"})
		guest.Join(theChat)
		guest.Send(theChat, "hello")
		s.Assistant.Describe(chat.Model{ID: "dear", APISource: "aisuite"})
		for _, c := range []room.Command{&room.Send{Content: "hi", ModelID: "dear"}, &room.Send{Content: "hi", Addressed: "dear"}, &room.Delete{}, &room.Invite{Offer: chat.Offer{Role: chat.RoleViewer}, Secret: "x"}} {
			if code := guest.Refused(theChat, c); code != chat.CodeForbidden {
				t.Errorf("%T: %s", c, code)
			}
		}
		if code := guest.Refused("another", &room.Create{Chat: "another", ModelID: "dear"}); code != chat.CodeForbidden {
			t.Errorf("created a chat: %s", code)
		}
		for _, m := range []chat.Member{{ID: "guest:1", Role: chat.RoleOwner}, {ID: "guest:9", Role: chat.RoleMember}} {
			if code := alice.Refused(theChat, &room.SetMember{Member: m}); code != chat.CodeInvalid {
				t.Errorf("%+v: %s", m, code)
			}
		}
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "guest:1", Role: chat.RoleViewer}}) // and is still that guest
		s.Restart()
		alice.Do(theChat, &room.RevokeInvite{ID: forGuests}) // though it is used up
		want("the invitation was revoked", "guest:1")
		if code := guest.Refused(theChat, &room.Join{}); code != chat.CodeNotFound {
			t.Errorf("came back: %s", code)
		}

		invite("an hour", chat.Offer{Guests: true, ExpiresIn: time.Hour})
		second.Do(theChat, &room.Accept{Secret: "an hour"})
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		invite("for ever", chat.Offer{Guests: true})
		if code := third.Refused(theChat, &room.Accept{Secret: "for ever"}); code != chat.CodeBusy {
			t.Errorf("the chat is full: %s", code)
		}
		time.Sleep(2 * time.Hour)
		third.Do(theChat, &room.Accept{Secret: "for ever"})
		want("an invitation has expired", "guest:2")
		alice.Do(theChat, &room.RemoveMember{Member: "guest:3"})
		want("removed", "guest:3")
		guest.Do(theChat, &room.Accept{Secret: "for ever"})
		alice.Do(theChat, &room.Delete{})
		want("the chat was deleted", "guest:1")
	})
}
