package rooms_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A room that does not return from a command is noticed: it is logged, and who
// turns to it is answered. Rooms that are idle, or slow for a while, are not
// taken for it, and when the room returns all is as before.
func TestHungRoomIsNoticed(t *testing.T) {
	var log bytes.Buffer
	options := room.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	actortest.Run(t, options, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		bob.Create("idle")
		bob.Join("idle")
		gate := make(chan struct{})
		s.Log.Fault(func(c persistence.Commit) error {
			if c.Room == string(theChat.Room()) {
				<-gate
			}
			return nil
		})
		stuck := alice.Tell(theChat, &room.Send{Content: "stuck", Quiet: true})
		behind := alice.Tell(theChat, &room.Send{Content: "behind", Quiet: true})
		time.Sleep(25 * time.Second)
		synctest.Wait()
		early := alice.Tell(theChat, &room.Send{Content: "early", Quiet: true})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := strings.Count(log.String(), "room hangs"); got != 1 || !strings.Contains(log.String(), string(theChat.Room())) {
			t.Errorf("logged %d times:\n%s", got, log.String())
		}
		if got := alice.Refused(theChat, &room.Send{Content: "late"}); got != chat.CodeBusy {
			t.Errorf("got %s, want %s", got, chat.CodeBusy)
		}
		bob.Do("idle", &room.Send{Content: "meanwhile", Quiet: true})
		close(gate)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, ref := range []uint64{stuck, behind, early} {
			if reply, ok := alice.Reply(ref); !ok || reply.Err != nil {
				t.Errorf("command %d: answered %v, %+v", ref, ok, reply)
			}
		}
		alice.Do(theChat, &room.Send{Content: "again", Quiet: true})
		if got := len(s.Messages(theChat)); got != 4 {
			t.Errorf("%d messages, want 4", got)
		}
		time.Sleep(time.Hour)
		if got := strings.Count(log.String(), "room hangs"); got != 2 { // and "hangs no more"
			t.Errorf("logged:\n%s", log.String())
		}
	})
}
