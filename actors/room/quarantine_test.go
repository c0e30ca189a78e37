package room_test

import (
	"fmt"
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

// A room that keeps failing is taken out of service: its members are told and
// wait for nothing, its history can be read, its neighbour notices nothing.
// When it is released it goes on where it was, with its members.
func TestQuarantine(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxRestarts: 3, MaxAttempts: 99}, func(t *testing.T, s *actortest.Server) {
		const neighbour = "neighbour"
		alice, page := s.User("alice"), s.User("page")
		alice.Create(theChat)
		alice.Create(neighbour)
		alice.Join(theChat)
		page.JoinAs(theChat, assistant.SPA)
		s.Assistant.On("wait", actortest.Hang("cut"))
		alice.Send(theChat, "wait")
		turn := queued(s)[0]
		s.Log.Fault(panicOn("boom"))
		for i := range 4 {
			if reply := alice.Do(theChat, &room.Send{Content: fmt.Sprint("boom ", i)}); reply.Err == nil || reply.Err.Code != chat.CodeInternal {
				t.Fatalf("boom %d: %+v", i, reply)
			}
			if i == 3 {
				break
			}
			time.Sleep(10 * time.Millisecond)
			alice.Told()
			page.Told()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantTold(t, alice, "refused internal", "stream_error quarantined", "stream_end #0 interrupted", "turn #0 interrupted", "error quarantined")
		const why = "this room has failed too often; its history can still be read"
		wantTold(t, page, fmt.Sprintf("message_error %q", why), fmt.Sprintf("sbaw.text_message.assistant %q cancelled", why))

		for _, c := range []room.Command{&room.Send{Content: "hello"}, &room.Join{}, &room.StopTurn{}, &room.Delete{}, &room.Respond{}} {
			if got := alice.Refused(theChat, c); got != chat.CodeQuarantined {
				t.Errorf("%T: got %s", c, got)
			}
		}
		if messages, _, err := s.Rooms.History(t.Context(), alice.User, theChat.Room(), 0, 10); err != nil || len(messages) != 1 {
			t.Errorf("history: %d messages, %v", len(messages), err)
		}
		alice.Do(neighbour, &room.Send{Content: "hello", Quiet: true})
		time.Sleep(time.Hour) // it neither passivates nor heals by itself
		if got := alice.Refused(theChat, &room.Join{}); got != chat.CodeQuarantined {
			t.Errorf("an hour later: got %s", got)
		}

		s.Log.Fault(nil)
		s.Assistant.On("wait", actortest.Say("whole"))
		for _, want := range []bool{true, false} {
			if was, err := s.Rooms.Release(t.Context(), theChat.Room()); err != nil || was != want {
				t.Errorf("released: %v, %v, want %v", was, err, want)
			}
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"wait", "whole"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		if end := ends(t, s)[turn]; end.State != chat.StateCompleted {
			t.Errorf("the turn ended %+v", end)
		}
	})
}

// A room that fails now and then is none that keeps failing.
func TestRareFailuresAreNoQuarantine(t *testing.T) {
	actortest.Run(t, room.Options{MaxRestarts: 2}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Log.Fault(panicOn("boom"))
		for range 10 {
			alice.Do(theChat, &room.Send{Content: "boom"})
			time.Sleep(31 * time.Second)
		}
		s.Log.Fault(nil)
		alice.Do(theChat, &room.Send{Content: "hello", Quiet: true})
		if diff := cmp.Diff([]string{"hello"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}
