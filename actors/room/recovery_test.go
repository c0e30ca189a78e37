package room_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A client id is accepted once: a repeat gets the first one's answer, while
// that is pending, later, and after a restart of the server.
func TestSendIsIdempotent(t *testing.T) {
	actortest.Run(t, room.Options{Shared: true}, func(t *testing.T, s *actortest.Server) {
		alice, tab, bob := s.User("alice"), s.User("alice"), s.User("bob")
		alice.Create(theChat)
		send := func(u *actortest.User) uint64 {
			return u.Tell(theChat, &room.Send{Content: "hello", ClientID: "once", Quiet: true})
		}
		release := s.Log.Hold()
		refs := []uint64{send(alice), send(alice)}
		other := send(tab)
		synctest.Wait()
		release()
		synctest.Wait()
		refs = append(refs, send(alice))
		synctest.Wait()
		s.Restart()
		refs = append(refs, send(alice))
		synctest.Wait()

		first, _ := alice.Reply(refs[0])
		want := room.Sent{MessageID: s.Messages(theChat)[0].ID, ClientID: "once", Seq: 2}
		if diff := cmp.Diff(any(want), first.Body); diff != "" {
			t.Errorf("first answer (-want +got):\n%s", diff)
		}
		for i, ref := range refs {
			if reply, ok := alice.Reply(ref); !ok || reply.Body != first.Body {
				t.Errorf("send %d: got answer %v, %+v", i, ok, reply)
			}
		}
		if reply, ok := tab.Reply(other); !ok || reply.Body != first.Body {
			t.Errorf("from another connection: got answer %v, %+v", ok, reply)
		}
		send(bob) // whose ids are his own
		synctest.Wait()
		if diff := cmp.Diff([]string{"hello", "hello"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

// A turn that was cut by a crash starts again by itself when the server does:
// as the same message, without what was said before. Those behind it wait.
func TestTurnsRestartWithTheServer(t *testing.T) {
	actortest.Run(t, room.Options{MaxAttempts: 2}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("cut"))
		alice.Send(theChat, "wait")
		alice.Send(theChat, "behind")
		answer := starts(s)[0].MessageID

		s.Restart()
		want := []chat.TurnStarted{{TurnID: queued(s)[0], MessageID: answer, ModelID: actortest.Model, Attempt: 1}, {TurnID: queued(s)[0], MessageID: answer, ModelID: actortest.Model, Attempt: 2}}
		if diff := cmp.Diff(want, starts(s)); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
		joined := alice.Join(theChat)
		if joined.Turn == nil || joined.Turn.MessageID != answer || joined.Turn.Attempt != 2 || joined.Turn.Content != "cut" {
			t.Errorf("joined %+v", joined.Turn)
		}

		s.Restart()
		all := ends(t, s)
		end := all[queued(s)[0]]
		if end.State != chat.StateInterrupted || end.MessageID != answer || end.Content != "" {
			t.Errorf("ended %+v", end)
		}
		if got := all[queued(s)[1]].State; got != chat.StateCompleted {
			t.Errorf("turn behind it: got %s, want %s", got, chat.StateCompleted)
		}
		before := s.Records(theChat)
		s.Restart()
		if diff := cmp.Diff(before, s.Records(theChat)); diff != "" {
			t.Errorf("another restart changed the log:\n%s", diff)
		}
	})
}

// Turns that had not started when the server crashed run behind the one that
// had, in their order.
func TestQueuedTurnsRunAfterACrash(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("0", actortest.Hang())
		for i := range 3 {
			alice.Send(theChat, fmt.Sprint(i))
		}
		s.Assistant.On("0", actortest.Say("zero"))
		s.Restart()
		if diff := cmp.Diff([]string{"0", "1", "2", "zero", "You said: 1", "You said: 2"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		for id, e := range ends(t, s) {
			if e.State != chat.StateCompleted {
				t.Errorf("turn %s: got %s, want %s", id, e.State, chat.StateCompleted)
			}
		}
	})
}
