package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/session"
	"parlor/actors/system"
)

// bubble runs f with sessions of the applications.
func bubble(t *testing.T, recover bool, f func(t *testing.T, s *session.Sessions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seats, err := openSeats(recover)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(seats.Close)
		t.Cleanup(synctest.Wait)
		f(t, session.New(system.New(nil), session.Options{Namespaces: namespaces(seats)}))
	})
}

// A member is a client in /assistant/realtime.
type member struct {
	*actortest.Conn
	t *testing.T
}

func dial(t *testing.T, s *session.Sessions) *member { return &member{actortest.Dial(t, s), t} }

// want checks what the client was sent since the last call.
func (m *member) want(want ...string) {
	m.t.Helper()
	synctest.Wait()
	got := m.Got()
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "42/assistant/realtime,")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Errorf("client got (-want +got):\n%s", diff)
	}
}

// connect joins the namespace and returns what it was confirmed with.
func (m *member) connect(auth string) (confirmation string) {
	m.t.Helper()
	m.Say("0/assistant/realtime," + auth)
	synctest.Wait()
	got := m.Got()
	if len(got) != 1 {
		m.t.Fatalf("got %q, want a confirmation", got)
	}
	return strings.TrimPrefix(got[0], "40/assistant/realtime,")
}

// say sends the JSON of an event, behind an id if there is one.
func (m *member) say(event string) { m.Say("2/assistant/realtime," + event) }

// The application that servers are compared with.
func TestRooms(t *testing.T) {
	bubble(t, false, func(t *testing.T, s *session.Sessions) {
		a, b, outside := dial(t, s), dial(t, s), dial(t, s)
		for _, m := range []*member{a, b, outside} {
			m.connect("")
		}
		for _, m := range []*member{a, b, b} {
			m.say(`["join_room",{"room_id":"r 1"}]`)
			m.want(`["room_joined r 1",{"room_id":"r 1"}]`)
		}
		a.say(`["send_message",{"room_id":"r 1","message":{"id":"m1","text":"hé"}}]`)
		a.say(`["send_message",{"room_id":"r 1","message":{"id":2}}]`)
		a.want(`["message_sent m1",{"success":true}]`, `["message_sent 2",{"success":true}]`)
		b.want(`["receive_message r 1",{"id":"m1","text":"hé"}]`, `["receive_message r 1",{"id":2}]`)
		outside.want()

		a.say(`5["echo",{"a":[1, 2]},null]`)
		a.want(`43/assistant/realtime,5[{"a":[1, 2]},null]`)
		for _, nonsense := range []string{`["join_room"]`, `["join_room",1]`, `["send_message",{}]`, `["send_message",{"message":1}]`, `["ask"]`, `["what"]`} {
			a.say(nonsense)
		}
		a.want()
	})
}

// A client cannot join rooms, or be asked, for ever.
func TestLimits(t *testing.T) {
	bubble(t, false, func(t *testing.T, s *session.Sessions) {
		a := dial(t, s)
		a.connect("")
		for i := range maxRooms + 10 {
			a.say(fmt.Sprintf(`["join_room",{"room_id":"%d"}]`, i))
		}
		synctest.Wait()
		if got := len(a.Got()); got != maxRooms {
			t.Errorf("joined %d rooms, want %d", got, maxRooms)
		}
		b := dial(t, s)
		b.connect("")
		b.say(`["join_room",{"room_id":"` + strings.Repeat("x", maxRoomID+1) + `"}]`)
		b.want()
		for range 2 {
			for range maxQuestions + 10 {
				b.say(`["ask",1000]`)
			}
			synctest.Wait()
			if got := len(b.Got()); got != maxQuestions {
				t.Errorf("asked %d questions, want %d", got, maxQuestions)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			b.Got() // that there was no answer
		}
	})
}

// The server asks in return, and says when it got no answer.
func TestAsk(t *testing.T) {
	bubble(t, false, func(t *testing.T, s *session.Sessions) {
		a := dial(t, s)
		a.connect("")
		a.say(`1["ask",1000,"why?"]`)
		a.want(`1["question","why?"]`)
		a.Say(`3/assistant/realtime,1["because"]`)
		a.want(`43/assistant/realtime,1[null,"because"]`)
		a.say(`2["ask",1000]`)
		a.want(`2["question"]`)
		time.Sleep(time.Second)
		a.want(`43/assistant/realtime,2["` + session.ErrCallTimeout.Error() + `"]`)
	})
}

// A head that is too long is not read, so that many of them take little memory.
func TestLongHeads(t *testing.T) {
	url := start(t)
	for _, test := range []struct{ size, status int }{{maxHeaderBytes / 2, 200}, {3 * maxHeaderBytes, 431}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Long", strings.Repeat("x", test.size))
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("head of %d bytes: got status %d, want %d", test.size, resp.StatusCode, test.status)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--help"}, 0, "--connect-timeout"},
		{[]string{"--what"}, exitUsage, "unknown flag --what"},
		{[]string{"--ping-interval=soon"}, exitUsage, "ping-interval"},
		{[]string{"--ping-timeout=0s"}, exitUsage, "more than 0"},
		{[]string{"--max-payload=-1"}, exitUsage, "more than 0"},
		{[]string{"--listen=nowhere"}, exitFailure, "nowhere"},
	} {
		var out strings.Builder
		if got := run(t.Context(), test.args, &out, &out); got != test.status || !strings.Contains(out.String(), test.says) {
			t.Errorf("%q: status %d, printed %q; want %d, %q", test.args, got, out.String(), test.status, test.says)
		}
	}
	if got := run(t.Context(), []string{"--listen=127.0.0.1:0", "--help"}, io.Discard, io.Discard); got != 0 {
		t.Errorf("status %d", got)
	}
}
