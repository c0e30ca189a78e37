package room_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parlor/actors/actortest"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// theChat is the chat of tests that need no more than one.
const theChat chat.ID = "the-chat"

// wantTold checks what a user was told since it was asked last.
func wantTold(t *testing.T, u *actortest.User, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, u.Told()); diff != "" {
		t.Errorf("%s was told (-want +got):\n%s", u.ID, diff)
	}
}

// countLoads returns a function that checks how often the room was read from
// its beginning since: for each restart, deletion and return to memory.
func countLoads(t *testing.T, s *actortest.Server) (check func(want int)) {
	before := s.Log.Loads(string(theChat.Room()))
	return func(want int) {
		t.Helper()
		if got := s.Log.Loads(string(theChat.Room())) - before; got != want {
			t.Errorf("the room was read %d times, want %d", got, want)
		}
	}
}

// queued returns the turns of the chat, in the order in which they were wanted.
func queued(s *actortest.Server) (ids []chat.TurnID) {
	for _, r := range s.Records(theChat) {
		if e, ok := r.Event.(chat.TurnQueued); ok {
			ids = append(ids, e.TurnID)
		}
	}
	return ids
}

// answerTo returns the last answer to a message.
func answerTo(s *actortest.Server, id chat.ID, prompt chat.MessageID) (answer chat.MessageID) {
	for _, m := range s.Messages(id) {
		if m.Prompt == prompt {
			answer = m.ID
		}
	}
	return answer
}

// starts returns every start of a turn.
func starts(s *actortest.Server) (all []chat.TurnStarted) {
	for _, r := range s.Records(theChat) {
		if e, ok := r.Event.(chat.TurnStarted); ok {
			all = append(all, e)
		}
	}
	return all
}

// ends returns the end of every turn that has ended, and fails the test if one
// did more than once.
func ends(t *testing.T, s *actortest.Server) map[chat.TurnID]chat.TurnEnded {
	t.Helper()
	all := make(map[chat.TurnID]chat.TurnEnded)
	for _, r := range s.Records(theChat) {
		e, ok := r.Event.(chat.TurnEnded)
		if !ok {
			continue
		}
		if _, twice := all[e.TurnID]; twice {
			t.Errorf("turn %s ended twice", e.TurnID)
		}
		all[e.TurnID] = e
	}
	return all
}

// onlyEnd returns the end of the only turn that has ended.
func onlyEnd(t *testing.T, s *actortest.Server) chat.TurnEnded {
	t.Helper()
	all := ends(t, s)
	if len(all) != 1 {
		t.Fatalf("got %d turns that have ended, want 1", len(all))
	}
	for _, e := range all {
		return e
	}
	panic("unreachable")
}

// contents returns what was said, in order.
func contents(s *actortest.Server) (all []string) {
	for _, m := range s.Messages(theChat) {
		all = append(all, m.Content)
	}
	return all
}

// diskFull is a fault that refuses every commit.
func diskFull(persistence.Commit) error { return persistence.ErrUnavailable }

// panicOn is a fault that panics on a commit that says text.
func panicOn(text string) func(persistence.Commit) error {
	return func(c persistence.Commit) error {
		for _, e := range c.Entries {
			if bytes.Contains(e, []byte(text)) {
				panic("a poisoned command")
			}
		}
		return nil
	}
}
