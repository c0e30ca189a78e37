package commands_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// An announcement reaches all listeners of a room in every dialect, is not recorded, and
// wakes no room.
func TestAnnounce(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, spa := s.User("alice"), s.User("alice")
		announce := func(id chat.ID, want int) {
			t.Helper()
			said := chat.Announcement{Event: "progress", Args: []json.RawMessage{json.RawMessage(`{"percent":40}`)}}
			got, err := s.Rooms.Announce(t.Context(), id.Room(), said)
			if err != nil || got != want {
				t.Errorf("%d listeners, %v; want %d", got, err, want)
			}
			synctest.Wait()
		}
		announce("c", 0)
		alice.Create("c")
		alice.Join("c")
		spa.JoinAs("c", assistant.SPA)
		alice.Told()
		spa.Told()
		announce("c", 2)
		for _, u := range []*actortest.User{alice, spa} {
			if told := strings.Join(u.Told(), "\n"); !strings.Contains(told, `progress`) {
				t.Errorf("told %q", told)
			}
		}
		if last, err := s.Log.Last(string(chat.ID("c").Room())); err != nil || last != 1 {
			t.Errorf("the log ends at %d, %v", last, err)
		}
		s.Restart()
		announce("c", 0)
	})
}
