package assistant_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// quota lets each user have some events of each kind.
type quota struct {
	each  int
	seen  map[string]int
	bytes int // of the last event
}

func (q *quota) Take(user chat.UserID, address, event string, bytes int) *chat.Error {
	q.bytes = bytes
	key := fmt.Sprint(user, address, event)
	if q.seen[key]++; q.seen[key] <= q.each {
		return nil
	}
	e := chat.Refuse(chat.CodeRateLimited, "too many requests")
	e.RetryAfter = 7
	return e
}

// An event past a limit is refused with the time to wait, and nothing of it is done.
// Events that cannot be understood count too, all as one kind.
func TestRateLimited(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		limits := &quota{each: 3, seen: map[string]int{}}
		sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: s.Rooms, Limits: limits},
		}})
		c := connect(t, sessions, "alice")
		c.enter()
		for i := range 5 {
			body := fmt.Sprintf(`{"message":{"content":"x","client_message_id":"m%d"}}`, i)
			heard, ack := c.emit("send_message "+theRoom, body)
			if limits.bytes != len(body) {
				t.Errorf("counted %d bytes, want %d", limits.bytes, len(body))
			}
			if i >= 3 {
				if ack != nil {
					t.Errorf("message %d: refused without a pause", i)
				}
				time.Sleep(time.Second)
				heard, ack = c.hearAll()
			}
			refused := strings.Contains(string(ack), `"error":{"code":"rate_limited","message":"too many requests","retry_after":7}`)
			if refused != (i >= 3) {
				t.Errorf("message %d: got %s", i, ack)
			}
			if told := find(heard, "error "+theRoom); refused && (len(told) != 1 || !strings.Contains(told[0], `"retry_after":7`)) {
				t.Errorf("message %d: got %q", i, heard)
			}
		}
		for i := range 5 {
			_, ack := c.emit(fmt.Sprint("nonsense", i), `{}`)
			if i >= 3 {
				time.Sleep(time.Second)
				_, ack = c.hearAll()
			}
			if got := strings.Contains(string(ack), "rate_limited"); got != (i >= 3) {
				t.Errorf("nonsense %d: got %s", i, ack)
			}
		}
		said := 0
		for _, m := range s.Messages(theChat) {
			if m.Role == chat.RoleUser {
				said++
			}
		}
		if said != 3 {
			t.Errorf("%d messages were recorded", said)
		}
		for event := range limits.seen {
			if strings.Contains(event, "nonsense") {
				t.Errorf("the client has chosen a name: %s", event)
			}
		}
	})
}

// A client may not connect as often as it likes either.
func TestConnectsAreLimited(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: s.Rooms, Limits: &quota{each: 2, seen: map[string]int{}}},
		}})
		connect(t, sessions, "alice")
		connect(t, sessions, "alice")
		third := actortest.Dial(t, sessions)
		third.Say(fmt.Sprintf(`0%s{"user_id":"alice"}`, prefix))
		synctest.Wait()
		want := "44" + prefix + `{"message":"too many requests","data":{"code":"rate_limited","retry_after":7}}`
		if got := third.Got(); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %s", got, want)
		}
		connect(t, sessions, "bob")
	})
}

// A user has no more connections than one may, and may have another when one ends.
func TestConnectionsPerUser(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: s.Rooms, MaxDevices: 2},
		}})
		first := connect(t, sessions, "alice")
		connect(t, sessions, "alice")
		third := actortest.Dial(t, sessions)
		ask := func() string {
			third.Say(fmt.Sprintf(`0%s{"user_id":"alice"}`, prefix))
			synctest.Wait()
			return strings.Join(third.Got(), "\n")
		}
		if got := ask(); !strings.HasPrefix(got, "44"+prefix) || !strings.Contains(got, `"code":"busy"`) {
			t.Errorf("a third connection: got %s", got)
		}
		connect(t, sessions, "bob")
		if _, ack := first.emit("presence", `{}`); string(ack) != `{"ok":true,"user_id":"alice","devices":2}` {
			t.Errorf("devices: got %s", ack)
		}
		first.Close("transport close")
		synctest.Wait()
		if got := ask(); !strings.HasPrefix(got, "40"+prefix) {
			t.Errorf("after one has ended: got %s", got)
		}
	})
}
