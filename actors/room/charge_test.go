package room_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/ledger"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// newLedger returns a ledger of one budget: tokens for each user.
func newLedger(t *testing.T, tokens int64) *ledger.Ledger {
	t.Helper()
	none := func(func(persistence.Charge, error) bool) {}
	l, err := ledger.New([]ledger.Budget{{User: "*", Period: ledger.Day, Tokens: tokens}}, none, func(id chat.ModelID) (string, chat.ModelID) { return "", id })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// endsOf returns the ends of turns in a chat, in order.
func endsOf(s *actortest.Server, id chat.ID) (all []chat.TurnEnded) {
	for _, r := range s.Records(id) {
		if e, ok := r.Event.(chat.TurnEnded); ok {
			all = append(all, e)
		}
	}
	return all
}

// A budget that is crossed in the middle of a stream ends all turns of its user
// within a second, in rooms too whose provider is silent, and nobody else's.
func TestBudgetIsCrossedInMidStream(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, Ledger: newLedger(t, 100)}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		word := strings.Repeat("x", 40) // ten tokens
		s.Assistant.On("talk", actortest.Slowly(time.Second, strings.Fields(strings.Repeat(word+" ", 30))...))
		s.Assistant.On("hang", actortest.Hang("so far"))
		chats := []chat.ID{"talks", "hangs", "bobs"}
		for _, id := range chats {
			alice.Create(id)
			alice.Join(id)
			bob.Join(id)
		}
		alice.Send("talks", "talk")
		alice.Send("hangs", "hang")
		alice.Tell("hangs", &room.Send{Content: "wait for your turn"})
		bob.Send("bobs", "hang")

		begin := time.Now()
		for len(endsOf(s, "talks")) == 0 && time.Since(begin) < time.Minute {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		talks, hangs := endsOf(s, "talks"), endsOf(s, "hangs")
		if len(talks) != 1 || len(hangs) != 2 || len(endsOf(s, "bobs")) != 0 {
			t.Fatalf("%d, %d and another user's %d turns have ended, want 1, 2, 0", len(talks), len(hangs), len(endsOf(s, "bobs")))
		}
		for name, e := range map[string]chat.TurnEnded{"talks": talks[0], "hangs": hangs[0], "waits": hangs[1]} {
			if e.State != chat.StateFailed || e.Error == nil || e.Error.Code != chat.CodeBudgetExceeded {
				t.Errorf("%s: ended %s, %v", name, e.State, e.Error)
			}
		}
		if talks[0].Content == "" || hangs[0].Content != "so far" || hangs[1].MessageID != "" {
			t.Errorf("kept %q and %q, and %q was started", talks[0].Content, hangs[0].Content, hangs[1].MessageID)
		}
		if u := talks[0].Usage; u == nil || !u.Estimated || u.CompletionTokens != chat.Tokens(talks[0].Content) || u.PromptTokens == 0 {
			t.Errorf("usage %+v of %d bytes", u, len(talks[0].Content))
		}

		// Nothing of what comes later is recorded; others go on.
		seq := len(s.Records("talks"))
		for _, c := range []room.Command{&room.Send{Content: "more"}, &room.Respond{}, &room.Regenerate{Answer: talks[0].MessageID, ModelID: actortest.Model}} {
			if got := alice.Refused("talks", c); got != chat.CodeBudgetExceeded {
				t.Errorf("%T refused as %s", c, got)
			}
		}
		if got := len(s.Records("talks")); got != seq {
			t.Errorf("%d records, want %d", got, seq)
		}
		if alice.Do("talks", &room.Send{Content: "only said", Quiet: true}).Err != nil || bob.Do("bobs", &room.Send{Content: "hello"}).Err != nil {
			t.Error("what costs alice nothing was refused")
		}
		// The next day has a budget of its own.
		time.Sleep(24 * time.Hour)
		alice.Create("new")
		alice.Send("new", "good morning")
		if all := endsOf(s, "new"); all[len(all)-1].State != chat.StateCompleted {
			t.Errorf("the next day: %+v", all[len(all)-1])
		}
	})
}

// A prompt counts too: an assistant that may say nothing is not asked.
func TestPromptBeyondTheBudget(t *testing.T) {
	actortest.Run(t, room.Options{Ledger: newLedger(t, 100)}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		if got := alice.Refused(theChat, &room.Send{Content: strings.Repeat("long ", 100)}); got != chat.CodeBudgetExceeded || len(s.Assistant.Prompts()) != 0 {
			t.Errorf("%s after %d prompts", got, len(s.Assistant.Prompts()))
		}
		alice.Create("another")
		alice.Send("another", "short") // nothing was used
		if n := len(s.Assistant.Prompts()); n != 1 {
			t.Errorf("%d prompts, want 1", n)
		}
	})
}

