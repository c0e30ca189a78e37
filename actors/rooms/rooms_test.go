package rooms_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A room that nobody is in and that has nothing to do leaves memory, and the
// next command brings it back. A room in memory does not read its log again.
func TestIdleRoomIsPassivated(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		const idle = 5 * time.Minute // the default
		alice := s.User("alice")
		before := 0
		wantLoads := func(when string, want int) {
			t.Helper()
			if got := s.Log.Loads(string(theChat.Room())) - before; got != want {
				t.Errorf("%s: the room was read %d times, want %d", when, got, want)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		alice.Create(theChat)
		alice.Join(theChat)
		before = s.Log.Loads(string(theChat.Room()))
		pass(2 * idle)
		alice.Send(theChat, "one")
		wantLoads("with a member", 0)

		s.Assistant.On("work", actortest.Slowly(idle+time.Minute, "done"))
		alice.Send(theChat, "work")
		alice.Do(theChat, &room.Leave{})
		pass(idle + 2*time.Minute)
		alice.Send(theChat, "two")
		wantLoads("with a turn", 0)

		pass(idle - time.Second)
		alice.Send(theChat, "three")
		pass(idle - time.Second)
		alice.Send(theChat, "four")
		wantLoads("with commands now and then", 0)

		pass(idle + time.Second)
		alice.Send(theChat, "five")
		wantLoads("idle", 1)
		alice.Join(theChat)
		if got, want := alice.View(theChat).Seq, uint64(1+4*6); got != want {
			t.Errorf("joined at record %d, want %d", got, want)
		}
	})
}

// No command is lost or answered twice between a room that leaves memory and
// the one that takes its place.
func TestNoCommandIsLostByPassivation(t *testing.T) {
	// Without snapshots each wake-up reads the log from its beginning, which is counted.
	options := room.Options{IdleTimeout: time.Millisecond, SnapshotEvery: 1000}
	actortest.Run(t, options, func(t *testing.T, s *actortest.Server) {
		const senders, each = 3, 60
		users := make([]*actortest.User, senders)
		refs := make([][]uint64, senders)
		for i := range users {
			users[i] = s.User("alice")
		}
		users[0].Create(theChat)
		for i, u := range users {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			go func() {
				for n := range each {
					time.Sleep(time.Duration(random.IntN(8)) * 500 * time.Microsecond)
					refs[i] = append(refs[i], u.Tell(theChat, &room.Send{Content: fmt.Sprint(i, " ", n), Quiet: true}))
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()

		at := make(map[uint64]string)
		for _, m := range s.Messages(theChat) {
			at[m.Seq] = m.Content
		}
		if len(at) != senders*each {
			t.Errorf("got %d messages, want %d", len(at), senders*each)
		}
		for i, u := range users {
			last := uint64(0)
			for n, ref := range refs[i] {
				reply, ok := u.Reply(ref)
				if !ok || reply.Err != nil {
					t.Fatalf("sender %d, message %d: got answer %v, %+v", i, n, ok, reply)
				}
				sent := reply.Body.(room.Sent)
				if got, want := at[sent.Seq], fmt.Sprint(i, " ", n); got != want || sent.Seq <= last {
					t.Errorf("acknowledged %q as record %d, behind %d: that is %q", want, sent.Seq, last, got)
				}
				last = sent.Seq
			}
		}
		if n := s.Log.Loads(string(theChat.Room())); n < 10 {
			t.Errorf("the room left memory %d times: nothing was tested", n)
		}
	})
}

// A room that has become busy when the supervisor consents stays, and gets
// what was held back for it, in order.
func TestBusyRoomStays(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab := s.User("alice"), s.User("alice")
		alice.Create(theChat)
		tab.Join(theChat)
		tab.Told()
		before := s.Log.Loads(string(theChat.Room()))
		for _, text := range []string{"1", "2", "3"} {
			alice.Tell(theChat, &room.Send{Content: text, Quiet: true})
			s.Rooms.Passivate(theChat.Room())
		}
		synctest.Wait()
		want := []string{`message #2 user completed "1"`, `message #3 user completed "2"`, `message #4 user completed "3"`}
		if diff := cmp.Diff(want, tab.Told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := s.Log.Loads(string(theChat.Room())); got != before {
			t.Error("the room left memory")
		}
	})
}

// Ids that name no chat, or that cannot, are answered and leave nothing
// behind: each command finds no room in memory.
func TestGarbageIDs(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		missing := chat.ID("no such chat").Room()
		ids := []chat.RoomID{
			missing, "", "x", "a/b", "../rooms", "rooms", "$1", "r$1", missing + "x", missing[:24], "R" + missing[1:], missing[:24] + "1",
			missing[:24] + "\n", "\x00", "\xff", "r" + "ä",
		}
		for _, id := range ids {
			for range 2 {
				replies := make(inbox, 10)
				caller := room.Caller{User: chat.User{ID: "alice"}, Address: s.Rooms.Open(replies)}
				commands := []room.Message{
					&room.Join{Caller: caller}, &room.Send{Caller: caller, Content: "hi"}, &room.StopTurn{Caller: caller},
					&room.Respond{Caller: caller}, &room.Delete{Caller: caller},
				}
				for _, c := range commands {
					s.Rooms.Tell(id, c)
				}
				synctest.Wait()
				if len(replies) != len(commands) {
					t.Errorf("%q: got %d answers, want %d", id, len(replies), len(commands))
				}
				for range len(replies) {
					if r := (<-replies).(room.Reply); r.Err == nil || r.Err.Code != chat.CodeNotFound {
						t.Errorf("%q: got %+v", id, r)
					}
				}
			}
			s.Rooms.Tell(id, &room.Wake{})
			synctest.Wait()
			s.Rooms.Tell(id, &room.Wake{})
			if _, _, err := s.Rooms.History(t.Context(), chat.User{ID: "alice"}, id, 0, 10); chat.AsError(err).Code != chat.CodeNotFound {
				t.Errorf("%q: history: got %v", id, err)
			}
		}
		synctest.Wait()
		if got := s.Log.Loads(string(missing)); got != 2 {
			t.Errorf("a room that does not exist was read %d times, want 2: once each time that it is woken, since it does not stay in memory", got)
		}
	})
}

