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

// Two people share a chat by an invitation, until one is removed.
func TestMembership(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, tab := s.User("alice"), s.User("bob"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		if code := bob.Refused(theChat, &room.Accept{Secret: "secret"}); code != chat.CodeNotFound {
			t.Errorf("no invitation: %s", code)
		}
		alice.Do(theChat, &room.Invite{Offer: chat.Offer{Role: chat.RoleMember, Uses: 1}, Secret: "secret"})
		if code := bob.Refused(theChat, &room.Join{}); code != chat.CodeNotFound {
			t.Errorf("joined before the invitation was accepted: %s", code)
		}
		for range 2 { // looking uses nothing up
			welcome := bob.Do(theChat, &room.Accept{Secret: "secret", Look: true}).Body.(room.Welcomed).Welcome
			if welcome.By != "alice" || welcome.Role != chat.RoleMember || welcome.Has != "" || welcome.Chat.RoleOf("bob") != "" {
				t.Errorf("looked at: %+v", welcome)
			}
		}
		accepted := bob.Do(theChat, &room.Accept{Secret: "secret"})
		if info := accepted.Body.(room.Listed).Chat; info.RoleOf("bob") != chat.RoleMember {
			t.Errorf("accepted: %+v", info)
		}
		for _, look := range []bool{true, false} {
			if code := s.User("eve").Refused(theChat, &room.Accept{Secret: "secret", Look: look}); code != chat.CodeNotFound {
				t.Errorf("an invitation that is used up: %s", code)
			}
		}
		if has := bob.Do(theChat, &room.Accept{Secret: "secret", Look: true}).Body.(room.Welcomed).Welcome.Has; has != chat.RoleMember {
			t.Errorf("a member looks at it, who is %q", has)
		}
		bob.Join(theChat)
		tab.Join(theChat)

		s.Assistant.On("hello", actortest.Hang("so far"))
		alice.Do(theChat, &room.Send{Content: "hello"})
		synctest.Wait()
		if stopped := bob.Stop(theChat, ""); stopped.TurnID == "" {
			t.Error("a member did not stop the owner's turn")
		}
		for _, u := range []*actortest.User{alice, bob, tab} {
			u.Told()
		}
		alice.Do(theChat, &room.RemoveMember{Member: "bob"})
		synctest.Wait()
		for _, u := range []*actortest.User{bob, tab} {
			if diff := cmp.Diff([]string{"members ", "error not_found"}, u.Told()); diff != "" {
				t.Errorf("a member who was removed was told (-want +got):\n%s", diff)
			}
		}
		alice.Send(theChat, "in private")
		time.Sleep(time.Second)
		if told := append(bob.Told(), tab.Told()...); len(told) > 0 {
			t.Errorf("a stranger was told %v", told)
		}
		if code := bob.Refused(theChat, &room.Join{}); code != chat.CodeNotFound {
			t.Errorf("came back: %s", code)
		}
	})
}

// The roles of a chat outlive a restart and a passivation, and a hand-over.
func TestRolesLast(t *testing.T) {
	actortest.Run(t, room.Options{SnapshotEvery: 2}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		if code := bob.Refused(theChat, &room.Send{Content: "hi"}); code != chat.CodeForbidden {
			t.Errorf("a viewer talked: %s", code)
		}
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		takes := func() room.Command { return &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleOwner}} }
		if code := bob.Refused(theChat, takes()); code != chat.CodeForbidden {
			t.Errorf("a member took the chat over: %s", code)
		}
		alice.Do(theChat, takes())
		s.Restart()
		if code := bob.Refused(theChat, &room.Delete{}); code != chat.CodeForbidden {
			t.Errorf("a member owns a chat that was only offered: %s", code)
		}
		bob.Do(theChat, takes())
		s.Restart()
		if code := alice.Refused(theChat, &room.Delete{}); code != chat.CodeForbidden {
			t.Errorf("who has handed the chat over may delete it: %s", code)
		}
		if reply := alice.Do(theChat, &room.RemoveMember{Member: "alice"}); reply.Err != nil {
			t.Errorf("left: %v", reply.Err)
		}
		if reply := bob.Do(theChat, &room.Delete{}); reply.Err != nil {
			t.Errorf("the new owner deletes: %v", reply.Err)
		}
	})
}

