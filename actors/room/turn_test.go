package room_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// Any member stops a turn, before its first delta too, and without waiting for
// a provider that has not noticed.
func TestStopHangingTurn(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		gone := make(chan struct{})
		s.Assistant.On("wait", func(ctx context.Context, say func(string) bool) error {
			<-gone // whatever the context says
			return actortest.Say("late", "later", "much later")(ctx, say)
		})
		alice.Send(theChat, "wait")
		alice.Told()
		begin := time.Now()
		stopped := bob.Do(theChat, &room.StopTurn{Reason: "enough"})
		if took := time.Since(begin); took != 0 {
			t.Errorf("stopping took %v", took)
		}
		end := onlyEnd(t, s)
		if stopped.Body != (room.Stopped{TurnID: end.TurnID}) {
			t.Errorf("answered %+v", stopped.Body)
		}
		want := chat.TurnEnded{
			TurnID: end.TurnID, MessageID: end.MessageID, Prompt: s.Messages(theChat)[0].ID, PromptSeq: 2,
			ModelID: actortest.Model, Name: actortest.Name, State: chat.StateStopped, By: "bob", Reason: "enough",
			Usage: chat.EstimateUsage(s.Assistant.Prompts()[0].Tokens(), 0),
		}
		if diff := cmp.Diff(want, end); diff != "" {
			t.Errorf("end (-want +got):\n%s", diff)
		}
		wantTold(t, alice, "stream_chunk @0 done", `message #5 assistant stopped ""`, "stream_end #5 stopped", "turn #5 stopped")

		// The next turn does not wait for the provider either, and what that
		// says at last is not taken for its own.
		s.Assistant.On("next", actortest.Hang("so far"))
		alice.Send(theChat, "next")
		alice.Told()
		close(gone)
		synctest.Wait()
		wantTold(t, alice)
		alice.Stop(theChat, "")
		if diff := cmp.Diff([]string{"wait", "", "next", "so far"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

func TestStopKeepsThePartialText(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang("so ", "far"))
		alice.Send(theChat, "wait")
		alice.Stop(theChat, "")
		if got := onlyEnd(t, s).Content; got != "so far" {
			t.Errorf("recorded %q, want %q", got, "so far")
		}
		if stopped := alice.Stop(theChat, ""); stopped.TurnID != "" {
			t.Errorf("stopped %q where nothing ran", stopped.TurnID)
		}
	})
}

// Once a turn is stopped nobody hears more of its text, also not of what was
// in the room's mailbox by then, nor while the end is on its way to the disk.
func TestNoDeltaFollowsAStop(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, address := s.User("alice"), make(stalling)
		alice.Create(theChat)
		alice.Join(theChat)
		s.Rooms.Tell(theChat.Room(), &room.Join{Caller: room.Caller{User: alice.User, Address: s.Rooms.Open(address)}, Encoder: assistant.Both.String()})
		more := make(chan struct{})
		s.Assistant.On("go on", func(ctx context.Context, say func(string) bool) error {
			say("one")
			<-more
			return actortest.Say("two", "three")(ctx, say)
		})
		alice.Send(theChat, "go on") // the room stands still with the first delta
		release := s.Log.Hold()
		alice.Tell(theChat, &room.StopTurn{})
		synctest.Wait()
		close(more)
		synctest.Wait()
		alice.Told()
		close(address)
		synctest.Wait()
		for _, line := range alice.Told() {
			if line != `stream_chunk @0 "one"` {
				t.Errorf("told before the end is on disk: %s", line)
			}
		}
		release()
		synctest.Wait()
		if got := onlyEnd(t, s).Content; got != "one" {
			t.Errorf("recorded %q, want %q", got, "one")
		}
	})
}

// A turn is stopped by its id also while it is queued: it is never started,
// has no message, and the others run.
func TestStopQueuedTurn(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang())
		for _, text := range []string{"wait", "second", "third"} {
			alice.Send(theChat, text)
		}
		turns := queued(s)
		alice.Stop(theChat, turns[1])
		if got := alice.Refused(theChat, &room.StopTurn{TurnID: turns[1]}); got != chat.CodeNotFound {
			t.Errorf("stopped again: got %s, want %s", got, chat.CodeNotFound)
		}
		if got := alice.Refused(theChat, &room.StopTurn{TurnID: "no such turn"}); got != chat.CodeNotFound {
			t.Errorf("unknown turn: got %s, want %s", got, chat.CodeNotFound)
		}
		alice.Stop(theChat, turns[0])
		all := ends(t, s)
		if e := all[turns[1]]; e.State != chat.StateStopped || e.MessageID != "" {
			t.Errorf("queued turn ended %+v", e)
		}
		if got := all[turns[2]].State; got != chat.StateCompleted {
			t.Errorf("third turn: got %s, want %s", got, chat.StateCompleted)
		}
		if n := len(starts(s)); n != 2 {
			t.Errorf("got %d starts, want 2", n)
		}
	})
}