// inbox is a recipient that keeps what it gets.
type inbox chan room.Delivery

func (i inbox) Deliver(d room.Delivery) { i <- d }

func TestCreateAndDelete(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, mallory := chat.User{ID: "alice"}, chat.User{ID: "mallory"}
		info, err := s.Rooms.Create(t.Context(), alice, actortest.Model)
		if err != nil || info.Owner != "alice" || info.ID.Room() != info.Room {
			t.Fatalf("got %+v, %v", info, err)
		}
		if _, err := s.Rooms.Create(t.Context(), alice, "no such model"); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("unknown model: got %v", err)
		}
		if err := s.Rooms.Delete(t.Context(), mallory, info.ID); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("delete another's: got %v", err)
		}
		if err := s.Rooms.Delete(t.Context(), alice, info.ID); err != nil {
			t.Error(err)
		}
		if err := s.Rooms.Delete(t.Context(), alice, info.ID); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("delete again: got %v", err)
		}
	})
}

// A caller that waits for an answer can give up.
func TestAskEndsWithItsContext(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		release := s.Log.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Rooms.Create(ctx, chat.User{ID: "alice"}, actortest.Model); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		release()
	})
}

func TestList(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			actortest.Run(t, room.Options{Access: access.Policy{Shared: shared}}, func(t *testing.T, s *actortest.Server) {
				alice, bob := s.User("alice"), s.User("bob")
				for _, id := range []chat.ID{"1", "2", "3"} {
					alice.Create(id)
					time.Sleep(time.Second)
				}
				bob.Create("4")
				want := []chat.ID{"3", "2", "1"}
				if shared {
					want = []chat.ID{"4", "3", "2", "1"}
				}
				infos, total, err := s.Rooms.List(t.Context(), alice.User, 0, 10)
				if err != nil || total != len(want) {
					t.Fatalf("got %d chats, %v, want %d", total, err, len(want))
				}
				var got []chat.ID
				for _, info := range infos {
					got = append(got, info.ID)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("chats (-want +got):\n%s", diff)
				}
				page, total, err := s.Rooms.List(t.Context(), alice.User, 1, 1)
				if err != nil || total != len(want) || len(page) != 1 || page[0].ID != want[1] {
					t.Errorf("second page: got %+v of %d, %v", page, total, err)
				}
			})
		})
	}
}