// The real usage of turns counts once, also when the room or the server fails. A
// ledger that lived through it counts the same as one that is read from the file.
func TestUsageIsChargedOnce(t *testing.T) {
	l := newLedger(t, 1000)
	actortest.Run(t, room.Options{Ledger: l, Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		alice.Send(theChat, "one")
		bob.Do(theChat, &room.Send{Content: "two", ModelID: actortest.OtherModel})
		s.Assistant.On("hang", actortest.Hang("12345678"))
		alice.Do(theChat, &room.Send{Content: "hang", ModelID: actortest.Model})
		s.Log.Fault(diskFull)
		alice.Do(theChat, &room.StopTurn{})
		time.Sleep(5 * time.Second)
		s.Log.Fault(nil)
		time.Sleep(5 * time.Second)
		s.Log.Fault(panicOn("poison"))
		alice.Tell(theChat, &room.Send{Content: "poison"})
		synctest.Wait()
		s.Log.Fault(nil)
		time.Sleep(time.Minute)
		s.Restart()

		hour, id := persistence.HourOf(time.Now()), string(theChat.Room())
		stopped := endsOf(s, theChat)[2].Usage
		want := []persistence.Charge{
			{User: "alice", Hour: hour, Room: id, Model: "model", Count: persistence.Count{
				Turns: 2, Estimated: 1, Prompt: 2 + uint64(stopped.PromptTokens), Completion: 3 + 2,
			}},
			{User: "bob", Hour: hour, Room: id, Model: "other-model", Count: persistence.Count{Turns: 1, Prompt: 2, Completion: 3}},
		}
		if diff := cmp.Diff(want, charges(t, s)); diff != "" {
			t.Errorf("charges (-want +got):\n%s", diff)
		}
		for user, used := range map[chat.UserID]uint64{"alice": want[0].Tokens(), "bob": want[1].Tokens()} {
			left := 1000 - int(used)
			m, why := l.Open(ledger.Account{User: user}, func(*chat.Error) {})
			if why != nil || m.Add(left) != nil || m.Add(1) == nil {
				t.Errorf("%s has not %d tokens left", user, left)
			}
			m.Close()
		}

		// A deleted chat is forgotten, what it has cost its users is not.
		alice.Do(theChat, &room.Delete{})
		for i := range want {
			want[i].Room = ""
		}
		if diff := cmp.Diff(want, charges(t, s)); diff != "" {
			t.Errorf("charges after the deletion (-want +got):\n%s", diff)
		}
	})
}

func charges(t *testing.T, s *actortest.Server) (all []persistence.Charge) {
	t.Helper()
	for c, err := range s.Log.Charges(0, persistence.EndOfHours) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// The model that answers in place of another is charged for the answer.
func TestSubstituteIsCharged(t *testing.T) {
	actortest.Run(t, room.Options{Ledger: newLedger(t, 1000)}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.Tell("who", chat.Delta{Model: actortest.OtherModel})
		alice.Send(theChat, "who")
		if e := onlyEnd(t, s); e.ModelID != actortest.OtherModel || e.State != chat.StateCompleted {
			t.Errorf("ended %+v", e)
		}
		if c := charges(t, s); len(c) != 1 || c[0].Model != string(actortest.OtherModel) {
			t.Errorf("charged %+v", c)
		}
	})
}

// A usage that no turn can have is replaced by an estimate, and moves no budget backwards.
func TestIncredibleUsageIsEstimated(t *testing.T) {
	for name, u := range map[string]chat.Usage{
		"nothing":   {},
		"negative":  {PromptTokens: -5, CompletionTokens: 2, TotalTokens: -3},
		"overflows": {PromptTokens: math.MaxInt64/2 + 1, CompletionTokens: math.MaxInt64/2 + 1, TotalTokens: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			actortest.Run(t, room.Options{Ledger: newLedger(t, 1000)}, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				s.Assistant.Tell("how much", chat.Delta{Usage: &u})
				s.Assistant.On("how much", actortest.Fail(func(context.Context) error { return errors.New("cut") }, "so much"))
				alice.Send(theChat, "how much")
				if e := onlyEnd(t, s); e.Usage == nil || !e.Usage.Estimated || e.Usage.TotalTokens <= 0 || e.Usage.TotalTokens > 100 {
					t.Errorf("usage %+v", e.Usage)
				}
				if c := charges(t, s); len(c) != 1 || c[0].Tokens() == 0 || c[0].Tokens() > 100 {
					t.Errorf("charged %+v", c)
				}
			})
		})
	}
}
