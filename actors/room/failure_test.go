package room_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// A command that makes the room panic is refused to its sender, at once.
// Everybody else goes on: the members are members, the turn that ran starts
// again as the same message, what waited behind is answered.
func TestPanicCostsTheCommandOnly(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("cut"))
		alice.Send(theChat, "wait")
		s.Assistant.On("wait", actortest.Slowly(time.Second, "whole"))
		alice.Told()
		s.Log.Fault(panicOn("boom"))
		boom := bob.Tell(theChat, &room.Send{Content: "boom"})
		behind := bob.Tell(theChat, &room.Send{Content: "behind", Quiet: true})
		synctest.Wait()
		if reply, ok := bob.Reply(boom); !ok || reply.Err == nil || reply.Err.Code != chat.CodeInternal {
			t.Errorf("poisoned command: got answer %v, %v", ok, reply)
		}
		if reply, ok := bob.Reply(behind); !ok || reply.Err != nil {
			t.Errorf("command behind it: got answer %v, %v", ok, reply)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"wait", "behind", "whole"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		all := starts(s)
		if len(all) != 2 || all[1].Attempt != 2 || all[0].MessageID != all[1].MessageID {
			t.Errorf("starts: %+v", all)
		}
		wantTold(t, alice,
			"turn #5 running", "stream_start #5 attempt 2", `message #6 user completed "behind"`, `stream_chunk @0 "whole"`,
			"stream_chunk @5 done", `message #7 assistant completed "whole"`, "stream_end #7 completed", "turn #7 completed")
	})
}

// The commits that the dead instance had handed to the log are acknowledged and
// published by the next one: once, in order, and not to the sender.
func TestPanicWithCommitsInFlight(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		alice.Told()
		bob.Told()
		say := func(u *actortest.User, text string) uint64 {
			return u.Tell(theChat, &room.Send{Content: text, Quiet: true})
		}
		wantLoads := countLoads(t, s)
		release := s.Log.Hold()
		s.Log.Fault(panicOn("boom"))
		refs := []uint64{say(alice, "one"), say(alice, "two"), say(alice, "boom"), say(alice, "three")}
		synctest.Wait()
		wantTold(t, alice, "refused internal")
		wantTold(t, bob)
		release()
		synctest.Wait()
		for i, ref := range refs {
			if reply, ok := alice.Reply(ref); !ok || (reply.Err != nil) != (i == 2) {
				t.Errorf("command %d: got answer %v, %+v", i, ok, reply)
			}
		}
		wantTold(t, alice, "sent #2", "sent #3", "sent #4")
		wantTold(t, bob, `message #2 user completed "one"`, `message #3 user completed "two"`, `message #4 user completed "three"`)
		wantLoads(1)
	})
}

// A listener that leaves while the room is being restarted has left, also if a command
// ahead of its Leave makes the room panic again: nobody repeats a Leave.
func TestPanicAheadOfALeave(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Join(theChat)
		release := s.Log.Hold()
		s.Log.Fault(panicOn("boom"))
		for _, text := range []string{"in flight", "boom 1", "boom 2"} {
			alice.Tell(theChat, &room.Send{Content: text, Quiet: true})
		}
		ref := bob.Tell(theChat, &room.Leave{})
		release()
		synctest.Wait()
		if reply, ok := bob.Reply(ref); !ok || reply.Err != nil {
			t.Errorf("left: got answer %v, %+v", ok, reply)
		}
		if members := alice.Join(theChat).Users; len(members) != 1 {
			t.Errorf("members are %v", members)
		}
	})
}

