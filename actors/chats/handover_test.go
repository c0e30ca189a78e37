package chats_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// The chats of a user who turns out to be another one are that one's, with the higher of two
// roles. Who listens as the old one hears no more.
func TestHandOver(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		old, alice, bob := s.User("old"), s.User("alice"), s.User("bob")
		old.Create("own")
		old.Send("own", "hello")
		old.Join("own")
		bob.Create("where both are")
		bob.Do("where both are", &room.SetMember{Member: chat.Member{ID: "old", Role: chat.RoleMember}})
		bob.Do("where both are", &room.SetMember{Member: chat.Member{ID: "alice", Role: chat.RoleViewer}})
		bob.Create("offered")
		bob.Do("offered", &room.SetMember{Member: chat.Member{ID: "old", Role: chat.RoleViewer}})
		bob.Do("offered", &room.SetMember{Member: chat.Member{ID: "old", Role: chat.RoleOwner}})
		alice.Create("hers")
		alice.Do("hers", &room.SetMember{Member: chat.Member{ID: "old", Role: chat.RoleMember}})
		if _, err := s.Rooms.MarkRead(t.Context(), chat.User{ID: "old"}, chat.ID("own").Room(), 1000); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		old.Told()
		for range 2 { // the second time there is nothing to do
			if err := s.Rooms.HandOver(t.Context(), "old", "alice"); err != nil {
				t.Fatal(err)
			}
			s.Restart()
		}
		want := map[chat.ID]chat.MemberRole{"own": chat.RoleOwner, "where both are": chat.RoleMember, "offered": chat.RoleViewer, "hers": chat.RoleOwner}
		for id, role := range want {
			info, err := s.Rooms.Get(t.Context(), chat.User{ID: "alice"}, id)
			if err != nil || info.RoleOf("alice") != role || info.RoleOf("old") != "" {
				t.Errorf("%s: %+v, %v, want %s", id, info, err, role)
			}
		}
		if _, n, err := s.Rooms.List(t.Context(), chat.User{ID: "old"}, 0, 10); n != 0 || err != nil {
			t.Errorf("the old user has %d chats, %v", n, err)
		}
		chats, n, err := s.Rooms.List(t.Context(), chat.User{ID: "alice"}, 0, 10)
		if n != len(want) || err != nil {
			t.Errorf("%d chats of alice, %v", n, err)
		}
		unread, err := s.Rooms.Unread(t.Context(), chat.User{ID: "alice"}, chats)
		for i, c := range chats {
			if c.ID == "own" && (err != nil || unread[i].Unread != 0) {
				t.Errorf("not read: %+v, %v", unread[i], err)
			}
		}
		alice.Do("offered", &room.SetMember{Member: chat.Member{ID: "alice", Role: chat.RoleOwner}})
		if code := old.Refused("own", &room.Join{}); code != chat.CodeNotFound {
			t.Errorf("the old user came back: %s", code)
		}
	})
}

// A chat that cannot be changed at the moment keeps no other one from it.
func TestHandOverBehindAFault(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		old := s.User("old")
		for _, id := range []chat.ID{"a", "b", "c"} {
			old.Create(id)
		}
		s.Log.Fault(refuseRoom(chat.ID("b").Room()))
		if err := s.Rooms.HandOver(t.Context(), "old", "alice"); err == nil {
			t.Error("no fault")
		}
		if _, n, err := s.Rooms.List(t.Context(), chat.User{ID: "alice"}, 0, 10); n != 2 || err != nil {
			t.Errorf("%d chats of alice, %v", n, err)
		}
		s.Log.Fault(nil)
		if err := s.Rooms.HandOver(t.Context(), "old", "alice"); err != nil {
			t.Error(err)
		}
		if _, n, err := s.Rooms.List(t.Context(), chat.User{ID: "alice"}, 0, 10); n != 3 || err != nil {
			t.Errorf("%d chats of alice, %v", n, err)
		}
	})
}

func refuseRoom(id chat.RoomID) func(persistence.Commit) error {
	return func(c persistence.Commit) error {
		if c.Room == string(id) {
			return errors.New("disk full")
		}
		return nil
	}
}
