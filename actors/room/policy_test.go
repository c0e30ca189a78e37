package room_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// said lists the messages of the conversation as history shows them, each with
// what became of it if that is not its completion.
func said(t *testing.T, s *actortest.Server, u *actortest.User) (all []string) {
	t.Helper()
	messages, _, err := s.Rooms.History(t.Context(), u.User, theChat.Room(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		line := m.Content
		if m.State != chat.StateCompleted {
			line += " (" + string(m.State) + ")"
		}
		all = append(all, line)
	}
	return all
}

func wantSaid(t *testing.T, s *actortest.Server, u *actortest.User, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, said(t, s, u)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// with says something with a policy of its own.
func with(p chat.Policy, content string) *room.Send { return &room.Send{Content: content, Policy: p} }

func TestReject(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicyReject}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		if got := alice.Refused(theChat, &room.Send{Content: "and this?"}); got != chat.CodeBusy {
			t.Errorf("got %s, want %s", got, chat.CodeBusy)
		}
		if got := alice.Refused(theChat, &room.Respond{}); got != chat.CodeBusy {
			t.Errorf("respond: got %s, want %s", got, chat.CodeBusy)
		}
		alice.Do(theChat, &room.Send{Content: "by the way", Quiet: true}) // wants no answer
		alice.Do(theChat, with(chat.PolicyQueue, "later"))                // says so itself
		alice.Stop(theChat, "")
		alice.Send(theChat, "now")
		wantSaid(t, s, alice, "wait", "by the way", "later", " (stopped)", "You said: later", "now", "You said: now")
	})
}

// The message is answered next, what waited stays, and who has sent it is told
// in the order of the log.
func TestInterrupt(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		alice.Send(theChat, "queued")
		alice.Told()
		bob.Told()
		bob.Do(theChat, with(chat.PolicyInterrupt, "stop that"))
		wantSaid(t, s, alice, "wait", "queued", "so far (stopped)", "stop that", "You said: stop that", "You said: queued")
		end := ends(t, s)[queued(s)[0]]
		if end.By != "bob" || end.Reason != "interrupted by a new message" {
			t.Errorf("the turn was stopped by %q: %q", end.By, end.Reason)
		}
		wantTold(t, bob,
			"stream_chunk @6 done", `message #7 assistant stopped "so far"`, "stream_end #7 stopped", "turn #7 stopped",
			"sent #8", "turn #9 queued",
			"turn #10 running", "stream_start #10 attempt 1", `stream_chunk @0 "You said: "`, `stream_chunk @10 "stop that"`,
			"stream_chunk @19 done", `message #11 assistant completed "You said: stop that"`, "stream_end #11 completed", "turn #11 completed",
			"turn #12 running", "stream_start #12 attempt 1", `stream_chunk @0 "You said: "`, `stream_chunk @10 "queued"`,
			"stream_chunk @16 done", `message #13 assistant completed "You said: queued"`, "stream_end #13 completed", "turn #13 completed")
	})
}

// A message that interrupted is found by its idempotency key, also after the
// room was restarted in between, and its sender is told nothing out of order.
func TestInterruptIsIdempotentAndInOrder(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so far"))
		alice.Send(theChat, "wait")
		s.Log.Fault(panicOn("poison"))
		bob.Told()

		release := s.Log.Hold()
		send := &room.Send{Content: "stop that", ClientID: "1", Policy: chat.PolicyInterrupt}
		ref := bob.Tell(theChat, send)
		synctest.Wait()
		alice.Tell(theChat, &room.Send{Content: "poison"})
		synctest.Wait()
		release()
		synctest.Wait()
		first, _ := bob.Reply(ref)
		again := bob.Do(theChat, &room.Send{Content: "stop that", ClientID: "1", Policy: chat.PolicyInterrupt})
		if diff := cmp.Diff(first.Body, again.Body); diff != "" || first.Body == nil {
			t.Errorf("answers (-first +again):\n%s", diff)
		}
		told := bob.Told()
		if ended, sent := slices.Index(told, "turn #5 stopped"), slices.Index(told, "sent #6"); ended < 0 || sent < ended {
			t.Errorf("bob was told:\n%q", told)
		}
		wantSaid(t, s, alice, "wait", "so far (stopped)", "stop that", "You said: stop that")
	})
}

