package assistant_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
)

// Without a valid credential there is no entry, whatever the client claims.
func TestConnectNeedsAUser(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, _ *actortest.Server, sessions *session.Sessions) {
		for _, auth := range []string{"", `{}`, `{"user_id":5}`} {
			c := actortest.Dial(t, sessions)
			c.Say("0" + prefix + auth)
			synctest.Wait()
			want := fmt.Sprintf("%q", []string{
				"44" + prefix + `{"message":"say who you are","data":{"code":"unauthenticated"}}`,
			})
			if got := fmt.Sprintf("%q", c.Got()); got != want {
				t.Errorf("auth %s: got %s, want %s", auth, got, want)
			}
		}
	})
}

// A client that is gone is no member any more, however it went, and whether or
// not it had heard that it was one: the room leaves memory.
func TestDisconnectLeavesRooms(t *testing.T) {
	const idle = time.Minute
	join := fmt.Sprintf(`2%s["join_room",{"room_id":%q}]`, prefix, theRoom)
	for _, test := range []struct {
		name string
		do   func(c *client)
	}{
		{"closed", func(c *client) { c.Close("transport close") }},
		{"client disconnects", func(c *client) { c.Say("1" + strings.TrimSuffix(prefix, ",") + ",") }},
		{"breaks the protocol", func(c *client) { c.Say("nonsense") }},
		{"leaves the room", func(c *client) { c.emit("leave_room", fmt.Sprintf(`{"room_id":%q}`, theRoom)) }},
		{"joined on the way out", func(c *client) {
			c.Say(join)
			c.Close("transport close")
		}},
		{"leaves and joins on the way out", func(c *client) {
			c.Say(strings.Replace(join, "join_room", "leave_room", 1), join)
			c.Close("transport close")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, room.Options{IdleTimeout: idle}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
				c := connect(t, sessions, "alice")
				c.enter()
				if strings.Contains(test.name, "on the way out") {
					c.emit("leave_room", fmt.Sprintf(`{"room_id":%q}`, theRoom))
				}
				before := s.Log.Loads(theRoom)
				test.do(c)
				time.Sleep(2 * idle)
				connect(t, sessions, "alice").enter()
				if got := s.Log.Loads(theRoom) - before; got != 1 {
					t.Errorf("the room was read %d times, want 1: it stayed in memory", got)
				}
			})
		})
	}
}

// Events that wait for a room when the client leaves the namespace are done
// with: it can come back and have as many of them again.
func TestDisconnectFreesTheWindow(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		const rounds, each = 3, 100 // the window has 128 places
		c := connect(t, sessions, "alice")
		c.enter()
		release := s.Log.Hold()
		for range rounds {
			for range each {
				c.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, realtimeText("1", "1", "hi")))
			}
			c.Say("1"+prefix, "0"+prefix+`{"user_id":"alice"}`)
		}
		release()
		synctest.Wait()
		if got := len(s.Messages(theChat)); got != rounds*each {
			t.Errorf("got %d messages, want %d", got, rounds*each)
		}
		if got := strings.Join(c.Got(), "\n"); strings.Contains(got, "message_sent") {
			t.Errorf("another socket heard\n%s", got)
		}
	})
}

// An event that is answered leaves its place in the window, whatever it was.
func TestAnsweredEventsFreeTheWindow(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, _ *actortest.Server, sessions *session.Sessions) {
		c := connect(t, sessions, "alice")
		const rounds = 130 // the window has 128 places
		for range rounds {
			c.enter()
			inRoom := fmt.Sprintf(`{"room_id":%q}`, theRoom)
			c.emit("find_chat", `{"chat_id":"the-chat"}`)
			c.emit("history", inRoom)
			c.emit("stop", inRoom)
			c.emit("event", stopEvent("7"))
			c.emit("event", strings.Replace(stopEvent("7"), "stop_processing", "update_session", 1))
			if _, ack := c.emit("leave_room", inRoom); !strings.HasPrefix(string(ack), `{"ok":true,`) {
				t.Fatalf("left with %s", ack)
			}
		}
	})
}

// A room may answer twice, if it fails on a command that it has done already.
// The client is told the first answer.
func TestSecondAnswerIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(synctest.Wait)
		c := connect(t, serveRooms(new(stutterer)), "alice")
		heard, ack := c.emit("event", stopEvent("7"))
		if got := names(heard); len(got) != 1 || got[0] != "event_received 7" || !strings.HasPrefix(string(ack), `{"ok":true,`) {
			t.Errorf("heard %v, acknowledged with %s", heard, ack)
		}
	})
}

// stutterer are rooms that answer twice.
type stutterer struct {
	assistant.Rooms
	to room.Recipient
}

func (s *stutterer) Open(to room.Recipient) room.Address {
	s.to = to
	return room.Address{ID: 1}
}

func (s *stutterer) Forget(room.Address) {}