// A turn whose start is on its way to the disk can be stopped: it ends without
// having run.
func TestStopStartingTurn(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		wantLoads := countLoads(t, s)
		release := s.Log.Hold()
		alice.Tell(theChat, &room.Send{Content: "hello"})
		ref := alice.Tell(theChat, &room.StopTurn{})
		synctest.Wait()
		release()
		synctest.Wait()
		if reply, ok := alice.Reply(ref); !ok || reply.Err != nil {
			t.Errorf("stop: got answer %v, %v", ok, reply.Err)
		}
		if got := onlyEnd(t, s).State; got != chat.StateStopped {
			t.Errorf("ended %s, want %s", got, chat.StateStopped)
		}
		if n := len(s.Assistant.Prompts()); n != 0 {
			t.Errorf("the assistant was asked %d times", n)
		}
		wantLoads(0)
	})
}

// A turn that is stopped at the moment in which it completes ends once: one
// way or the other. The View checks what the member was told.
func TestStopRacesCompletion(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		const rounds = 40
		for i := range rounds {
			complete, text := make(chan struct{}), fmt.Sprint("round ", i)
			s.Assistant.On(text, actortest.Fail(func(context.Context) error {
				<-complete
				return nil
			}, "answer"))
			alice.Send(theChat, text)
			go close(complete)
			alice.Stop(theChat, "")
		}
		states := map[chat.State]int{}
		for _, e := range ends(t, s) {
			states[e.State]++
			if e.Content != "answer" {
				t.Errorf("turn ended with %q", e.Content)
			}
		}
		if states[chat.StateStopped]+states[chat.StateCompleted] != rounds {
			t.Errorf("got ends %v, want %d in all", states, rounds)
		}
	})
}

// A turn that goes wrong ends as failed with a code, keeps what was said, and
// the queue goes on.
func TestTurnFails(t *testing.T) {
	options := room.Options{MaxAnswerBytes: 10, TurnTimeout: time.Minute}
	ctxErr := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, test := range []struct {
		name   string
		script actortest.Script
		want   chat.Code
	}{
		{"refusal", actortest.Fail(func(context.Context) error { return chat.Refuse(chat.CodeRateLimited, "slow down") }, "so far"), chat.CodeRateLimited},
		{"wrapped", actortest.Fail(func(context.Context) error {
			return fmt.Errorf("ask: %w", chat.Refuse(chat.CodeProviderError, "no"))
		}, "so far"), chat.CodeProviderError},
		{"other error", actortest.Fail(func(context.Context) error { return errors.New("secret key") }, "so far"), chat.CodeInternal},
		{"panic", actortest.Fail(func(context.Context) error { panic("secret key") }, "so far"), chat.CodeInternal},
		{"too long", actortest.Say("so far", "12345"), chat.CodeProviderError},
		{"time out", actortest.Fail(ctxErr, "so far"), chat.CodeProviderTimeout},
		{"ends too late", actortest.Fail(func(ctx context.Context) error { <-ctx.Done(); return nil }, "so far"), chat.CodeProviderTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			actortest.Run(t, options, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				alice.Join(theChat)
				s.Assistant.On("try", test.script)
				s.Assistant.On("next", actortest.Say("fine"))
				alice.Send(theChat, "try")
				alice.Send(theChat, "next")
				time.Sleep(options.TurnTimeout)
				synctest.Wait()
				turns, all := queued(s), ends(t, s)
				end := all[turns[0]]
				if end.State != chat.StateFailed || end.Content != "so far" || end.Error == nil || end.Error.Code != test.want {
					t.Errorf("got end %+v, error %v, want %s", end, end.Error, test.want)
				}
				if end.Error != nil && strings.Contains(end.Error.Message, "secret") {
					t.Errorf("members are told %q", end.Error.Message)
				}
				if got := all[turns[1]].State; got != chat.StateCompleted {
					t.Errorf("next turn: got %s, want %s", got, chat.StateCompleted)
				}
				told := strings.Join(alice.Told(), "\n")
				if want := "stream_error " + string(test.want); strings.Count(told, want) != 1 {
					t.Errorf("%q was not told once:\n%s", want, told)
				}
			})
		})
	}
}

