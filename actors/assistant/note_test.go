package assistant_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// unread are rooms whose history cannot be read.
type unread struct{ assistant.Rooms }

func (unread) HistoryOf(context.Context, chat.User, chat.RoomID, chat.MessageID, uint64, int) ([]chat.Message, bool, error) {
	return nil, false, errors.New("the file is damaged")
}

// The client of an event that the server has failed at is told what the log calls it, and
// others are not.
func TestFailuresNameTheirEvent(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		s.User("bob").Create(theChat)
		var notes []session.Note // of one session's goroutine, which stands still while the test reads
		c := connect(t, session.New(system.New(nil), session.Options{
			Namespaces: map[string]session.Namespace{wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: unread{s.Rooms}}},
			Done:       func(n session.Note) { notes = append(notes, n) },
		}), "alice")
		for event, args := range map[string]string{"history": `{"room_id":"` + string(theRoom) + `"}`, "no such event": `{}`} {
			notes = nil
			heard, ack := c.emit(event, args)
			var told struct {
				Error chat.Error `json:"error"`
			}
			unmarshal(t, string(ack), &told)
			if len(notes) != 1 || notes[0].Outcome != string(told.Error.Code) || notes[0].User != "alice" {
				t.Fatalf("%s is noted as %+v, and refused as %v", event, notes, told.Error)
			}
			var shown struct {
				RequestID string `json:"request_id"`
			}
			if len(heard) != 1 || json.Unmarshal([]byte(heard[0].arg), &shown) != nil {
				t.Fatalf("heard %v", heard)
			}
			want := ""
			if event == "history" {
				want = notes[0].Request
			}
			if told.Error.RequestID != want || shown.RequestID != want {
				t.Errorf("%s is known as %q and %q, want %q", event, told.Error.RequestID, shown.RequestID, want)
			}
		}
	})
}
