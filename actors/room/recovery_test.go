package room_test

import (
	"bytes"
	"fmt"
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

// A client id is accepted once: a repeat gets the first one's answer, while
// that is pending, later, and after a restart of the server.
func TestSendIsIdempotent(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
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
		want := room.Sent{MessageID: s.Messages(theChat)[0].ID, ClientID: "once", Seq: 2, Unasked: true}
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
		want := []chat.TurnStarted{
			{TurnID: queued(s)[0], MessageID: answer, ModelID: actortest.Model, Name: actortest.Name, Attempt: 1},
			{TurnID: queued(s)[0], MessageID: answer, ModelID: actortest.Model, Name: actortest.Name, Attempt: 2},
		}
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

// A turn that was cut when one of its tools had begun to run is not started
// again, which would run the tool again: it ends with what was said so far.
func TestTurnWithToolIsNotRestarted(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("search", actortest.Hang("I look. ", actortest.RunTool+"search", "Found"))
		alice.Send(theChat, "search")
		time.Sleep(2 * time.Second) // the text is saved
		s.Restart()

		end := ends(t, s)[queued(s)[0]]
		if end.State != chat.StateInterrupted || end.Content != "I look. Found" || end.Reason == "" {
			t.Errorf("ended %+v", end)
		}
		if n := len(starts(s)); n != 1 {
			t.Errorf("the turn was started %d times", n)
		}
	})
}

// That a tool has begun to run is recorded when the disk is back, and then as
// good as ever.
func TestToolIsRecordedWhenTheDiskIsBack(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("search", actortest.Slowly(time.Second, "I look. ", actortest.RunTool+"search", "Found. ", "So"))
		alice.Send(theChat, "search")
		time.Sleep(1500 * time.Millisecond)
		s.Log.Fault(func(persistence.Commit) error { return persistence.ErrUnavailable })
		time.Sleep(time.Second)
		s.Log.Fault(nil)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()

		var tools int
		for _, r := range s.Records(theChat) {
			if e, ok := r.Event.(chat.ToolStarted); ok && e.Tool.Name == "search" {
				tools++
			}
		}
		if tools != 1 {
			t.Errorf("the tool was recorded %d times", tools)
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

// The text before a crash is not lost with the last attempt: it is saved
// by time and by size, and the turn ends with it.
func TestTextOfACutTurnIsKept(t *testing.T) {
	for _, test := range []struct {
		name string
		o    room.Options
		wait time.Duration
		want string
	}{
		{"by time", room.Options{MaxAttempts: 1, CheckpointEvery: 300 * time.Millisecond}, 3500 * time.Millisecond, "one two three "},
		{"by size", room.Options{MaxAttempts: 1, CheckpointEvery: time.Hour, CheckpointBytes: 7}, 3500 * time.Millisecond, "one two "},
		{"not yet", room.Options{MaxAttempts: 1, CheckpointEvery: time.Hour}, time.Minute, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			actortest.Run(t, test.o, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				s.Assistant.On("?", actortest.Slowly(time.Second, "one ", "two ", "three ", "four "))
				s.Assistant.On("hang", actortest.Hang("hangs"))
				if test.name == "not yet" {
					s.Assistant.On("?", actortest.Hang("lost"))
				}
				alice.Send(theChat, "?")
				alice.Tell(theChat, &room.Send{Content: "hang"}) // queued meanwhile
				time.Sleep(test.wait)
				s.Restart()
				end := ends(t, s)[queued(s)[0]]
				if end.State != chat.StateInterrupted || end.Content != test.want {
					t.Errorf("ended %s with %q, want %q", end.State, end.Content, test.want)
				}
				time.Sleep(time.Minute)
				alice.Do(theChat, &room.StopTurn{})
				if end := ends(t, s)[queued(s)[1]]; end.Content != "hangs" {
					t.Errorf("the turn behind it ended with %q", end.Content)
				}
				if text, err := s.Log.Text(string(theChat.Room())); len(text) > 0 || err != nil {
					t.Errorf("text is kept of a turn that has ended: %q, %v", text, err)
				}
			})
		})
	}
}

