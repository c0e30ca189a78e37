package room_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// edit is the command that says the message anew.
func edit(m room.Sent, content string) *room.Edit {
	return &room.Edit{Replaces: m.MessageID, Content: content}
}

// wantView checks that what a member shows, who was there from the beginning,
// is what history says.
func wantView(t *testing.T, s *actortest.Server, u *actortest.User) {
	t.Helper()
	messages, _, err := s.Rooms.History(t.Context(), u.User, theChat.Room(), 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	var want []chat.MessageID
	for _, m := range messages {
		want = append(want, m.ID)
	}
	if diff := cmp.Diff(want, u.View(theChat).IDs()); diff != "" {
		t.Errorf("%s (-history +shown):\n%s", u.ID, diff)
	}
}

// An edit takes out what it replaces and all that followed, for everybody, in
// the history and in what assistants are told.
func TestEdit(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		alice.Send(theChat, "one")
		two := alice.Send(theChat, "two")
		bob.Send(theChat, "three")
		bob.Told()
		alice.Do(theChat, edit(two, "two!"))
		wantSaid(t, s, alice, "one", "You said: one", "two!", "You said: two!")
		wantView(t, s, alice)
		wantView(t, s, bob)
		if got := bob.Told()[0]; got != `message #14 user completed "two!" replaces #6` {
			t.Errorf("bob was told %s", got)
		}
		prompts := s.Assistant.Prompts()
		var last []string
		for _, m := range prompts[len(prompts)-1].Messages[1:] {
			last = append(last, m.Content)
		}
		if diff := cmp.Diff([]string{"one", "You said: one", "two!"}, last); diff != "" {
			t.Errorf("prompt (-want +got):\n%s", diff)
		}
		s.Restart()
		wantSaid(t, s, alice, "one", "You said: one", "two!", "You said: two!")
	})
}

// An edit stops the turns that answer the edited message or a later one. A turn that was
// asked for before goes on, and its answer stays where it belongs.
func TestEditStopsWhatItSupersedes(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Join(theChat)
		bob.Join(theChat)
		s.Assistant.On("first", actortest.Hang("so far"))
		bob.Send(theChat, "first")
		wait := alice.Send(theChat, "second")
		bob.Send(theChat, "third")
		alice.Do(theChat, edit(wait, "second!"))
		if got := len(alice.Join(theChat).Queued); got != 1 {
			t.Errorf("%d turns wait, want 1", got)
		}
		bob.Stop(theChat, "")
		wantSaid(t, s, alice, "first", "second!", "so far (stopped)", "You said: second!")
		for _, id := range queued(s)[1:3] {
			if e := ends(t, s)[id]; e.By != "alice" || e.Reason != "the message was edited" {
				t.Errorf("a turn that waited was stopped by %q: %q", e.By, e.Reason)
			}
		}
		wantView(t, s, bob)

		s.Assistant.On("hang", actortest.Hang("oh"))
		last := alice.Send(theChat, "hang")
		alice.Do(theChat, edit(last, "better"))
		wantSaid(t, s, alice, "first", "second!", "so far (stopped)", "You said: second!", "better", "You said: better")
		wantView(t, s, bob)
	})
}