// Commands that wait for the room to be read are all answered, also if one of
// them makes it panic.
func TestPanicWithParkedCommands(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		release := s.Log.Hold()
		s.Log.Fault(panicOn("boom"))
		var refs []uint64
		for _, text := range []string{"in flight", "boom 1", "parked 1", "boom 2", "parked 2"} {
			refs = append(refs, alice.Tell(theChat, &room.Send{Content: text, Quiet: true}))
		}
		synctest.Wait()
		release()
		synctest.Wait()
		want := map[int]bool{0: true, 2: true} // what was parked behind the second panic may be refused
		for i, ref := range refs {
			reply, ok := alice.Reply(ref)
			if !ok {
				t.Errorf("command %d was not answered", i)
			}
			if want[i] != (reply.Err == nil) {
				t.Errorf("command %d: got %+v", i, reply)
			}
		}
		if diff := cmp.Diff([]string{"in flight", "parked 1"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		alice.Send(theChat, "and on")
	})
}

// A panic may keep a record from the log. Its sender is still told the record that gets
// its number.
func TestPanicForgetsTheSender(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab := s.User("alice"), s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		tab.Join(theChat)
		s.Log.Fault(panicOn("boom"))
		alice.Refused(theChat, &room.Send{Content: "boom"})
		alice.Told()
		s.Log.Fault(nil)
		tab.Do(theChat, &room.Send{Content: "hello", Quiet: true})
		wantTold(t, alice, `message #2 user completed "hello"`)
	})
}

// A room that fails again and again is restarted later and later. Its
// neighbours do not notice, and it comes back.
func TestFailingRoomHurtsNobodyElse(t *testing.T) {
	actortest.Run(t, room.Options{MaxRestarts: 30}, func(t *testing.T, s *actortest.Server) {
		const neighbour = "neighbour"
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Create(neighbour)
		bob.Join(neighbour)
		s.Log.Fault(panicOn("boom"))
		var refs []uint64
		for i := range 20 {
			refs = append(refs, alice.Tell(theChat, &room.Send{Content: fmt.Sprint("boom ", i)}))
		}
		last := alice.Tell(theChat, &room.Send{Content: "hello", Quiet: true})
		synctest.Wait()
		bob.Send(neighbour, "meanwhile")
		if _, ok := alice.Reply(last); ok {
			t.Error("the failing room was not slowed down")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i, ref := range refs {
			if reply, ok := alice.Reply(ref); !ok || reply.Err == nil || reply.Err.Code != chat.CodeInternal {
				t.Errorf("command %d: got answer %v, %+v", i, ok, reply)
			}
		}
		if reply, ok := alice.Reply(last); !ok || reply.Err != nil {
			t.Errorf("last command: got answer %v, %+v", ok, reply)
		}
	})
}

// While the disk refuses, senders are told so and nobody else anything; when
// it is back everything goes on, as if nothing had been said.
func TestDiskRefuses(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		bob.Told()
		s.Log.Fault(diskFull)
		release := s.Log.Hold() // the room learns it when it has handled all of them
		var refs []uint64
		for _, c := range []room.Command{
			&room.Send{Content: "one"}, &room.Send{Content: "two", ClientID: "two"}, &room.Send{Content: "two", ClientID: "two"},
			&room.Respond{}, &room.StopTurn{},
		} {
			refs = append(refs, alice.Tell(theChat, c))
		}
		synctest.Wait()
		release()
		synctest.Wait()
		for i, ref := range refs {
			if reply, ok := alice.Reply(ref); !ok || reply.Err == nil || reply.Err.Code != chat.CodeStorageUnavailable {
				t.Errorf("command %d: got answer %v, %+v", i, ok, reply)
			}
		}
		alice.Told()
		wantTold(t, bob)
		if joined := s.User("bob").Join(theChat); joined.Seq != 1 {
			t.Errorf("joined at %d, want 1", joined.Seq)
		}

		s.Log.Fault(nil)
		alice.Do(theChat, &room.Send{Content: "two", ClientID: "two"})
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"two", "You said: two"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		if v := bob.View(theChat); v.Seq != 5 {
			t.Errorf("bob is at record %d, want 5", v.Seq)
		}
	})
}