// The turn goes on with nobody listening.
func TestTurnGoesOnAlone(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("go on", actortest.Slowly(time.Minute, "on ", "and ", "on"))
		alice.Send(theChat, "go on")
		alice.Do(theChat, &room.Leave{})
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		end := onlyEnd(t, s)
		if end.State != chat.StateCompleted || end.Content != "on and on" || end.Usage == nil || end.Usage.TotalTokens != 5 {
			t.Errorf("ended %+v", end)
		}
	})
}

// A provider that is faster than the room is held back, and loses nothing.
func TestDeltasAreBounded(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, address := s.User("alice"), make(stalling)
		alice.Create(theChat)
		s.Rooms.Tell(theChat.Room(), &room.Join{Caller: room.Caller{User: alice.User, Address: s.Rooms.Open(address)}, Encoder: assistant.Both.String()})
		var said atomic.Int64
		s.Assistant.On("much", func(_ context.Context, say func(string) bool) error {
			for range 1000 {
				said.Add(1)
				say("x")
			}
			return nil
		})
		alice.Send(theChat, "much")
		if n := said.Load(); n > 20 {
			t.Errorf("%d deltas were read while the room stood still", n)
		}
		close(address)
		synctest.Wait()
		if got := len(onlyEnd(t, s).Content); got != 1000 {
			t.Errorf("recorded %d bytes, want 1000", got)
		}
	})
}

// stalling is an address that keeps the room standing still with the first
// delta, until it is closed.
type stalling chan struct{}

func (s stalling) Deliver(d room.Delivery) {
	if p, ok := d.(*room.Publication); ok && p.Seq == 0 {
		<-s
	}
}

// The prompt is the conversation as it stands behind the message to answer:
// answers follow what they answer, and what was said later is left out.
func TestPrompt(t *testing.T) {
	actortest.Run(t, room.Options{SystemPrompt: "be kind"}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		stop := make(chan struct{})
		s.Assistant.On("first", actortest.Fail(func(context.Context) error { <-stop; return nil }, "1"))
		s.Assistant.On("second", actortest.Say("2"))
		s.Assistant.On("third", actortest.Say("3"))
		for _, text := range []string{"first", "second", "third"} {
			alice.Send(theChat, text)
		}
		close(stop)
		synctest.Wait()
		system := chat.PromptMessage{Role: chat.RoleSystem, Content: "be kind\n\nToday is Saturday, 1 January 2000 (UTC)."}
		user := func(text string) chat.PromptMessage { return chat.PromptMessage{Role: chat.RoleUser, Content: text} }
		answer := func(text string) chat.PromptMessage {
			return chat.PromptMessage{Role: chat.RoleAssistant, Content: text}
		}
		want := []chat.Prompt{
			{Model: actortest.Model, User: "alice", Resumable: true, Messages: []chat.PromptMessage{system, user("first")}},
			{Model: actortest.Model, User: "alice", Resumable: true, Messages: []chat.PromptMessage{system, user("first"), answer("1"), user("second")}},
			{Model: actortest.Model, User: "alice", Resumable: true, Messages: []chat.PromptMessage{system, user("first"), answer("1"), user("second"), answer("2"), user("third")}},
		}
		if diff := cmp.Diff(want, s.Assistant.Prompts(), cmpopts.IgnoreFields(chat.PromptMessage{}, "ID")); diff != "" {
			t.Errorf("prompts (-want +got):\n%s", diff)
		}
	})
}

// A provider that is deaf to its context costs its turn, and nothing behind it.
func TestDeafProviderTimesOut(t *testing.T) {
	actortest.Run(t, room.Options{TurnTimeout: time.Minute}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		hears := make(chan struct{})
		s.Assistant.On("deaf", actortest.Fail(func(context.Context) error { <-hears; return nil }, "so far"))
		s.Assistant.On("next", actortest.Say("fine"))
		alice.Send(theChat, "deaf")
		alice.Send(theChat, "next")
		time.Sleep(time.Minute)
		synctest.Wait()
		turns, all := queued(s), ends(t, s)
		if end := all[turns[0]]; end.State != chat.StateFailed || end.Content != "so far" || end.Error.Code != chat.CodeProviderTimeout {
			t.Errorf("got end %+v", end)
		}
		if got := all[turns[1]].State; got != chat.StateCompleted {
			t.Errorf("next turn: got %s, want %s", got, chat.StateCompleted)
		}
		close(hears)
	})
}
