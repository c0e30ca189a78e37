package feed_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/feed"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// An observer notes what it is told of chats.
type observer struct {
	mu   sync.Mutex
	told []string
}

func (o *observer) Tell(a chat.Activity) {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := fmt.Sprintf("%s #%d %s %d", a.Chat, a.Seq, a.State, a.Unread)
	if a.Mentions > 0 {
		line += fmt.Sprintf(" @%d", a.Mentions)
	}
	if a.Waiting {
		line += " waiting"
	}
	o.told = append(o.told, line)
}

// want checks what the observer was told since the last call, once time has passed.
func (o *observer) want(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(feed.ActivityEvery)
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if got, want := strings.Join(o.told, ", "), strings.Join(want, ", "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	o.told = nil
}

func watch(s *actortest.Server, u *actortest.User) *observer {
	o := &observer{}
	s.Rooms.Watch(u.User, o)
	return o
}

// Members are told what happens in a chat, each with the number of what is unread, and
// nobody else is told anything.
func TestActivity(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, eve := s.User("alice"), s.User("bob"), s.User("eve")
		a, a2, b, e := watch(s, alice), watch(s, alice), watch(s, bob), watch(s, eve)
		s.Assistant.On("count", actortest.Slowly(time.Second, "one ", "two"))
		alice.Create("c")
		a.want(t, "c #1 idle 0")
		a2.want(t, "c #1 idle 0")
		b.want(t)
		alice.Do("c", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleMember}})
		b.want(t, "c #2 idle 0")
		a.want(t, "c #2 idle 0")
		alice.Send("c", "count")
		b.want(t, "c #5 running 1")
		a.want(t, "c #5 running 0")
		if got, err := s.Rooms.Running(t.Context(), bob.User); err != nil || len(got) != 1 || got[0].Unread != 1 {
			t.Errorf("running: got %+v, %v", got, err)
		}
		if got, err := s.Rooms.Running(t.Context(), eve.User); err != nil || len(got) != 0 {
			t.Errorf("running for a stranger: got %+v, %v", got, err)
		}
		time.Sleep(3 * time.Second)
		b.want(t, "c #6 idle 2")
		a.want(t, "c #6 idle 1")
		bob.Do("c", &room.Send{Content: "hello @alice", Quiet: true})
		a.want(t, "c #7 idle 2 @1")
		left, err := s.Rooms.MarkRead(t.Context(), alice.User, chat.ID("c").Room(), 6)
		if said := chat.Timestamp(time.Now().Add(-feed.ActivityEvery)); err != nil || left != (chat.Unread{LastSeq: 7, Unread: 1, Mentions: 1, LastTimestamp: said}) {
			t.Errorf("left %+v, %v", left, err)
		}
		a2.want(t, "c #2 idle 0", "c #5 running 0", "c #6 idle 1", "c #7 idle 2 @1", "c #7 idle 1 @1")
		b.want(t, "c #7 idle 2") // of what alice has read bob is not told
		s.Rooms.Unwatch("alice", a)
		alice.Do("c", &room.RemoveMember{Member: "bob"})
		alice.Do("c", &room.Delete{})
		b.want(t, "c #8 deleted 0") // for him
		a2.want(t, "c #8 deleted 0")
		e.want(t)
	})
}

// Activities of the same moment are told once, however many there are.
func TestActivityCoalesces(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create("c")
		b := watch(s, bob)
		for range 200 {
			alice.Tell("c", &room.Send{Content: "x", Quiet: true})
		}
		synctest.Wait()
		b.want(t, "c #201 idle 100") // which is as far as it counts
	})
}