// The end of a turn, and the start of the next one, are recorded when the disk
// is back.
func TestDiskRefusesTheEndOfATurn(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(alice *actortest.User, complete func())
		want chat.State
	}{
		{"completed", func(_ *actortest.User, complete func()) { complete() }, chat.StateCompleted},
		{"stopped", func(alice *actortest.User, complete func()) {
			if stopped := alice.Stop(theChat, ""); !stopped.Unrecorded {
				t.Errorf("the stop is said to be recorded: %+v", stopped)
			}
			complete() // too late
		}, chat.StateStopped},
	} {
		t.Run(test.name, func(t *testing.T) {
			actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				alice.Join(theChat)
				complete := make(chan struct{})
				s.Assistant.On("first", actortest.Fail(func(context.Context) error { <-complete; return nil }, "answer"))
				alice.Send(theChat, "first")
				alice.Send(theChat, "second")
				s.Log.Fault(diskFull)
				test.end(alice, func() { close(complete) })
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := len(ends(t, s)); n != 0 {
					t.Errorf("got %d ends on a full disk", n)
				}
				s.Log.Fault(nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				all := ends(t, s)
				if end := all[queued(s)[0]]; end.State != test.want || end.Content != "answer" {
					t.Errorf("first turn ended %+v", end)
				}
				if end := all[queued(s)[1]]; end.State != chat.StateCompleted {
					t.Errorf("second turn ended %+v", end)
				}
				if v := alice.View(theChat); v.Seq != uint64(len(s.Records(theChat))) {
					t.Errorf("alice is at record %d of %d", v.Seq, len(s.Records(theChat)))
				}
			})
		})
	}
}

// Commits behind one that fails build on it and fail with it; what is sent
// after the room knows is recorded.
func TestDiskRefusesOneCommitOfMany(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		refusals := 1
		s.Log.Fault(func(persistence.Commit) error {
			if refusals--; refusals == 0 {
				return persistence.ErrUnavailable
			}
			return nil
		})
		release := s.Log.Hold()
		var refs []uint64
		for i := range 5 {
			refs = append(refs, alice.Tell(theChat, &room.Send{Content: fmt.Sprint(i), Quiet: true}))
		}
		synctest.Wait()
		release()
		synctest.Wait()
		for i, ref := range refs {
			if reply, ok := alice.Reply(ref); !ok || reply.Err == nil || reply.Err.Code != chat.CodeStorageUnavailable {
				t.Errorf("command %d: got answer %v, %+v", i, ok, reply)
			}
		}
		alice.Send(theChat, "on")
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"on", "You said: on"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

// A commit that fails late, after the room has begun anew, does not make the
// sender of what got its place in the log miss that, or hear it as an echo.
func TestLateFailureConcernsNobodyElse(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab := s.User("alice"), s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		tab.Join(theChat)
		alice.Told()
		tab.Told()
		say := func(u *actortest.User, text string) {
			u.Tell(theChat, &room.Send{Content: text, Quiet: true})
			synctest.Wait()
		}
		wantLoads := countLoads(t, s)
		releaseFirst := s.Log.Hold()
		s.Log.Fault(diskFull)
		say(alice, "refused")
		s.Log.Fault(nil)
		releaseSecond := s.Log.Hold()
		say(tab, "builds on it")
		releaseFirst()
		synctest.Wait()
		say(alice, "one")
		say(alice, "two") // has the place of the second one
		releaseSecond()
		synctest.Wait()
		wantTold(t, alice, "refused storage_unavailable", "sent #2", "sent #3")
		wantTold(t, tab, "refused storage_unavailable", `message #2 user completed "one"`, `message #3 user completed "two"`)
		wantLoads(0)
	})
}

