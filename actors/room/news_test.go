package room_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

var busy = chat.Refuse(chat.CodeProviderError, "busy")

// Members are told at once that a provider has failed and is asked again, and
// how it fares; nothing of it is recorded, and the SPA hears nothing.
func TestNewsOfTheProvider(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, page := s.User("alice"), s.User("page")
		alice.Create(theChat)
		alice.Do(theChat, &room.Join{Encoder: assistant.Documented.String()})
		page.Do(theChat, &room.Join{Encoder: assistant.SPA.String()})
		alice.Told()
		page.Told()
		at := time.Now().Add(time.Minute)
		s.Assistant.Tell("try",
			chat.Delta{Retrying: busy},
			chat.Delta{Health: &chat.Health{Provider: "openai", State: chat.ProviderOpen, RetryAt: at}})
		s.Assistant.On("try", actortest.Say("answer"))
		alice.Send(theChat, "try")
		synctest.Wait()
		wantTold(t, alice, "sent #2", "turn #3 queued", "turn #4 running", "stream_start #4 attempt 1",
			"stream_error provider_error retrying", "assistant openai open "+chat.Timestamp(at), `stream_chunk @0 "answer"`,
			"stream_chunk @6 done", `message #5 assistant completed "answer"`, "stream_end #5 completed", "turn #5 completed")
		wantTold(t, page, `sbaw.text_message.user "try"`, `sbaw.text_message.assistant "answer" stop`)
	})
}

// Listeners are told which model answers in place of the one that was asked, and it is
// recorded, however the turn ends.
func TestFallbackIsRecorded(t *testing.T) {
	instead := chat.Delta{Retrying: busy, Model: actortest.OtherModel}
	for _, test := range []struct {
		name   string
		script actortest.Script
		want   chat.State
	}{
		{"completed", actortest.Say("answer"), chat.StateCompleted},
		{"failed", actortest.Fail(func(ctx context.Context) error { return busy }), chat.StateFailed},
		{"stopped", actortest.Hang("so far"), chat.StateStopped},
	} {
		t.Run(test.name, func(t *testing.T) {
			actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
				alice, late := s.User("alice"), s.User("late")
				alice.Create(theChat)
				alice.Join(theChat)
				s.Assistant.Tell("try", instead)
				s.Assistant.On("try", test.script)
				alice.Send(theChat, "try")
				if test.want == chat.StateStopped {
					if turn := late.Join(theChat).Turn; turn == nil || turn.ModelID != actortest.OtherModel {
						t.Errorf("who joins is told of turn %+v", turn)
					}
					alice.Stop(theChat, "")
				}
				if end := onlyEnd(t, s); end.State != test.want || end.ModelID != actortest.OtherModel {
					t.Errorf("ended %s by %q, want %s by %q", end.State, end.ModelID, test.want, actortest.OtherModel)
				}
			})
		})
	}
}

// A command that names a model which cannot be asked is refused with the reason.
func TestRefusalOfAModel(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		ref := alice.Tell(theChat, &room.Send{Content: "hi", ModelID: "nobody"})
		synctest.Wait()
		want := s.Assistant.Refusal("nobody")
		if reply, _ := alice.Reply(ref); reply.Err == nil || *reply.Err != *want {
			t.Errorf("got %v, want %v", reply.Err, want)
		}
	})
}
