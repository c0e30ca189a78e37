package queries_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
)

// A room whose log could not be read for a moment reads it again, also if
// something keeps it from leaving memory.
func TestUnreadableHistoryIsReadAgain(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang(""))
		alice.Send(theChat, "wait")
		s.Log.Fault(func(c persistence.Commit) error {
			if len(c.Keys) > 0 {
				panic("as the test wants it")
			}
			return nil
		})
		s.Log.FailReads(errors.New("for a moment"))
		alice.Tell(theChat, &room.Send{Content: "once", ClientID: "once"})
		synctest.Wait()
		s.Log.FailReads(nil)
		time.Sleep(time.Minute)
		if reply := alice.Do(theChat, &room.Join{}); reply.Err != nil {
			t.Errorf("a minute later: %v", reply.Err)
		}
	})
}
