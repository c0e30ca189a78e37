package room_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A prompt for which too little is left is refused before anything is recorded, in words
// that say how much is left and what it needs, as often as it is tried; a shorter one is
// answered. The conversation counts, also if the room has forgotten its tail.
func TestPromptsThatAreTooLongForABudget(t *testing.T) {
	long := strings.Repeat("x", 4*300) // 300 tokens
	for _, restart := range []bool{false, true} {
		actortest.Run(t, room.Options{Ledger: newLedger(t, 500)}, func(t *testing.T, s *actortest.Server) {
			alice := s.User("alice")
			alice.Create(theChat)
			tooLong := func(c room.Command, left string) {
				t.Helper()
				before := len(s.Records(theChat))
				for range 3 {
					why := alice.Do(theChat, c).Err
					if why == nil || why.Code != chat.CodeBudgetExceeded || !strings.HasPrefix(why.Message, "this needs about ") ||
						!strings.HasSuffix(why.Message, "of the 500 tokens that you may use for this day "+left+" are left") {
						t.Fatalf("got %v", why)
					}
				}
				if got := len(s.Records(theChat)); got != before {
					t.Errorf("%d records, before that %d", got, before)
				}
			}
			tooLong(&room.Send{Content: strings.Repeat("x", 4*500)}, "500")
			s.Assistant.On(long, actortest.Say(strings.Repeat("y", 4*20))) // the provider says that it used 5 tokens
			first := alice.Send(theChat, long)
			synctest.Wait()
			if restart {
				s.Restart()
				alice = s.User("alice")
			}
			time.Sleep(time.Hour) // the tail is forgotten, and the day goes on
			synctest.Wait()
			tooLong(&room.Send{Content: strings.Repeat("z", 4*190)}, "495")
			tooLong(&room.Edit{Replaces: first.MessageID, Content: strings.Repeat("x", 4*495)}, "495")
			alice.Do(theChat, &room.Edit{Replaces: first.MessageID, Content: strings.Repeat("z", 4*190)}) // instead of the long one
			synctest.Wait()
			ends := endsOf(s, theChat)
			if last := ends[len(ends)-1]; last.State != chat.StateCompleted {
				t.Errorf("a prompt for which enough is left: %+v", last)
			}
		})
	}
}
