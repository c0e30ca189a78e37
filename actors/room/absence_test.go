package room_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// When an answer ends, those are named who have asked for it or left since, if they are not
// there.
func TestEnded(t *testing.T) {
	var got []string
	o := room.Options{Ended: func(e room.Ended) {
		got = append(got, fmt.Sprint(e.Chat.ID, " ", e.Answer.State, " ", e.Took, " ", e.Away))
	}}
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		alice, bob, phone := s.User("alice"), s.User("bob"), s.User("alice")
		s.Assistant.On("count", actortest.Slowly(10*time.Second, "one ", "two"))
		alice.Create("c")
		alice.Do("c", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		want := func(want string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			if all := strings.Join(got, ", "); all != want {
				t.Errorf("told %q, want %q", all, want)
			}
			got = nil
		}
		leave := func(u *actortest.User) { u.Tell("c", &room.Leave{}); synctest.Wait() }
		alice.Join("c")
		bob.Join("c")
		alice.Send("c", "count")
		want("") // everybody is there
		alice.Send("c", "count")
		leave(alice)
		leave(bob)
		bob.Join("c")
		want("c completed 20s [alice]") // bob has come back
		leave(bob)
		alice.Join("c")
		phone.Join("c")
		alice.Send("c", "count")
		leave(alice)
		want("") // she is there with another device, and bob has not waited
		bob.Send("c", "count")
		bob.Do("c", &room.RemoveMember{Member: "bob"})
		want("") // he may not know any more
	})
}

// When a call begins to wait for approval and nobody is there who may decide, those are named
// who have asked for the answer or left since, and may.
func TestAsked(t *testing.T) {
	var got []string
	o := room.Options{Asked: func(a room.Asked) { got = append(got, fmt.Sprint(a.Chat.ID, " ", a.Tool, " ", a.Away)) }}
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		s.Tools.Ask("pay", chat.ApprovalAlways)
		s.Assistant.On("wait", actortest.Slowly(10*time.Second, "so", actortest.CallTools+"pay {}"))
		s.Assistant.On("look", actortest.Call("look {}"))
		alice.Create("c")
		alice.Do("c", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		want := func(want string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			if all := strings.Join(got, ", "); all != want {
				t.Errorf("told %q, want %q", all, want)
			}
			got = nil
			alice.Do("c", &room.StopTurn{})
			synctest.Wait()
		}
		leave := func(u *actortest.User) { u.Tell("c", &room.Leave{}); synctest.Wait() }
		alice.Join("c")
		bob.Join("c")
		alice.Send("c", "wait")
		want("") // she is there
		alice.Send("c", "wait")
		leave(alice)
		want("c pay [alice]") // and bob, who is there, may not decide
		alice.Send("c", "look")
		want("") // nothing waits
		alice.Send("c", "wait")
		leave(bob)
		want("c pay [alice]") // he may not either
	})
}
