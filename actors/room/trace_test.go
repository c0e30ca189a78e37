package room_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// seer notes what it is told of turns, by the content of its contexts too.
type seer struct {
	mu    sync.Mutex
	notes []string
}

type seen struct{}

func (s *seer) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// Begin implements [turn.Tracer].
func (s *seer) Begin(in chat.Info, t chat.Turn) (context.Context, func(chat.TurnEnded)) {
	s.note("begin %s %d", in.ID, t.Attempt)
	return context.WithValue(context.Background(), seen{}, s), func(end chat.TurnEnded) { s.note("end %s", end.State) }
}

// Called implements [turn.Tracer].
func (s *seer) Called(ctx context.Context, c chat.ToolCall) (end func()) {
	s.note("page %s %t", c.Name, ctx.Value(seen{}) == s)
	return sync.OnceFunc(func() { s.note("page is done") })
}

// take returns what was noted since.
func (s *seer) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.notes
	s.notes = nil
	return slices.Clone(notes)
}

// Each attempt at a turn is followed once, to its end, and so is what is asked for it.
func TestTurnsAreFollowed(t *testing.T) {
	s, tools := new(seer), new(actortest.Tools)
	tools.On("look", func(ctx context.Context) (string, error) {
		s.note("tool %t", ctx.Value(seen{}) == s)
		return "seen", nil
	})
	actortest.Run(t, room.Options{Tracer: s, Tools: tools}, func(t *testing.T, server *actortest.Server) {
		alice := server.User("alice")
		alice.Create(theChat)
		want := func(what string, notes ...string) {
			t.Helper()
			if diff := cmp.Diff(notes, s.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		alice.Send(theChat, "hello")
		want("an answer", "begin "+string(theChat)+" 1", "end completed")
		server.Assistant.On("look", actortest.Call("look {}"))
		alice.Send(theChat, "look")
		want("an answer with a call", "begin "+string(theChat)+" 1", "tool true", "end completed")
		offer(alice, paint...)
		server.Assistant.On("paint", actortest.Call("paint {}"))
		alice.Send(theChat, "paint")
		synctest.Wait()
		alice.Do(theChat, answer(alice.ToRun()[0], "painted"))
		synctest.Wait()
		want("an answer with a call that a page runs", "begin "+string(theChat)+" 1", "page paint true", "page is done", "end completed")
		server.Assistant.On("hang", actortest.Hang("…"))
		alice.Send(theChat, "hang")
		alice.Do(theChat, &room.StopTurn{})
		want("an answer that is stopped", "begin "+string(theChat)+" 1", "end stopped")
		alice.Send(theChat, "hang")
		server.Log.Fault(panicOn("boom"))
		alice.Refused(theChat, &room.Send{Content: "boom"})
		want("an answer whose room fails", "begin "+string(theChat)+" 1", "end ", "begin "+string(theChat)+" 2")
		alice.Do(theChat, &room.StopTurn{})
		want("its end", "end stopped")
	})
}