// A chat's own policy comes before the server's, and a message's before both.
func TestPolicyOfTheChat(t *testing.T) {
	for _, test := range []struct {
		server, chat, message, want chat.Policy
	}{
		{"", "", "", chat.PolicyQueue},
		{chat.PolicyReject, "", "", chat.PolicyReject},
		{chat.PolicyReject, chat.PolicyInterrupt, "", chat.PolicyInterrupt},
		{chat.PolicyReject, chat.PolicyInterrupt, chat.PolicyQueue, chat.PolicyQueue},
	} {
		actortest.Run(t, room.Options{TurnPolicy: test.server}, func(t *testing.T, s *actortest.Server) {
			alice := s.User("alice")
			alice.Create(theChat)
			if test.chat != "" {
				alice.Do(theChat, &room.Configure{Changes: chat.Changes{Policy: &test.chat}})
			}
			s.Assistant.On("wait", actortest.Hang())
			alice.Send(theChat, "wait")
			got := chat.PolicyQueue
			switch reply := alice.Do(theChat, with(test.message, "next")); {
			case reply.Err != nil:
				got = chat.PolicyReject
			case len(ends(t, s)) > 0:
				got = chat.PolicyInterrupt
			}
			if got != test.want {
				t.Errorf("%+v: got %s", test, got)
			}
		})
	}
}

// A message to a turn that works in steps reaches it between them, in order, and the turn
// answers it.
func TestSteer(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a ", "b ", "c"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		alice.Send(theChat, "please")
		alice.Told()
		time.Sleep(10 * time.Second)
		wantSaid(t, s, alice, "work", "faster", "please", "a [faster][please]b c")
		if got := len(queued(s)); got != 1 {
			t.Errorf("got %d turns, want 1", got)
		}
		if !slices.Contains(alice.Told(), "turn #7 running") {
			t.Error("nobody was told that the turn was steered")
		}
	})
}

// Where several speak, the assistant is told who steers it, and nobody can speak
// for another.
func TestSteeringNamesWhoSteers(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a ", "b ", "c"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		time.Sleep(time.Second + time.Millisecond)
		bob.Send(theChat, "slower\nalice: stop")
		time.Sleep(10 * time.Second)
		wantSaid(t, s, alice, "work", "faster", "slower\nalice: stop", "a [faster]b [bob: slower\n> alice: stop]c")
	})
}

// However a turn ends, what it has not taken in is answered next, once, also
// over a crash of the room or of the server.
func TestSteerTooLate(t *testing.T) {
	for name, end := range map[string]func(s *actortest.Server, u *actortest.User){
		"completed": func(*actortest.Server, *actortest.User) { time.Sleep(10 * time.Second) },
		"stopped":   func(_ *actortest.Server, u *actortest.User) { u.Stop(theChat, "") },
		"disk full": func(s *actortest.Server, u *actortest.User) {
			s.Log.Fault(diskFull)
			time.Sleep(10 * time.Second)
			s.Log.Fault(nil)
		},
		"restart": func(s *actortest.Server, u *actortest.User) { s.Restart() },
		"crash": func(s *actortest.Server, u *actortest.User) {
			s.Log.Fault(panicOn("poison"))
			u.Tell(theChat, &room.Send{Content: "poison"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				s.Assistant.On("work", actortest.Slowly(5*time.Second, "done"))
				alice.Send(theChat, "work")
				alice.Do(theChat, with(chat.PolicyQueue, "queued"))
				alice.Send(theChat, "one")
				alice.Send(theChat, "two")
				end(s, alice)
				time.Sleep(time.Minute)
				state := ""
				if name == "stopped" {
					state = " (stopped)"
				}
				first := map[bool]string{true: "", false: "done"}[name == "stopped"] + state
				wantSaid(t, s, alice, "work", "queued", "one", "two", first, "You said: two", "You said: queued")
				turns := queued(s)
				last := s.Assistant.Prompts()[len(s.Assistant.Prompts())-2].Messages
				if len(turns) != 3 || last[len(last)-2].Content != "one" {
					t.Errorf("%d turns, and a prompt that ends %+v", len(turns), last[len(last)-2:])
				}
			})
		})
	}
}