// A room that wakes up reads no more than what follows its last snapshot.
func TestSnapshotsBoundTheReading(t *testing.T) {
	actortest.Run(t, room.Options{SnapshotEvery: 10, IdleTimeout: time.Minute}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		for i := range 33 {
			alice.Do(theChat, &room.Send{Content: fmt.Sprint(i), Quiet: true})
		}
		time.Sleep(time.Hour)
		loads := s.Log.Loads(string(theChat.Room()))
		sent := alice.Do(theChat, &room.Send{Content: "again", Quiet: true}).Body.(room.Sent)
		if got := s.Log.Loads(string(theChat.Room())) - loads; got != 0 || sent.Seq != 35 {
			t.Errorf("read from the beginning %d times, message %d", got, sent.Seq)
		}
	})
}

// A snapshot that is not understood, or not the log's, is not used.
func TestForeignSnapshot(t *testing.T) {
	for _, snapshot := range []string{"", "{", `{"version":0,"state":{"Seq":2}}`, `{"version":1,"state":{"Seq":1}}`} {
		actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
			alice := s.User("alice")
			alice.Create(theChat)
			alice.Do(theChat, &room.Send{Content: "hello", Quiet: true})
			done := make(chan error, 1)
			s.Log.Append(persistence.Commit{Room: string(theChat.Room()), After: 2, Snapshot: []byte(snapshot)}, func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			s.Restart()
			if joined := alice.Join(theChat); joined.Seq != 2 || joined.Chat.ID != theChat {
				t.Errorf("with snapshot %q: joined %+v", snapshot, joined)
			}
		})
	}
}

// A turn that is stopped while its next attempt is on its way to the disk ends
// without the text of the one before, which that attempt has replaced.
func TestStopOnTheWayToTheNextAttempt(t *testing.T) {
	actortest.Run(t, room.Options{CheckpointBytes: 1}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		if text, err := s.Log.Text(string(theChat.Room())); string(text) != "so far" || err != nil {
			t.Fatalf("saved %q, %v", text, err)
		}
		s.Log.Fault(panicOn("poison"))
		release := s.Log.Hold()
		alice.Tell(theChat, &room.Send{Content: "poison"})
		synctest.Wait()
		ref := alice.Tell(theChat, &room.StopTurn{})
		synctest.Wait()
		release()
		synctest.Wait()
		if reply, ok := alice.Reply(ref); !ok || reply.Err != nil {
			t.Fatalf("got %+v, %t", reply, ok)
		}
		if got := len(starts(s)); got != 2 {
			t.Fatalf("got %d attempts, want 2", got)
		}
		if end := onlyEnd(t, s); end.Content != "" || end.State != chat.StateStopped {
			t.Errorf("the turn is %s with %q", end.State, end.Content)
		}
	})
}

// A room that was restarted knows what its members were told of the running answer,
// whether or not that was saved, and says that another attempt may replace it. A turn that
// is stopped before its next attempt begins ends with it.
func TestRestartKeepsWhatWasTold(t *testing.T) {
	actortest.Run(t, room.Options{CheckpointEvery: time.Hour}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		if now := alice.Join(theChat).Turn; now.Cut || now.Content != "so far" {
			t.Errorf("while it runs: %+v", now)
		}
		poison := panicOn("poison")
		s.Log.Fault(func(c persistence.Commit) error {
			for _, e := range c.Entries {
				if bytes.Contains(e, []byte(`"attempt":2`)) {
					return persistence.ErrUnavailable
				}
			}
			return poison(c)
		})
		alice.Tell(theChat, &room.Send{Content: "poison"})
		synctest.Wait()
		if now := alice.Join(theChat).Turn; !now.Cut || !now.SoFar().Cut || now.Content != "so far" {
			t.Errorf("before the next attempt: %+v", now)
		}
		if reply := alice.Do(theChat, &room.StopTurn{}); reply.Err != nil {
			t.Fatal(reply.Err)
		}
		if end := onlyEnd(t, s); end.Content != "so far" || end.State != chat.StateStopped {
			t.Errorf("the turn is %s with %q", end.State, end.Content)
		}
	})
}