// A read marker outlives the server, never goes back, and is its user's alone.
func TestUnread(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob, eve := s.User("alice"), s.User("bob"), s.User("eve")
		info := alice.Create("c")
		alice.Do("c", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		for _, text := range []string{"1", "2", "3"} {
			alice.Send("c", text)
		}
		unread := func(u *actortest.User) chat.Unread {
			t.Helper()
			all, err := s.Rooms.Unread(t.Context(), u.User, []chat.Info{info.WithMember(chat.Member{ID: "bob", Role: chat.RoleViewer})})
			if err != nil || len(all) != 1 {
				t.Fatalf("got %v, %v", all, err)
			}
			return all[0]
		}
		want := func(u *actortest.User, n int) {
			t.Helper()
			if got := unread(u); got.Unread != n || got.LastSeq != 14 {
				t.Errorf("%s: got %+v, want %d", u.ID, got, n)
			}
		}
		want(alice, 3) // the answers
		want(bob, 6)
		if got := unread(eve); got != (chat.Unread{}) {
			t.Errorf("a stranger: got %+v", got)
		}
		for _, seq := range []uint64{9, 3, 9} {
			if _, err := s.Rooms.MarkRead(t.Context(), bob.User, info.Room, seq); err != nil {
				t.Fatal(err)
			}
			want(bob, 3)
		}
		s.Restart()
		want(bob, 3)
		want(alice, 3)
		if left, err := s.Rooms.MarkRead(t.Context(), bob.User, info.Room, 1<<60); err != nil || left.Unread != 0 {
			t.Errorf("past the end: %+v, %v", left, err)
		}
		alice.Send("c", "4")
		if got := unread(bob); got.Unread != 2 {
			t.Errorf("after two more: got %+v", got)
		}
		if _, err := s.Rooms.MarkRead(t.Context(), eve.User, info.Room, 1); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("a stranger: got %v", err)
		}
		if got := len(s.Records("c")); got != 18 {
			t.Errorf("%d records: reading is none", got)
		}
	})
}

// A message that was withdrawn or said anew is not unread: nobody sees it any more.
func TestUnreadIsWhatOneSees(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		info := alice.Create("c").WithMember(chat.Member{ID: "bob", Role: chat.RoleViewer})
		alice.Do("c", &room.SetMember{Member: info.Members[0]})
		want := func(n int) {
			t.Helper()
			all, err := s.Rooms.Unread(t.Context(), s.User("bob").User, []chat.Info{info})
			if err != nil || all[0].Unread != n {
				t.Errorf("got %+v, %v, want %d", all, err, n)
			}
		}
		first := alice.Do("c", &room.Send{Content: "first"}).Body.(room.Sent)
		synctest.Wait()
		alice.Send("c", "second")
		want(4) // with the answers
		alice.Do("c", &room.Edit{Replaces: first.MessageID, Content: "anew"})
		synctest.Wait()
		want(2) // that and its answer
		s.Restart()
		want(2)
		s.Assistant.On("long", actortest.Hang("so far"))
		alice.Do("c", &room.Send{Content: "long"})
		synctest.Wait()
		waiting := alice.Do("c", &room.Send{Content: "waits"}).Body.(room.Sent)
		want(4)
		alice.Do("c", &room.Withdraw{MessageID: waiting.MessageID})
		want(3)
	})
}

// To count again reads only what is new, and a chat that was made anew is another one.
func TestUnreadIsRemembered(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		for round := range 3 {
			info := alice.Create("c")
			for range 2 * chat.MaxUnread {
				alice.Tell("c", &room.Send{Content: strings.Repeat("x", 1000), Quiet: true})
			}
			synctest.Wait()
			alice.Do("c", &room.Send{Content: "hello"})
			for n := range 4 {
				all, err := s.Rooms.Unread(t.Context(), alice.User, []chat.Info{info})
				if err != nil || all[0].Unread != n+1 {
					t.Fatalf("round %d: got %+v, %v, want the answers that alice did not write", round, all, err)
				}
				alice.Do("c", &room.Send{Content: "hello"})
			}
			alice.Do("c", &room.Delete{})
		}
	})
}

// After a restart the answers that go on are told to be running, also before the room has
// recorded that it has asked again.
func TestRunningAfterRestart(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		s.Assistant.On("hello", actortest.Hang())
		alice := s.User("alice")
		alice.Create("c")
		alice.Send("c", "hello")
		synctest.Wait()
		s.Log.Fault(func(persistence.Commit) error { return errors.New("the disk is full") })
		s.Restart()
		if got, err := s.Rooms.Running(t.Context(), alice.User); err != nil || len(got) != 1 || got[0].Chat != "c" {
			t.Errorf("got %+v, %v", got, err)
		}
		s.Log.Fault(nil)
	})
}

// While a call waits for a member to decide, those who watch are told so.
func TestActivityWaits(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		s.Tools.Ask("pay", chat.ApprovalAsk)
		s.Assistant.On("go", actortest.Call("pay {}"))
		alice.Create("c")
		a := watch(s, alice)
		alice.Send("c", "go")
		a.want(t, "c #5 running 0 waiting")
		running, err := s.Rooms.Running(t.Context(), alice.User)
		if err != nil || len(running) != 1 || !running[0].Waiting {
			t.Errorf("running: got %+v, %v", running, err)
		}
	})
}