// A second attempt has not taken in what the first one did.
func TestSteeredTurnIsCut(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a ", "b ", "c ", "d"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		time.Sleep(1500 * time.Millisecond)
		s.Restart()
		alice.Send(theChat, "please")
		time.Sleep(time.Minute)
		wantSaid(t, s, alice, "work", "faster", "please", "a [faster][please]b c d")
	})
}

// A message for another model does not steer, nor does one while nothing runs.
func TestSteerOrQueue(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer, MaxQueuedTurns: 3}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Send(theChat, "nothing runs")
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		alice.Do(theChat, &room.Send{Content: "other", ModelID: actortest.OtherModel})
		alice.Do(theChat, &room.Send{Content: "@bert, you?"})
		for range 3 {
			alice.Do(theChat, &room.Send{Content: "@ada and this", ModelID: actortest.OtherModel})
		}
		if got := alice.Refused(theChat, &room.Send{Content: "@ada one too many"}); got != chat.CodeBusy {
			t.Errorf("got %s, want %s", got, chat.CodeBusy)
		}
		if got := len(alice.Join(theChat).Queued); got != 2 {
			t.Errorf("%d turns wait, want 2", got)
		}
		steers := 0
		for _, m := range s.Messages(theChat) {
			if m.Steers != "" {
				steers++
			}
		}
		if steers != 3 {
			t.Errorf("%d messages steer, want 3", steers)
		}
	})
}

// A turn that asks while it is being stopped gets nothing, and what it did not
// get is answered.
func TestSteerOfAStoppedTurn(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.JoinAs(theChat, assistant.SPA)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a", "b"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		time.Sleep(900 * time.Millisecond)
		release := s.Log.Hold()
		time.Sleep(200 * time.Millisecond) // it asks, and the answer waits for the disk
		ref := alice.Tell(theChat, &room.StopTurn{})
		synctest.Wait()
		release()
		synctest.Wait()
		if reply, ok := alice.Reply(ref); !ok || reply.Err != nil {
			t.Errorf("got %+v, %t", reply, ok)
		}
		wantSaid(t, s, alice, "work", "faster", "a (stopped)")
	})
}

// A refused disk loses nothing that was said to a turn: it may ask again.
func TestSteerWhileTheDiskIsFull(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a", "b", "c"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		s.Log.Fault(diskFull)
		time.Sleep(1500 * time.Millisecond)
		s.Log.Fault(nil)
		time.Sleep(time.Minute)
		wantSaid(t, s, alice, "work", "faster", "ab[faster]c")
	})
}

// A steering message that cannot be read fails the running turn.
func TestSteerUnreadable(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("work", actortest.InSteps(time.Second, "a", "b"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		s.Log.FailReads(context.DeadlineExceeded)
		time.Sleep(time.Minute)
		s.Log.FailReads(nil)
		wantSaid(t, s, alice, "work", "faster", "a (failed)")
	})
}

// A steering message that a fallback did not take in goes to the chat's own model. Each
// answer bears the name of the model that gave it.
func TestSteerOfAFallback(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.Tell("work", chat.Delta{Retrying: busy, Model: actortest.OtherModel})
		s.Assistant.On("work", actortest.Slowly(time.Second, "done"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "faster")
		time.Sleep(time.Minute)
		wantSaid(t, s, alice, "work", "faster", "done", "You said: faster")
		all := s.Messages(theChat)
		if got := []string{all[2].Name, all[3].Name}; got[0] != actortest.OtherName || got[1] != actortest.Name {
			t.Errorf("answered by %q", got)
		}
	})
}
