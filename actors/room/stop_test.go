package room_test

import (
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// On a full disk a stop stops the provider, and says so: the end is recorded when there
// is space again. A turn that has not begun is not stopped, which is said too.
func TestStopOnAFullDisk(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		s.Assistant.On("hang", actortest.Hang("begun"))
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		alice.Send(theChat, "hang")
		alice.Send(theChat, "next")
		synctest.Wait()
		var next chat.TurnID
		for _, r := range s.Records(theChat) {
			if queued, ok := r.Event.(chat.TurnQueued); ok {
				next = queued.TurnID
			}
		}
		s.Log.Fault(diskFull)
		stopped := alice.Do(theChat, &room.StopTurn{ClientID: "stop"}).Body.(room.Stopped)
		if !stopped.Unrecorded || stopped.TurnID == "" {
			t.Errorf("got %+v", stopped)
		}
		if got := alice.Refused(theChat, &room.StopTurn{TurnID: next}); got != chat.CodeStorageUnavailable {
			t.Errorf("a turn that waits: %s", got)
		}
		if again := alice.Do(theChat, &room.StopTurn{ClientID: "stop"}).Body.(room.Stopped); again.TurnID != "" {
			t.Errorf("repeated: %+v", again)
		}
		s.Log.Fault(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		var ends []chat.State
		for _, r := range s.Records(theChat) {
			if end, ok := r.Event.(chat.TurnEnded); ok {
				ends = append(ends, end.State)
			}
		}
		if len(ends) != 2 || ends[0] != chat.StateStopped || ends[1] != chat.StateCompleted {
			t.Errorf("the turns ended as %v", ends)
		}
	})
}
