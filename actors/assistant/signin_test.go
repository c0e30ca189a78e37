package assistant_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// doorman takes tokens of the form "alice 60s": a user, and how long it is good. That of
// "alice-reads 60s" may only read.
type doorman struct {
	mu      sync.Mutex
	watched map[*func()]string // who is connected, by the end of their watches
}

func (d *doorman) Token(_, token string) (chat.SignIn, error) {
	user, ttl, _ := strings.Cut(token, " ")
	left, err := time.ParseDuration(ttl)
	if err != nil {
		return chat.SignIn{}, chat.Refuse(chat.CodeUnauthenticated, "not a good token")
	}
	user, readOnly := strings.CutSuffix(user, "-reads")
	return chat.SignIn{User: chat.User{ID: chat.UserID(user)}, Expires: time.Now().Add(left), ReadOnly: readOnly}, nil
}

func (d *doorman) Socket(remote string, _ http.Header, auth json.RawMessage) (chat.SignIn, error) {
	var payload struct{ Token string }
	_ = json.Unmarshal(auth, &payload)
	return d.Token(remote, payload.Token)
}

func (d *doorman) Watch(in chat.SignIn, ended func()) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched[&ended] = string(in.ID)
	timer := time.AfterFunc(time.Until(in.Expires), ended)
	return func() {
		timer.Stop()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watched, &ended)
	}
}

func (d *doorman) watches() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.watched)
}

func runWithTokens(t *testing.T, f func(t *testing.T, d *doorman, connect func(token string) *client)) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		d := &doorman{watched: make(map[*func()]string)}
		sessions := session.New(system.New(nil), session.Options{
			Namespaces: map[string]session.Namespace{wire.Namespace: &assistant.Namespace{Auth: d, Rooms: s.Rooms}},
		})
		f(t, d, func(token string) *client {
			c := &client{Conn: actortest.Dial(t, sessions), t: t}
			c.Say(fmt.Sprintf(`0%s{"token":%q}`, prefix, token))
			synctest.Wait()
			if got := c.Got(); len(got) != 1 || !strings.HasPrefix(got[0], "40"+prefix) {
				t.Fatalf("connect: got %q", got)
			}
			return c
		})
	})
}

const closedLine = "closed: forced close"

// A connection whose token expires is closed, without a DISCONNECT, which would keep an
// official client away.
func TestConnectionEndsWithItsToken(t *testing.T) {
	runWithTokens(t, func(t *testing.T, d *doorman, connect func(string) *client) {
		c, other := connect("alice 60s"), connect("alice 120s")
		c.enter()
		time.Sleep(59 * time.Second)
		if got := c.Got(); slices.Contains(got, closedLine) {
			t.Errorf("within its time: got %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := c.Got(); !slices.Equal(got, []string{closedLine}) {
			t.Errorf("at the end: got %q, want %q alone", got, closedLine)
		}
		if got := other.Got(); len(got) != 0 || d.watches() != 1 {
			t.Errorf("another connection got %q; %d are watched, want 1", got, d.watches())
		}
	})
}

// A new token keeps the connection with all that is on it.
func TestTokenIsRenewedInPlace(t *testing.T) {
	runWithTokens(t, func(t *testing.T, d *doorman, connect func(string) *client) {
		c, other := connect("alice 60s"), connect("alice 10h")
		c.enter()
		other.enter()
		var heard []string
		for i := range 10 {
			time.Sleep(50 * time.Second)
			events, ack := c.emit("auth", `{"token":"alice 60s"}`)
			want := fmt.Sprintf(`{"ok":true,"expires_at":%q}`, chat.Timestamp(time.Now().Add(time.Minute)))
			if string(ack) != want {
				t.Fatalf("acknowledged with %s, want %s", ack, want)
			}
			other.emit("send_message", fmt.Sprintf(`{"room_id":%q,"message":"number %d"}`, theRoom, i))
			more, _ := c.hearAll()
			for _, e := range append(events, more...) {
				if e.name == "message "+theRoom && strings.Contains(string(e.arg), "number ") && strings.Contains(string(e.arg), `"role":"user"`) {
					heard = append(heard, string(e.arg))
				}
			}
			if len(heard) != i+1 {
				t.Fatalf("after %d messages: heard %q", i+1, heard)
			}
		}
		if d.watches() != 2 {
			t.Errorf("%d watches, want one for each connection", d.watches())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := c.Got(); len(got) == 0 || got[len(got)-1] != closedLine {
			t.Errorf("after the last: got %q", got)
		}
	})
}

// A token that is refused changes nothing: the old one goes on until its own end.
func TestBadTokenRenewsNothing(t *testing.T) {
	runWithTokens(t, func(t *testing.T, _ *doorman, connect func(string) *client) {
		c := connect("alice 60s")
		for args, code := range map[string]chat.Code{
			`{"token":"nonsense"}`: chat.CodeUnauthenticated, `{"token":"mallory 10h"}`: chat.CodeForbidden,
			`{}`: chat.CodeInvalid, `{"token":7}`: chat.CodeInvalid, ``: chat.CodeInvalid,
		} {
			if _, ack := c.emit("auth", args); !strings.Contains(string(ack), `"code":"`+string(code)+`"`) {
				t.Errorf("%s: got %s, want %s", args, ack, code)
			}
		}
		time.Sleep(59 * time.Second)
		if events, _ := c.hearAll(); len(events) != 0 {
			t.Errorf("before its end: heard %v", events)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := c.Got(); !slices.Equal(got, []string{closedLine}) {
			t.Errorf("at its end: got %q", got)
		}
	})
}

// A client that may only read is refused every change, and nothing else.
func TestReadOnly(t *testing.T) {
	runWithTokens(t, func(t *testing.T, _ *doorman, connect func(string) *client) {
		connect("alice 1h").enter()
		c := connect("alice-reads 1h")
		for _, event := range []string{"find_chat", "join_room", "history", "members", "presence", "usage", "leave_room"} {
			args := fmt.Sprintf(`{"room_id":%q,"chat_id":%q}`, theRoom, theChat)
			if _, ack := c.emit(event, args); !strings.HasPrefix(string(ack), `{"ok":true`) {
				t.Errorf("%s: got %s", event, ack)
			}
		}
		for _, event := range []string{"create_room", "send_message", "stop", "regenerate", "edit", "configure", "typing", "event"} {
			args := fmt.Sprintf(`{"room_id":%q,"chat_id":%q,"message":"hi","message_id":"m","content":"hi","title":"t","typing":true,"event":{"type":"sbaw.assistant.stop_processing","id":"1"}}`, theRoom, theChat)
			if _, ack := c.emit(event, args); !strings.Contains(string(ack), `"code":"forbidden"`) {
				t.Errorf("%s: got %s", event, ack)
			}
		}
		if _, ack := c.emit("auth", `{"token":"alice 1h"}`); !strings.HasPrefix(string(ack), `{"ok":true`) {
			t.Errorf("a token that may do more: got %s", ack)
		}
		if _, ack := c.emit("configure", fmt.Sprintf(`{"room_id":%q,"title":"t"}`, theRoom)); !strings.HasPrefix(string(ack), `{"ok":true`) {
			t.Errorf("with that: got %s", ack)
		}
	})
}
