package room_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// settle lets the time pass after which listeners know who is there.
func settle() {
	time.Sleep(room.PresenceEvery)
	synctest.Wait()
}

func wantSeen(t *testing.T, u *actortest.User, want string) {
	t.Helper()
	if got := u.Sees(theChat).String(); got != want {
		t.Errorf("%s sees %q, want %q", u.ID, got, want)
	}
}

func runShared(t *testing.T, f func(t *testing.T, s *actortest.Server)) {
	t.Helper()
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, f)
}

// A listener is told who is there when it joins, and then what changes: who comes with
// how many devices, and who leaves.
func TestPresence(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		alice, phone, bob := s.User("alice"), s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		settle()
		wantSeen(t, alice, "alice | idle")
		phone.Join(theChat)
		bob.JoinAs(theChat, assistant.Both)
		settle()
		for _, u := range []*actortest.User{alice, phone, bob} {
			wantSeen(t, u, "alice*2 bob | idle")
		}
		phone.Do(theChat, &room.Leave{})
		settle()
		wantSeen(t, bob, "alice bob | idle")
		bob.JoinAs(theChat, assistant.Documented) // once more: is told all of it again
		settle()
		wantSeen(t, bob, "alice bob | idle")
		bob.Do(theChat, &room.Leave{})
		settle()
		wantSeen(t, alice, "alice | idle")
		if got := alice.Sees(theChat).Told; got != 4 {
			t.Errorf("alice was told %d times, want once for each change of others, and first", got)
		}
	})
}

// A change that is undone before it is told is not told. Changes at once are told together.
func TestPresenceCoalesces(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		settle()
		for range 50 {
			bob.Join(theChat)
			bob.Do(theChat, &room.SetTyping{Typing: true})
			bob.Do(theChat, &room.Leave{})
		}
		settle()
		if got := alice.Sees(theChat); got.Told != 1 {
			t.Errorf("told %d times of nothing: %s", got.Told-1, got)
		}
		for i := range 20 {
			s.User(chat.UserID(fmt.Sprint("user-", i))).Join(theChat)
		}
		settle()
		if got := alice.Sees(theChat); got.Told != 2 || got.Users != 21 {
			t.Errorf("told %d times, of %d users; want twice, 21", got.Told, got.Users)
		}
	})
}

// Somebody types until they say so, have said it, leave, or do not repeat it.
func TestTyping(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		if got := bob.Refused(theChat, &room.SetTyping{Typing: true}); got != chat.CodeInvalid {
			t.Errorf("typing without having joined: got %s", got)
		}
		alice.Join(theChat)
		bob.Join(theChat)
		types := func(typing bool) { bob.Do(theChat, &room.SetTyping{Typing: typing}) }
		see := func(want string) {
			t.Helper()
			settle()
			wantSeen(t, alice, want)
		}
		types(true)
		see("alice bob… | idle")
		types(false)
		see("alice bob | idle")
		types(true)
		see("alice bob… | idle")
		before := alice.Sees(theChat).Told
		for range 5 { // repeated in time: nobody is told again
			time.Sleep(room.TypingFor - time.Second)
			types(true)
		}
		see("alice bob… | idle")
		if told := alice.Sees(theChat).Told; told != before {
			t.Errorf("told %d times that bob goes on typing", told-before)
		}
		time.Sleep(room.TypingFor)
		see("alice bob | idle")
		types(true)
		see("alice bob… | idle")
		bob.Do(theChat, &room.Send{Content: "so", Quiet: true})
		see("alice bob | idle")
		types(true)
		bob.Do(theChat, &room.Leave{})
		see("alice | idle")
		bob.Join(theChat)
		see("alice bob | idle")
	})
}

// Viewers see who types, and cannot type.
func TestTypingNeedsTheRightToTalk(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, eve := s.User("alice"), s.User("bob"), s.User("eve")
		alice.Create(theChat)
		alice.Do(theChat, &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		alice.Join(theChat)
		bob.Join(theChat)
		if got := bob.Refused(theChat, &room.SetTyping{Typing: true}); got != chat.CodeForbidden {
			t.Errorf("a viewer who types: got %s", got)
		}
		for _, c := range []room.Command{&room.SetTyping{Typing: true}, &room.AskPresence{}, &room.Join{}} {
			if got := eve.Refused(theChat, c); got != chat.CodeNotFound {
				t.Errorf("%T by a stranger: got %s", c, got)
			}
		}
		settle()
		wantSeen(t, bob, "alice bob | idle")
		alice.Do(theChat, &room.RemoveMember{Member: "bob"})
		settle()
		wantSeen(t, alice, "alice | idle")
	})
}

// Everybody sees what the assistant does, and is told when that changes, however many
// pieces an answer has.
func TestAssistantState(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		pieces := make([]string, 100)
		for i := range pieces {
			pieces[i] = fmt.Sprintf("%d ", i)
		}
		s.Assistant.On("count", actortest.Slowly(time.Second, append([]string{"so ", actortest.RunTool + "search"}, pieces...)...))
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		settle()
		alice.Send(theChat, "count")
		for _, want := range []string{"thinking", "answering", "tool search", "answering"} {
			settle()
			wantSeen(t, alice, "alice | "+want)
			time.Sleep(time.Second - room.PresenceEvery)
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		wantSeen(t, alice, "alice | idle")
		if got := alice.Sees(theChat).Told; got != 6 {
			t.Errorf("told %d times, want one for each of 6 states", got)
		}
	})
}

