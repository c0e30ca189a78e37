package assistant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
)

// rejoin does what the page does behind each connection: it joins without naming a room
// (WIRE-ASSISTANT §9.2).
func (v *visitor) rejoin(more string) {
	v.t.Helper()
	for _, event := range []string{
		fmt.Sprintf(`"find_chat",{"chat_id":%q}`, theChat), fmt.Sprintf(`"create_room",{"chat_id":%q,"model_id":"model"}`, theChat),
		fmt.Sprintf(`"join_room",{%s}`, more),
	} {
		v.Say(fmt.Sprintf(`2%s[%s]`, prefix, event))
		v.listen()
	}
}

// inChat returns what the page was shown in the chat.
func inChat(v *visitor) (shown []string) {
	for _, h := range v.heard {
		if text, ok := strings.CutPrefix(h, "receive_message A "); ok || strings.HasPrefix(h, "message_sent ") {
			shown = append(shown, text)
		}
	}
	return shown
}

// A page that was away for too long begins anew, and when it has joined again is told
// what followed, once: the answer that its spinner waits for, what others said, and that
// its own message was taken. From there on it can come back as before.
func TestReturnAfterTheWindow(t *testing.T) {
	for name, gone := range map[string]func(s *recoverable){
		"expired": func(*recoverable) { time.Sleep(2*time.Minute + time.Second) },
		"swept":   func(*recoverable) { time.Sleep(100 * time.Hour) },
		"swept, and the server has crashed": func(s *recoverable) {
			time.Sleep(time.Hour)
			s.crash()
		},
	} {
		t.Run(name, func(t *testing.T) {
			runRecoverable(t, func(t *testing.T, s *recoverable) {
				s.Assistant.On("mine", actortest.Slowly(time.Second, "the ", "answer"))
				bob := s.User("bob")
				bob.Create(theChat)
				say(bob, theChat, "before")
				page := s.visit("alice")
				page.joinAs("")
				page.Say(fmt.Sprintf(`2%s["send_message",%s]`, prefix, sbawText("17", "16", "mine")))
				page.cut()
				time.Sleep(time.Minute)
				say(bob, theChat, "after")
				gone(s)
				page.heard = nil
				page.connect()
				if page.recovered {
					t.Fatal("recovered")
				}
				page.rejoin("")
				want := []string{"message_sent 17", "message_sent A", "the answer", "after"}
				if got := inChat(page); !slices.Equal(got, want) {
					t.Errorf("shown %q, want %q", got, want)
				}
				if i := slices.Index(page.heard, "room_joined A"); i < 0 || slices.Index(page.heard, "message_sent 17") < i {
					t.Errorf("heard %q", page.heard)
				}
				page.rejoin("")
				say(bob, theChat, "later")
				page.cut()
				say(bob, theChat, "meanwhile")
				page.connect()
				page.rejoin("")
				if got := inChat(page); !page.recovered || !slices.Equal(got, append(want, "later", "meanwhile")) {
					t.Errorf("recovered %v, shown %q", page.recovered, got)
				}
			})
		})
	}
}

// A client that names the room has read its history, and one of the documented dialect says
// where it was.
func TestNotToldWhatFollowed(t *testing.T) {
	for _, more := range []string{fmt.Sprintf(`"room_id":%q`, theRoom), `"dialect":"documented"`} {
		runRecoverable(t, func(t *testing.T, s *recoverable) {
			bob := s.User("bob")
			bob.Create(theChat)
			page := s.visit("alice")
			page.joinAs("")
			page.cut()
			say(bob, theChat, "after")
			time.Sleep(time.Hour)
			page.heard = nil
			page.connect()
			page.rejoin(more)
			page.rejoin("")
			if got := strings.Join(page.heard, "\n"); strings.Contains(got, "after") {
				t.Errorf("with %s heard %s", more, got)
			}
		})
	}
}

// Of more than the server sends at once a page is told the newest messages, whether or
// not its window is over. So it is in a chat that was made anew under the same id:
// nothing, since its place was in another one.
func TestReturnToTooMuch(t *testing.T) {
	for _, away := range []time.Duration{time.Second, time.Hour} {
		runRecoverable(t, func(t *testing.T, s *recoverable) {
			bob := s.User("bob")
			bob.Create(theChat)
			page := s.visit("alice")
			page.joinAs("")
			page.cut()
			long := strings.Repeat("long ", 1000)
			for range 40 {
				say(bob, theChat, long)
			}
			bob.Send(theChat, "the last")
			time.Sleep(away)
			page.heard = nil
			page.connect()
			page.rejoin("")
			got := inChat(page)
			if n := len(got); page.recovered || n < 10 || n > 40 || got[n-1] != "You said: the last" || got[n-2] != "the last" || got[n-3] != long {
				t.Errorf("recovered %v, shown %d, the last %.20q", page.recovered, n, got[max(0, n-3):])
			}
			say(bob, theChat, "live")
			page.listen()
			if again := inChat(page); !slices.Equal(again, append(got, "live")) {
				t.Errorf("shown %d more", len(again)-len(got))
			}
			page.cut()
			time.Sleep(time.Hour)
			bob.Do(theChat, &room.Delete{})
			bob.Create(theChat)
			say(bob, theChat, "in another chat")
			page.heard = nil
			page.connect()
			page.rejoin("")
			if got := inChat(page); len(got) > 0 {
				t.Errorf("shown %q", got)
			}
		})
	}
}
