package assistant_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
)

// queuedTurns counts the turns that were wanted in the chat.
func queuedTurns(s *actortest.Server) (n int) {
	for _, r := range s.Records(theChat) {
		if _, queued := r.Event.(chat.TurnQueued); queued {
			n++
		}
	}
	return n
}

// A client that repeats regenerate because the acknowledgement is late gets one answer:
// with an id at any time and on any connection, and without one for five seconds on the
// same connection. A new id is a new wish, and so is another model.
func TestRepeatedRegenerate(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		page.emit("send_message", fmt.Sprintf(`{"room_id":%q,"message":"one"}`, theRoom))
		answer := s.Messages(theChat)[1].ID
		again := func(c *client, more string) string {
			t.Helper()
			heard, ack := c.emit("regenerate "+theRoom, fmt.Sprintf(`{"message_id":%q%s}`, answer, more))
			if !strings.HasPrefix(string(ack), `{"ok":true,"turn_id":`) || len(find(heard, "error "+theRoom)) > 0 {
				t.Fatalf("acknowledged %s, heard %v", ack, heard)
			}
			return string(ack)
		}
		wantTurns := func(want int) {
			t.Helper()
			if got := queuedTurns(s); got != want {
				t.Errorf("%d turns, want %d", got, want)
			}
		}
		unnamed := again(page, "")
		for range 3 {
			time.Sleep(4 * time.Second)
			if got := again(page, ""); got != unnamed {
				t.Errorf("acknowledged %s, want %s", got, unnamed)
			}
		}
		wantTurns(2)
		again(page, fmt.Sprintf(`,"model_id":%q`, actortest.OtherModel))
		again(connect(t, sessions, "alice"), "")
		wantTurns(4)
		time.Sleep(5 * time.Second)
		again(page, "")
		wantTurns(5)
		named := again(page, `,"client_message_id":"one"`)
		time.Sleep(time.Hour)
		if got := again(connect(t, sessions, "alice"), `,"client_message_id":"one"`); got != named {
			t.Errorf("acknowledged %s, want %s", got, named)
		}
		wantTurns(6)
		again(page, `,"client_message_id":"two"`)
		wantTurns(7)
	})
}

// A command with the id of another one is refused as a conflict, under that id.
func TestConflict(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		page.emit("configure "+theRoom, `{"title":"a title","client_message_id":"x"}`)
		records := len(s.Records(theChat))
		for event, args := range map[string]string{
			"configure": `"title":"another title","client_message_id":"x"`, "stop": `"client_message_id":"x"`,
			"regenerate": `"message_id":"m","client_message_id":"x"`, "edit": `"message_id":"m","content":"c","client_message_id":"x"`,
			"send_message": `"message":{"content":"c","client_message_id":"x"}`,
		} {
			heard, ack := page.emit(event, fmt.Sprintf(`{"room_id":%q,%s}`, theRoom, args))
			if got := string(ack); !strings.Contains(got, `"ok":false`) || !strings.Contains(got, `"code":"conflict"`) {
				t.Errorf("%s: acknowledged %s", event, got)
			}
			if got := find(heard, "error "+theRoom); len(got) != 1 || !strings.Contains(got[0], `"client_message_id":"x"`) {
				t.Errorf("%s: heard %v", event, heard)
			}
		}
		if _, ack := page.emit("configure", fmt.Sprintf(`{"room_id":%q,"title":"a title","client_message_id":"x"}`, theRoom)); !strings.Contains(string(ack), `{"ok":true,"title":"a title"`) {
			t.Errorf("the repeated command: acknowledged %s", ack)
		}
		if got := len(s.Records(theChat)); got != records {
			t.Errorf("%d more records", got-records)
		}
	})
}