// While a call runs everybody sees which, and while one waits for a member that it does, also
// after the end of the server.
func TestAssistantCallsTools(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Tools.Ask("pay", chat.ApprovalAsk)
		s.Tools.On("look", func(context.Context) (string, error) {
			time.Sleep(time.Minute)
			return "seen", nil
		})
		s.Assistant.On("go", actortest.Call("look {}"))
		s.Assistant.On("seen", actortest.Call("look {}", "pay {}"))
		alice.Send(theChat, "go")
		settle()
		wantSeen(t, alice, "alice | tool look")
		time.Sleep(time.Minute)
		settle()
		wantSeen(t, alice, "alice | waiting approval")
		time.Sleep(time.Minute)
		s.Restart()
		calls := pending(alice)
		settle()
		wantSeen(t, alice, "alice | waiting approval")
		alice.Do(theChat, &room.Decide{CallID: calls[0], Approved: true})
		settle()
		wantSeen(t, alice, "alice | idle")
	})
}

func TestAssistantWaitsForItsProvider(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		s.Assistant.Tell("hello", chat.Delta{Retrying: chat.Refuse(chat.CodeProviderError, "failed")})
		s.Assistant.On("hello", actortest.Hang())
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		alice.Send(theChat, "hello")
		settle()
		wantSeen(t, alice, "alice | waiting provider")
		alice.Stop(theChat, "")
		settle()
		wantSeen(t, alice, "alice | idle")
	})
}

// A room that is restarted still knows who is there, and its listeners are told only
// what changes. With the server all of it ends, and who comes back is told all again.
func TestPresenceOutlivesARoom(t *testing.T) {
	runShared(t, func(t *testing.T, s *actortest.Server) {
		s.Assistant.On("hang", actortest.Hang("so "))
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		alice.Send(theChat, "hang")
		settle()
		wantSeen(t, alice, "alice bob | answering")
		s.Log.Fault(panicOn("boom"))
		alice.Refused(theChat, &room.Send{Content: "boom"})
		s.Log.Fault(nil)
		settle()
		wantSeen(t, alice, "alice bob | answering")
		bob.Do(theChat, &room.Leave{})
		settle()
		wantSeen(t, alice, "alice | answering")
		s.Restart()
		alice.Join(theChat)
		settle()
		wantSeen(t, alice, "alice | answering")
	})
}

// A crowd is told who some of them are and how many all are, and each listener as much as
// in a smaller crowd.
func TestPresenceOfACrowd(t *testing.T) {
	const listed = 10
	told := func(users int) (bytes int) {
		actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxListed: listed}, func(t *testing.T, s *actortest.Server) {
			s.User("first").Create(theChat)
			var all []*actortest.User
			for i := range users {
				for range 3 {
					u := s.User(chat.UserID(fmt.Sprintf("user-%04d", i)))
					u.Tell(theChat, &room.Join{Encoder: assistant.Documented.String()})
					all = append(all, u)
				}
				if i%(users/4) == 0 {
					settle()
				}
			}
			settle()
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, u := range all[:len(all)/2] {
				u.Tell(theChat, &room.Leave{})
			}
			here := map[chat.UserID]int{}
			for _, u := range all[len(all)/2:] {
				here[u.ID]++
			}
			settle()
			for _, u := range all[len(all)/2:] {
				checkCrowd(t, u, here, listed)
			}
			for _, u := range all {
				bytes += u.PresenceBytes()
			}
		})
		return bytes
	}
	small, large := told(40), told(160)
	if ratio := float64(large) / float64(small); ratio > 4.4 {
		t.Errorf("four times the users were told %.1f times the bytes: %d, %d", ratio, small, large)
	}
}

// A user who joins a crowd is told of some of them, and of itself.
func TestJoinOfACrowdListsTheCaller(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxListed: 2}, func(t *testing.T, s *actortest.Server) {
		s.User("a").Create(theChat)
		for _, id := range []chat.UserID{"a", "b", "c", "d"} {
			users := s.User(id).Join(theChat).Users
			if len(users) > 3 || !slices.ContainsFunc(users, func(u chat.User) bool { return u.ID == id }) {
				t.Errorf("%s: got %v", id, users)
			}
		}
	})
}

func checkCrowd(t *testing.T, u *actortest.User, here map[chat.UserID]int, listed int) {
	t.Helper()
	got, devices := u.Sees(theChat), 0
	for _, n := range here {
		devices += n
	}
	if got.Users != len(here) || got.Devices != devices || len(got.Members) != min(listed, len(here)) {
		t.Fatalf("%s sees %d users with %d devices and %d of them listed; want %d, %d", u.ID, got.Users, got.Devices, len(got.Members), len(here), devices)
	}
	for _, m := range got.Members {
		if here[m.ID] != m.Devices {
			t.Fatalf("%s sees %s with %d devices, want %d", u.ID, m.ID, m.Devices, here[m.ID])
		}
	}
	if strings.Contains(got.String(), "…") {
		t.Fatalf("%s sees somebody type", u.ID)
	}
}
