package room_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A deletion that the disk refuses has crossed the commit that starts a turn:
// the turn then runs once, and can be stopped.
func TestDeletionCrossesAStart(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		var running, most atomic.Int32
		s.Assistant.On("wait", func(ctx context.Context, _ func(string) bool) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-ctx.Done()
			running.Add(-1)
			return ctx.Err()
		})
		s.Log.Fault(func(c persistence.Commit) error {
			if len(c.Entries) == 0 { // the deletion
				return persistence.ErrUnavailable
			}
			return nil
		})
		release := s.Log.Hold()
		alice.Tell(theChat, &room.Send{Content: "wait"})
		alice.Tell(theChat, &room.Delete{})
		synctest.Wait()
		release()
		synctest.Wait()
		if got := most.Load(); got > 1 {
			t.Errorf("%d streams of one turn ran at once", got)
		}
		alice.Stop(theChat, "")
		synctest.Wait()
		if got := running.Load(); got != 0 {
			t.Errorf("%d streams run after the turn was stopped", got)
		}
	})
}

// A deletion that the disk refuses takes nothing back of the answer that
// listeners were told: stopped then, the turn keeps it.
func TestRefusedDeletionKeepsTheAnswer(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so ", "far"))
		alice.Send(theChat, "wait")
		s.Log.Fault(func(persistence.Commit) error { return persistence.ErrUnavailable })
		if got := alice.Refused(theChat, &room.Delete{}); got != chat.CodeStorageUnavailable {
			t.Errorf("refused as %s", got)
		}
		s.Log.Fault(nil)
		alice.Stop(theChat, "")
		if got := onlyEnd(t, s).Content; got != "so far" {
			t.Errorf("recorded %q, want %q", got, "so far")
		}
	})
}

// A room that panics after it has handed a command to the log leaves the
// answer to the log: refused and yet done would make its sender send it twice.
func TestHandedOverCommandIsAnsweredOnce(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		var once atomic.Bool
		s.Log.Fault(func(c persistence.Commit) error {
			for _, e := range c.Entries {
				if strings.Contains(string(e), `"turn_started"`) && once.CompareAndSwap(false, true) {
					panic("as the test wants it")
				}
			}
			return nil
		})
		ref := alice.Tell(theChat, &room.Send{Content: "hello"})
		synctest.Wait()
		if reply, ok := alice.Reply(ref); !ok || reply.Err != nil { // Reply fails the test if there are two
			t.Errorf("got %+v, %v, want an acknowledgement", reply, ok)
		}
	})
}

// An assistant that does not stop may go on while its chat is being deleted. Nobody is
// told that text: the answer has been recorded without it.
func TestNoDeltaFollowsADelete(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		s.Assistant.On("talk", func(_ context.Context, say func(string) bool) error {
			for say("a") {
				time.Sleep(time.Second)
			}
			return nil
		})
		chats := []chat.ID{"1", "2", "3", "4", "5", "6", "7", "8"} // each goes on to talk every other time
		for _, id := range chats {
			alice.Create(id)
			alice.Join(id)
			alice.Send(id, "talk")
		}
		release := s.Log.Hold()
		defer release()
		for _, id := range chats {
			alice.Tell(id, &room.Delete{})
		}
		synctest.Wait()
		alice.Told()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told := alice.Told(); len(told) > 0 {
			t.Errorf("alice was told %q", told)
		}
	})
}