// A history that cannot be read is said to be so, is not written to, and is
// read again later.
func TestUnreadableHistory(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Restart()
		s.Log.FailReads(errors.New("/secret/path"))
		for _, c := range []room.Command{&room.Join{}, &room.Send{Content: "hi"}, &room.Create{Chat: theChat, ModelID: actortest.Model}, &room.Delete{}} {
			reply := alice.Do(theChat, c)
			if reply.Err == nil || reply.Err.Code != chat.CodeStorageUnavailable || strings.Contains(reply.Err.Message, "secret") {
				t.Errorf("%T: got %+v", c, reply)
			}
		}
		s.Log.FailReads(nil)
		alice.Join(theChat)
		alice.Send(theChat, "hello")
	})
}

// A room that cannot be read after a restart lets its members go.
func TestUnreadableHistoryKeepsNobody(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Log.FailReads(errors.New("unreadable"))
		s.Log.Fault(panicOn("boom"))
		alice.Refused(theChat, &room.Send{Content: "boom"})
		alice.Refused(theChat, &room.Send{Content: "hello"})
		s.Log.FailReads(nil)
		alice.Do(theChat, &room.Leave{})
		alice.Join(theChat)
		alice.Send(theChat, "hello")
	})
}

func TestDelete(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		first := alice.Create(theChat)
		alice.Join(theChat)
		wantLoads := countLoads(t, s)
		alice.Do(theChat, &room.Send{Content: "hello", ClientID: "once"})
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		alice.Send(theChat, "queued")
		alice.Told()
		if reply := bob.Do(theChat, &room.Delete{}); reply.Body != (room.Deleted{}) {
			t.Errorf("delete: got %+v", reply)
		}
		wantTold(t, alice,
			"stream_chunk @6 done", `message #11 assistant stopped "so far"`, "stream_end #11 stopped",
			"turn #11 stopped", "turn #12 stopped", "error not_found")
		wantLoads(1)
		for _, c := range []room.Command{&room.Join{}, &room.Send{Content: "hi"}, &room.StopTurn{}, &room.Delete{}} {
			if got := alice.Refused(theChat, c); got != chat.CodeNotFound {
				t.Errorf("%T: got %s, want %s", c, got, chat.CodeNotFound)
			}
		}
		if n := len(s.Records(theChat)); n != 0 {
			t.Errorf("got %d records, want none", n)
		}
		if _, err := s.Rooms.Get(t.Context(), alice.User, theChat); chat.AsError(err).Code != chat.CodeNotFound {
			t.Errorf("Get: got %v", err)
		}
		if _, total, err := s.Rooms.List(t.Context(), alice.User, 0, 10); total != 0 || err != nil {
			t.Errorf("List: got %d chats, %v", total, err)
		}

		again := bob.Create(theChat)
		if again.Epoch == first.Epoch || again.Owner != "bob" || again.Room != first.Room {
			t.Errorf("made anew as %+v", again)
		}
		bob.Join(theChat)
		bob.Told()
		bob.Do(theChat, &room.Send{Content: "hello", ClientID: "once", Quiet: true})
		wantTold(t, bob, "sent #2")
		wantTold(t, alice, "refused not_found", "refused not_found", "refused not_found", "refused not_found") // and nothing of the new chat
		s.Restart()
		if n := len(s.Assistant.Prompts()); n != 2 {
			t.Errorf("the assistant was asked %d times, want 2", n)
		}
	})
}

// A chat can be made anew before the room has left memory; its members are
// told all of it, and those of the deleted one nothing.
func TestCreateAtOnceAfterDelete(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab, old := s.User("alice"), s.User("alice"), s.User("alice")
		alice.Create(theChat)
		old.Join(theChat)
		wantLoads := countLoads(t, s)
		alice.Send(theChat, "old")
		again := onDeleted(func() {
			alice.Tell(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model})
			alice.Tell(theChat, &room.Send{Content: "new", ClientID: "new", Quiet: true})
		})
		s.Rooms.Tell(theChat.Room(), &room.Delete{Caller: room.Caller{User: alice.User, Address: s.Rooms.Open(again)}})
		synctest.Wait()
		old.Told()
		tab.Join(theChat)
		tab.Told()
		alice.Do(theChat, &room.Send{Content: "newer", Quiet: true})
		if diff := cmp.Diff([]string{"new", "newer"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		wantTold(t, tab, `message #3 user completed "newer"`)
		wantTold(t, old)
		wantLoads(1)
	})
}

