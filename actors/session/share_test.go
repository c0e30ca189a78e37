package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"parlor/actors/session"
)

// A keeper is an app whose events are done when the test says so. Who connects is named
// by the payload.
type keeper struct {
	app
	kept []kept // by the handlers, in their order
}

type kept struct {
	socket *session.Socket
	event  *session.Event
}

func newKeeper() *keeper {
	k := new(keeper)
	k.connect = func(s *session.Socket, auth json.RawMessage) *session.Refusal {
		s.BelongTo(string(auth))
		return nil
	}
	k.event = func(s *session.Socket, e *session.Event) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kept = append(k.kept, kept{s, e})
	}
	k.deliver = func(_ *session.Socket, v any) { v.(*session.Event).Done() }
	return k
}

// done ends the event that is kept for longest.
func (k *keeper) done() {
	first := k.kept[0]
	k.kept = k.kept[1:]
	first.socket.Tell(first.event)
	synctest.Wait()
}

// The connections of one user share a window, and none of them may have more than half of
// it. Another user has another.
func TestUserWindow(t *testing.T) {
	a := newKeeper()
	o := options(&a.app)
	o.UserWindow = 4
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		for range 4 {
			c := dial(t, s)
			c.Say(`0/chat,{"user":"mallory"}`)
			synctest.Wait()
			go c.Say(`2/chat,["1"]`, `2/chat,["2"]`, `2/chat,["3"]`)
			synctest.Wait()
		}
		if got := len(a.kept); got != 4 {
			t.Errorf("%d events of mallory are under way, want 4", got)
		}
		c := dial(t, s)
		c.Say(`0/chat,{"user":"alice"}`, `2/chat,["a"]`, `2/chat,["b"]`)
		synctest.Wait()
		if got := len(a.kept); got != 6 {
			t.Errorf("with alice's %d events are under way, want 6", got)
		}
		a.kept = a.kept[:4] // without alice's
		for range 12 - 4 {  // each that is done lets one more in
			a.done()
			if got := len(a.kept); got != 4 {
				t.Fatalf("%d events are under way, want 4", got)
			}
		}
	})
}

// A connection that ends gives back its places, whether it holds them or waits for one.
func TestUserWindowOutlivesConnections(t *testing.T) {
	for _, end := range []string{"transport close", "breaks the protocol", "leaves the namespace"} {
		a := newKeeper()
		o := options(&a.app)
		o.UserWindow = 2
		serve(t, o, func(t *testing.T, s *session.Sessions) {
			for i := range 10 {
				holds, waits := dial(t, s), dial(t, s)
				holds.Say(`0/chat,{"user":"mallory"}`)
				waits.Say(`0/chat,{"user":"mallory"}`)
				third := dial(t, s)
				third.Say(`0/chat,{"user":"mallory"}`)
				synctest.Wait()
				holds.Say(`2/chat,["1"]`)
				third.Say(`2/chat,["2"]`)
				go waits.Say(`2/chat,["3"]`)
				synctest.Wait()
				if got := len(a.kept); got != 2 {
					t.Fatalf("round %d: %d events are under way, want 2", i, got)
				}
				waits.Close("transport close")
				for _, c := range []*client{holds, third} {
					switch {
					case strings.HasPrefix(end, "transport"):
						c.Close(end)
					case strings.HasPrefix(end, "breaks"):
						go c.Say("nonsense")
					default:
						go c.Say(`1/chat,`)
					}
				}
				synctest.Wait()
				a.kept = nil
				for _, c := range []*client{holds, third, waits} {
					c.Close("transport close")
				}
				synctest.Wait()
				a.kept = nil
			}
			c := dial(t, s)
			c.Say(`0/chat,{"user":"mallory"}`, `2/chat,["at last"]`)
			synctest.Wait()
			if got := fmt.Sprint(len(a.kept)); got != "1" {
				t.Errorf("%s events are under way", got)
			}
		})
	}
}