// An answer to what was said before the edited message stays, even if it came
// later, on whatever page of the history.
func TestEditKeepsEarlierAnswers(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, SnapshotEvery: 3}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("slow", actortest.Hang("slow answer"))
		alice.Send(theChat, "slow")
		again := alice.Send(theChat, "again")
		alice.Send(theChat, "and again")
		alice.Stop(theChat, "")
		alice.Do(theChat, edit(again, "never mind"))
		want := []string{"slow", "slow answer (stopped)", "never mind", "You said: never mind"}
		wantSaid(t, s, alice, want...)
		wantView(t, s, alice)
		var pages []string
		for before, more := uint64(0), true; more; {
			var page []chat.Message
			var err error
			if page, more, err = s.Rooms.History(t.Context(), alice.User, theChat.Room(), before, 1); err != nil || len(page) != 1 {
				t.Fatalf("got %v, %v", page, err)
			}
			before = page[0].Seq
			pages = append([]string{page[0].Content}, pages...)
		}
		var all []string
		for m, err := range s.Rooms.Messages(t.Context(), alice.User, theChat, 0, 4) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m.Content)
		}
		want[1] = "slow answer"
		if diff := cmp.Diff(want, pages); diff != "" {
			t.Errorf("pages (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

func TestEditIsIdempotent(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("one", actortest.Hang())
		one := alice.Send(theChat, "one")
		change := edit(one, "one!")
		change.ClientID = "1"
		release := s.Log.Hold()
		first := alice.Tell(theChat, change)
		second := *change
		again := alice.Tell(theChat, &second)
		synctest.Wait()
		release()
		synctest.Wait()
		third := *change
		later := alice.Do(theChat, &third)
		for _, ref := range []uint64{first, again} {
			if reply, _ := alice.Reply(ref); reply.Body != later.Body || reply.Body == nil {
				t.Errorf("got %+v, then %+v", reply, later)
			}
		}
		wantSaid(t, s, alice, "one!", "You said: one!")
	})
}

func TestEditRefused(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxMessageBytes: 10, MaxQueuedTurns: 1}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		one := alice.Send(theChat, "one")
		two := alice.Send(theChat, "two")
		answer := room.Sent{MessageID: s.Messages(theChat)[1].ID, Seq: s.Messages(theChat)[1].Seq}
		for name, test := range map[string]struct {
			who  *actortest.User
			edit *room.Edit
			want chat.Code
		}{
			"another's":     {bob, edit(one, "mine"), chat.CodeForbidden},
			"an answer":     {alice, edit(answer, "better"), chat.CodeNotFound},
			"no message":    {alice, edit(room.Sent{MessageID: "nothing"}, "x"), chat.CodeNotFound},
			"too long":      {alice, edit(one, "0123456789a"), chat.CodeTooLarge},
			"unknown model": {alice, &room.Edit{Replaces: one.MessageID, Content: "x", ModelID: "none"}, chat.CodeNotFound},
		} {
			if got := test.who.Refused(theChat, test.edit); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
		alice.Do(theChat, edit(one, "one!"))
		for name, sent := range map[string]room.Sent{"edited": one, "followed what was edited": two} {
			if got := alice.Refused(theChat, edit(sent, "x")); got != chat.CodeNotFound {
				t.Errorf("%s: got %s, want %s", name, got, chat.CodeNotFound)
			}
		}
		for name, id := range map[string]chat.MessageID{"what was edited": answer.MessageID, "no answer": one.MessageID, "nothing": "nothing"} {
			if got := alice.Refused(theChat, &room.Regenerate{Answer: id}); got != chat.CodeNotFound {
				t.Errorf("another answer to %s: got %s, want %s", name, got, chat.CodeNotFound)
			}
		}
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		three := alice.Do(theChat, &room.Send{Content: "quiet", Quiet: true}).Body.(room.Sent)
		if got := alice.Refused(theChat, edit(three, "x")); got != chat.CodeBusy {
			t.Errorf("a full queue: got %s, want %s", got, chat.CodeBusy)
		}
	})
}

// A turn that took in what is edited is stopped; what it did not take in of
// what was said before that is answered still, and what was said after it not.
func TestEditWhatSteers(t *testing.T) {
	actortest.Run(t, room.Options{TurnPolicy: chat.PolicySteer}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("work", actortest.Hang("so far"))
		alice.Send(theChat, "work")
		alice.Send(theChat, "one")
		two := alice.Send(theChat, "two")
		alice.Send(theChat, "three")
		alice.Do(theChat, edit(two, "two!"))
		alice.Stop(theChat, "")
		wantSaid(t, s, alice, "work", "one", "two!", "so far (stopped)", "You said: one", "You said: two!")
		wantView(t, s, alice)
	})
}