func (s *stutterer) Tell(_ chat.RoomID, m room.Message) {
	c := m.(*room.StopTurn).Caller
	s.to.Deliver(room.Reply{Ref: c.Ref, Body: room.Stopped{}})
	s.to.Deliver(room.Reply{Ref: c.Ref, Err: chat.Refuse(chat.CodeInternal, "failed")})
}

// Events of one socket are handled in their order: a client need not wait for
// an answer before it goes on.
func TestPipelining(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, _ *actortest.Server, sessions *session.Sessions) {
		c := connect(t, sessions, "alice")
		c.enter()
		for i := range 5 {
			c.Say(fmt.Sprintf(`2%s["send_message",{"room_id":%q,"message":{"content":"%d","client_message_id":"%[3]d"}}]`, prefix, theRoom, i))
		}
		c.Say(fmt.Sprintf(`2%s["leave_room",{"room_id":%q}]`, prefix, theRoom))
		heard, _ := c.hearAll()
		var sent []string
		for _, arg := range find(heard, "message_sent "+theRoom) {
			var ack struct {
				Client string `json:"client_message_id"`
			}
			unmarshal(t, arg, &ack)
			sent = append(sent, ack.Client)
		}
		if got := strings.Join(sent, ""); got != "01234" {
			t.Errorf("acknowledged in the order %s", got)
		}
	})
}

// A member of the same room on the same connection, who joins again in another
// dialect, hears everything once.
func TestJoinAgainChangesTheDialect(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		c, other := connect(t, sessions, "alice"), connect(t, sessions, "alice")
		other.enter()
		for dialect, want := range map[string][2]int{`"documented"`: {1, 0}, `"spa"`: {0, 1}, `""`: {1, 1}} {
			c.emit("join_room", fmt.Sprintf(`{"room_id":%q,"dialect":%s}`, theRoom, dialect))
			other.emit("send_message", realtimeText("1", "1", "hello"))
			heard, _ := c.hear()
			got := [2]int{len(find(heard, "message "+theRoom)), len(find(heard, "receive_message "+theRoom))}
			if got != want {
				t.Errorf("dialect %s: heard %d, want %d of the documented one and of the SPA's", dialect, got, want)
			}
		}
	})
}

// Members of a chat that is deleted are told so, and may make it anew.
func TestDeleted(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		c := connect(t, sessions, "alice")
		c.enter()
		if err := s.Rooms.Delete(t.Context(), s.User("alice").User, theChat); err != nil {
			t.Fatal(err)
		}
		heard, _ := c.hearAll()
		if got := find(heard, "error "+theRoom); len(got) != 1 || !strings.Contains(got[0], `"code":"not_found"`) {
			t.Errorf("heard %v", heard)
		}
		c.enter()
		wantOrder(t, first(c.emit("send_message", sbawText("1", "1", "hello"))), "message_sent 1", "receive_message "+theRoom)
	})
}

// An answer that was interrupted, or is not liked, can be had again: for the
// same message, which everything before it is the context of.
func TestRegenerate(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		for _, text := range []string{"one", "two", "three"} {
			page.emit("send_message", fmt.Sprintf(`{"room_id":%q,"message":%q}`, theRoom, text))
		}
		second := s.Messages(theChat)[3]
		if second.Content != "You said: two" {
			t.Fatalf("the second answer is %+v", second)
		}
		s.Assistant.On("two", actortest.Say("better"))
		heard, ack := page.emit("regenerate "+theRoom, fmt.Sprintf(`{"message_id":%q}`, second.ID))
		wantOrder(t, heard, "turn "+theRoom, "stream_start "+theRoom, "stream_end "+theRoom)
		var answer struct {
			OK     bool        `json:"ok"`
			TurnID chat.TurnID `json:"turn_id"`
		}
		if err := json.Unmarshal(ack, &answer); err != nil || !answer.OK || answer.TurnID == "" {
			t.Errorf("acknowledgement %s, %v", ack, err)
		}
		messages := s.Messages(theChat)
		if last := messages[len(messages)-1]; last.Content != "better" || last.ModelID != second.ModelID {
			t.Errorf("last message %+v", last)
		}
		prompts := s.Assistant.Prompts()
		var context []string
		for _, m := range prompts[len(prompts)-1].Messages[1:] {
			context = append(context, m.Content)
		}
		if got := strings.Join(context, ", "); got != "one, You said: one, two" {
			t.Errorf("prompt %s", got)
		}
		for _, id := range []chat.MessageID{messages[0].ID, "nothing", second.ID + "x"} {
			if _, ack := page.emit("regenerate "+theRoom, fmt.Sprintf(`{"message_id":%q}`, id)); !strings.Contains(string(ack), "not_found") {
				t.Errorf("regenerate %s: %s", id, ack)
			}
		}
		if _, ack := connect(t, sessions, "mallory").emit("regenerate "+theRoom, fmt.Sprintf(`{"message_id":%q}`, second.ID)); !strings.Contains(string(ack), "not_found") {
			t.Errorf("another user: %s", ack)
		}
	})
}