// In a chat that is read-only its owner talks alone, and only the owner can change that.
func TestReadOnly(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		yes, no := true, false
		day := int64(24 * 60 * 60)
		if code := bob.Refused(theChat, &room.Configure{Changes: chat.Changes{RetainFor: &day}}); code != chat.CodeForbidden {
			t.Errorf("a member says how long the chat is kept: refused as %q", code)
		}
		if code := bob.Refused(theChat, &room.Configure{Changes: chat.Changes{ReadOnly: &yes}}); code != chat.CodeForbidden {
			t.Errorf("a member made it read-only: %s", code)
		}
		alice.Do(theChat, &room.Configure{Changes: chat.Changes{ReadOnly: &yes}})
		if code := bob.Refused(theChat, &room.Send{Content: "hi"}); code != chat.CodeForbidden {
			t.Errorf("a member talked: %s", code)
		}
		alice.Send(theChat, "listen")
		alice.Do(theChat, &room.Configure{Changes: chat.Changes{ReadOnly: &no}})
		bob.Send(theChat, "thank you")
	})
}

// A role that the disk has refused lets nobody in, nor stay.
func TestRoleThatWasNotRecorded(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		s.Log.Fault(diskFull)
		alice.Tell(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		bob.Tell(theChat, &room.Join{})
		synctest.Wait()
		s.Log.Fault(nil)
		bob.Told()
		alice.Send(theChat, "in private")
		synctest.Wait()
		if told := bob.Told(); len(told) > 0 {
			t.Errorf("a stranger was told %v", told)
		}
	})
}

// Nobody is told of a role that is not on disk, also if another command has brought it.
func TestRoleIsRecordedBeforeItIsAcknowledged(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.Invite{Offer: chat.Offer{Role: chat.RoleMember}, Secret: "secret"})
		accept := func() uint64 { return bob.Tell(theChat, &room.Accept{Secret: "secret"}) }
		sets := func() uint64 {
			return alice.Tell(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		}
		release := s.Log.Hold()
		first, second, third := accept(), accept(), sets()
		synctest.Wait()
		for user, refs := range map[*actortest.User][]uint64{bob: {first, second}, alice: {third}} {
			for _, ref := range refs {
				if r, ok := user.Reply(ref); ok {
					t.Errorf("replied before it is on disk: %+v", r)
				}
			}
		}
		release()
		synctest.Wait()
		for user, refs := range map[*actortest.User][]uint64{bob: {first, second}, alice: {third}} {
			for _, ref := range refs {
				if r, ok := user.Reply(ref); !ok || r.Err != nil {
					t.Errorf("replied %v %+v", ok, r)
				}
			}
		}
	})
}

// A new member is let in, and one who was removed is not, also while the room cannot look
// at its state.
func TestMembersOfARoomThatRestarts(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, carol := s.User("alice"), s.User("bob"), s.User("carol")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "carol", Role: chat.RoleMember}})
		s.Restart()
		alice.Join(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		alice.Do(theChat, &room.RemoveMember{Member: "carol"})
		s.Log.Fault(panicOn("boom"))
		release := s.Log.Hold()
		alice.Tell(theChat, &room.Send{Content: "hello", Quiet: true})
		alice.Tell(theChat, &room.Send{Content: "boom"})
		joins := bob.Tell(theChat, &room.Join{})
		synctest.Wait()
		comes := carol.Tell(theChat, &room.Join{})
		synctest.Wait()
		if r, ok := carol.Reply(comes); !ok || r.Err == nil || r.Err.Code != chat.CodeNotFound {
			t.Errorf("one who was removed: %v %+v", ok, r)
		}
		release()
		synctest.Wait()
		if r, ok := bob.Reply(joins); !ok || r.Err != nil {
			t.Errorf("a new member: %v %+v", ok, r)
		}
	})
}

// A user whose acknowledgement was lost may accept an invitation again.
func TestAcceptAgain(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Do(theChat, &room.Invite{Offer: chat.Offer{Role: chat.RoleMember, Uses: 1}, Secret: "secret"})
		bob.Do(theChat, &room.Accept{Secret: "secret"})
		s.Restart()
		if r := bob.Do(theChat, &room.Accept{Secret: "secret"}); r.Err != nil {
			t.Errorf("again: %+v", r)
		}
	})
}
