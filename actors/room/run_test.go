package room_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// runRoom is a room with one user, who has asked for an answer that goes on by itself, in
// ten pieces of a second each.
func runRoom(t *testing.T, o room.Options, f func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background)) {
	actortest.Run(t, o, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		r := &actortest.Background{ID: "run-1", Every: time.Second, Pieces: strings.SplitAfter("one two three four five six seven eight nine ten", " ")}
		s.Assistant.Begin("count", r)
		alice.Send(theChat, "count")
		f(t, s, alice, r)
	})
}

// runStates returns what was recorded of runs.
func runStates(s *actortest.Server) (all []chat.RunState) {
	for _, r := range s.Records(theChat) {
		if e, ok := r.Event.(chat.TurnRun); ok {
			all = append(all, e.State)
		}
	}
	return all
}

// A run is recorded before its first word is told, and after a crash it is read on: in the
// same attempt, behind what was saved. The provider is asked once.
func TestRunIsReadOnAfterACrash(t *testing.T) {
	runRoom(t, room.Options{}, func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background) {
		synctest.Wait()
		if got := runStates(s); !slices.Equal(got, []chat.RunState{chat.RunBegun}) || slices.ContainsFunc(alice.Told(), func(s string) bool { return strings.Contains(s, "one") }) {
			t.Fatalf("before the first word was recorded: %v", got)
		}
		time.Sleep(3500 * time.Millisecond)
		s.Restart()
		synctest.Wait()
		joined := alice.Join(theChat)
		if joined.Turn == nil || joined.Turn.Attempt != 1 || joined.Turn.Cut || !strings.HasPrefix("one two three ", joined.Turn.Content) || joined.Turn.Content == "" {
			t.Errorf("joined %+v", joined.Turn)
		}
		time.Sleep(10 * time.Second)
		end := onlyEnd(t, s)
		if end.State != chat.StateCompleted || end.Content != strings.Join(r.Pieces, "") || end.Usage.TotalTokens != 5 {
			t.Errorf("ended %+v", end)
		}
		if reads, cancelled := r.Reads(); len(s.Assistant.Prompts()) != 1 || len(starts(s)) != 1 || reads != 2 || cancelled {
			t.Errorf("asked %d times, started %d, read %d, cancelled %v", len(s.Assistant.Prompts()), len(starts(s)), reads, cancelled)
		}
		if diff := cmp.Diff([]chat.RunState{chat.RunBegun, chat.RunResumed}, runStates(s)); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
}

// The limit of attempts does not end a turn whose run brings more each time.
func TestRunThatBringsMoreIsReadOnForEver(t *testing.T) {
	runRoom(t, room.Options{MaxAttempts: 2}, func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background) {
		for range 6 {
			time.Sleep(1500 * time.Millisecond)
			s.Restart()
		}
		time.Sleep(10 * time.Second)
		if end := onlyEnd(t, s); end.State != chat.StateCompleted || end.Content != strings.Join(r.Pieces, "") || len(s.Assistant.Prompts()) != 1 {
			t.Errorf("ended %+v", end)
		}
	})
}

// One that brings nothing may be what ends the server.
func TestRunThatBringsNothingIsInterrupted(t *testing.T) {
	runRoom(t, room.Options{MaxAttempts: 2}, func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background) {
		synctest.Wait()
		for range 3 {
			s.Restart()
		}
		if end := onlyEnd(t, s); end.State != chat.StateInterrupted || end.Reason == "" {
			t.Errorf("ended %+v", end)
		}
	})
}

// If the provider does not have the run any more, another attempt asks anew.
func TestRunThatIsGoneIsAskedForAnew(t *testing.T) {
	for name, lose := range map[string]func(*actortest.Background){
		"gone":    (*actortest.Background).Lose,
		"another": func(r *actortest.Background) { r.Pieces = []string{"ONE ", "TWO"} },
	} {
		t.Run(name, func(t *testing.T) {
			runRoom(t, room.Options{}, func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background) {
				time.Sleep(3500 * time.Millisecond)
				lose(r)
				s.Restart()
				time.Sleep(20 * time.Second)
				end := onlyEnd(t, s)
				if end.State != chat.StateCompleted || end.Content != strings.Join(r.Pieces, "") {
					t.Errorf("ended %+v", end)
				}
				if diff := cmp.Diff([]chat.RunState{chat.RunBegun, chat.RunResumed, chat.RunGone, chat.RunBegun}, runStates(s)); diff != "" {
					t.Errorf("recorded (-want +got):\n%s", diff)
				}
				if n := starts(s); len(n) != 2 || n[1].Attempt != 2 {
					t.Errorf("started %+v", n)
				}
			})
		})
	}
}

// Stop ends the run at the provider, also one that was read on; the end of the server does not.
func TestStopCancelsTheRun(t *testing.T) {
	runRoom(t, room.Options{}, func(t *testing.T, s *actortest.Server, alice *actortest.User, r *actortest.Background) {
		time.Sleep(2500 * time.Millisecond)
		s.Restart()
		if _, cancelled := r.Reads(); cancelled {
			t.Error("the end of the server has cancelled the run")
		}
		alice.Do(theChat, &room.StopTurn{})
		synctest.Wait()
		if _, cancelled := r.Reads(); !cancelled || onlyEnd(t, s).State != chat.StateStopped {
			t.Errorf("cancelled %v, ended %+v", cancelled, onlyEnd(t, s))
		}
	})
}

// A step that ends in calls has a run of its own, and so has the next one. What is read on is
// the last.
func TestRunBehindAStep(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		r := &actortest.Background{ID: "run-2", Every: time.Second, Pieces: []string{"It ", "is ", "noon."}}
		s.Assistant.On("time?", actortest.Say("I look.", actortest.CallTools+`echo {"a":1}`))
		s.Assistant.Begin(`{"a":1}`, r)
		alice.Send(theChat, "time?")
		time.Sleep(2200 * time.Millisecond)
		s.Restart()
		time.Sleep(10 * time.Second)
		end := onlyEnd(t, s)
		if end.State != chat.StateCompleted || end.Content != "I look.\n\nIt is noon." || end.Steps != 1 {
			t.Errorf("ended %+v", end)
		}
		if got := outcomes(t, s); len(got) != 1 || len(s.Assistant.Prompts()) != 2 || len(starts(s)) != 1 {
			t.Errorf("ran %v, asked %d times, started %d", got, len(s.Assistant.Prompts()), len(starts(s)))
		}
	})
}