// onDeleted is an address that calls a function when a deletion is confirmed.
type onDeleted func()

func (f onDeleted) Deliver(d room.Delivery) {
	if r, ok := d.(room.Reply); ok && r.Body == (room.Deleted{}) {
		f()
	}
}

// Commits that were handed to the log before a deletion are answered before it. Commands
// between the deletion and the log's answer are refused. Creating waits its turn.
func TestDeleteOnItsWay(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		alice.Told()
		release := s.Log.Hold()
		for _, c := range []room.Command{
			&room.Send{Content: "before"}, &room.Delete{}, &room.Send{Content: "behind"}, &room.Delete{},
			&room.Create{Chat: theChat, ModelID: actortest.Model},
		} {
			alice.Tell(theChat, c)
		}
		synctest.Wait()
		wantTold(t, alice, "refused not_found", "refused not_found", "refused busy")
		release()
		synctest.Wait()
		wantTold(t, alice, "sent #2", "turn #3 queued", "turn #4 running", "stream_start #4 attempt 1",
			"stream_chunk @0 done", `message #5 assistant stopped ""`, "stream_end #5 stopped", "turn #5 stopped", "deleted", "error not_found")
		if n := len(s.Records(theChat)); n != 0 {
			t.Errorf("got %d records, want none", n)
		}
	})
}

// A deletion that the disk refuses has not happened; the turn that was stopped
// for it stays so.
func TestDiskRefusesDelete(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		stop, cancelled := make(chan struct{}), 0
		s.Assistant.On("wait", func(ctx context.Context, say func(string) bool) error {
			say("answer")
			select {
			case <-stop:
				return nil
			case <-ctx.Done():
				cancelled++
				return ctx.Err()
			}
		})
		alice.Send(theChat, "wait")
		s.Log.Fault(func(c persistence.Commit) error {
			if len(c.Entries) == 0 {
				return persistence.ErrUnavailable
			}
			return nil
		})
		if got := alice.Refused(theChat, &room.Delete{}); got != chat.CodeStorageUnavailable {
			t.Errorf("got %s, want %s", got, chat.CodeStorageUnavailable)
		}
		if cancelled != 1 {
			t.Errorf("%d streams were cancelled, want 1", cancelled)
		}
		close(stop)
		synctest.Wait()
		if all := starts(s); len(all) != 1 {
			t.Errorf("starts: %+v", all)
		}
		if got := onlyEnd(t, s); got.State != chat.StateStopped || got.Content != "answer" {
			t.Errorf("ended %+v", got)
		}
	})
}

// If the disk takes nothing at all, not even the end of the turn, the turn
// starts again when it does: once.
func TestFullDiskRefusesDelete(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		running := 0
		s.Assistant.On("wait", func(ctx context.Context, _ func(string) bool) error {
			running++
			<-ctx.Done()
			running--
			return ctx.Err()
		})
		alice.Send(theChat, "wait")
		s.Log.Fault(diskFull)
		if got := alice.Refused(theChat, &room.Delete{}); got != chat.CodeStorageUnavailable {
			t.Errorf("got %s, want %s", got, chat.CodeStorageUnavailable)
		}
		if running != 0 {
			t.Errorf("%d streams run while the chat is being deleted", running)
		}
		s.Log.Fault(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if all := starts(s); running != 1 || len(all) != 2 || all[1].Attempt != 2 {
			t.Errorf("%d streams run after the starts %+v", running, all)
		}
		alice.Stop(theChat, "")
		if running != 0 {
			t.Errorf("%d streams run after the turn was stopped", running)
		}
	})
}