// History pages backwards and yields the newest messages in the order of the log.
func TestHistory(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		for i := range 25 {
			alice.Tell(theChat, &room.Send{Content: fmt.Sprint(i), Quiet: true})
		}
		synctest.Wait()
		var got []string
		for before, more := uint64(0), true; more; {
			var page []chat.Message
			var err error
			page, more, err = s.Rooms.History(t.Context(), alice.User, theChat.Room(), before, 10)
			if err != nil || len(page) == 0 || len(page) > 10 {
				t.Fatalf("got %d messages, %v", len(page), err)
			}
			before = page[0].Seq
			var contents []string
			for _, m := range page {
				contents = append(contents, m.Content)
			}
			got = append(contents, got...)
		}
		var want []string
		for i := range 25 {
			want = append(want, fmt.Sprint(i))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		if _, _, err := s.Rooms.History(t.Context(), chat.User{ID: "mallory"}, theChat.Room(), 0, 10); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("another user: got %v", err)
		}
		for _, err := range s.Rooms.Messages(t.Context(), alice.User, "no-such-chat", 0, 10) {
			if chat.AsError(err).Code != chat.CodeNotFound {
				t.Errorf("no such chat: got %v", err)
			}
		}
		var streamed []string
		for m, err := range s.Rooms.Messages(t.Context(), alice.User, theChat, 0, 10) {
			if err != nil {
				t.Error(err)
			}
			streamed = append(streamed, m.Content)
		}
		if diff := cmp.Diff(want[15:], streamed); diff != "" {
			t.Errorf("the newest ten (-want +got):\n%s", diff)
		}
	})
}

// A chat that takes the place of one that was deleted has none of its edits.
func TestEditsOfADeletedChatAreForgotten(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		want := func(contents ...string) {
			t.Helper()
			messages, _, err := s.Rooms.History(t.Context(), alice.User, theChat.Room(), 0, 10)
			if err != nil {
				t.Error(err)
			}
			var got []string
			for _, m := range messages {
				got = append(got, m.Content)
			}
			if diff := cmp.Diff(contents, got); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		}
		alice.Create(theChat)
		first := alice.Do(theChat, &room.Send{Content: "first", Quiet: true}).Body.(room.Sent)
		alice.Do(theChat, &room.Send{Content: "second", Quiet: true})
		want("first", "second")
		alice.Do(theChat, &room.Edit{Replaces: first.MessageID, Content: "edited"})
		want("edited", "You said: edited")

		alice.Do(theChat, &room.Delete{})
		alice.Create(theChat)
		alice.Do(theChat, &room.Send{Content: "third", Quiet: true})
		want("third")
		alice.Do(theChat, &room.Send{Content: "fourth", Quiet: true})
		want("third", "fourth")
	})
}

// A page has as many messages as were asked for: the ends of turns that were
// stopped before they started are none.
func TestPagesCountMessages(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		for i := range 5 {
			alice.Tell(theChat, &room.Send{Content: fmt.Sprint(i)})
		}
		synctest.Wait()
		joined := alice.Do(theChat, &room.Join{}).Body.(room.Joined)
		for _, turn := range joined.Queued {
			alice.Do(theChat, &room.StopTurn{TurnID: turn.ID})
		}
		for _, limit := range []int{1, 3, 5} {
			got := 0
			for _, err := range s.Rooms.Messages(t.Context(), alice.User, theChat, 0, limit) {
				if err != nil {
					t.Error(err)
				}
				got++
			}
			if got != limit {
				t.Errorf("got %d messages, want %d", got, limit)
			}
		}
	})
}

// Close waits for the providers' streams, but not longer than it is told.
func TestCloseIsBounded(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		gone := make(chan struct{})
		s.Assistant.On("wait", actortest.Fail(func(context.Context) error { <-gone; return nil }))
		alice.Send(theChat, "wait")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Rooms.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		close(gone)
		if err := s.Rooms.Close(t.Context()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

// Close waits for a room that is at work.
func TestCloseWaitsForRooms(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		gate, closed := make(chan struct{}), false
		s.Log.Fault(func(persistence.Commit) error {
			<-gate
			return nil
		})
		alice.Tell(theChat, &room.Send{Content: "hello"})
		synctest.Wait()
		go func() {
			if err := s.Rooms.Close(t.Context()); err != nil {
				t.Error(err)
			}
			closed = true
		}()
		synctest.Wait()
		if closed {
			t.Error("Close did not wait")
		}
		close(gate)
		synctest.Wait()
		if !closed {
			t.Error("Close did not return")
		}
	})
}

// When Close returns the rooms are gone: nothing is written any more, however
// busy they were.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		ids := []chat.ID{"1", "2", "3", "4", "5"}
		for _, id := range ids {
			alice.Create(id)
		}
		for i := range 50 {
			alice.Tell(ids[i%len(ids)], &room.Send{Content: fmt.Sprint(i)})
		}
		if err := s.Rooms.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.Log.Fault(func(c persistence.Commit) error {
			t.Errorf("room %s writes after Close", c.Room)
			return nil
		})
		alice.Tell(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model})
		time.Sleep(time.Hour)
	})
}
