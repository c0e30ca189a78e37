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

// count returns how many events are kept.
func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.kept)
}

// done ends the event that is kept for longest.
func (k *keeper) done() {
	first := k.kept[0]
	k.kept = k.kept[1:]
	first.socket.Tell(first.event)
	synctest.Wait()
}

// The connections of one user share a window, besides a place that each has of its own, and
// none of them may have more than half as many events under way. Another user has another.
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
		if got := len(a.kept); got != 8 {
			t.Errorf("%d events of mallory are under way, want 8", got)
		}
		c := dial(t, s)
		c.Say(`0/chat,{"user":"alice"}`, `2/chat,["a"]`, `2/chat,["b"]`)
		synctest.Wait()
		if got := len(a.kept); got != 10 {
			t.Errorf("with alice's %d events are under way, want 10", got)
		}
		a.kept = a.kept[:8] // without alice's
		done := 0
		for ; len(a.kept) > 0; done++ {
			if a.done(); len(a.kept) > 8 {
				t.Fatalf("%d events are under way, want 8", len(a.kept))
			}
		}
		if done != 12 {
			t.Errorf("%d events of mallory were carried out, want 12", done)
		}
	})
}

// A connection whose client does not read keeps its places, and none of the user's others
// from going on.
func TestUserWindowOfSleepers(t *testing.T) {
	a := newKeeper()
	o := options(&a.app)
	o.UserWindow = 4
	serve(t, o, func(t *testing.T, s *session.Sessions) {
		for range 6 {
			c := dial(t, s)
			c.Say(`0/chat,{"user":"mallory"}`)
			synctest.Wait()
			go c.Say(`2/chat,["1"]`, `2/chat,["2"]`, `2/chat,["3"]`)
		}
		synctest.Wait()
		a.kept = nil
		awake := dial(t, s)
		awake.Say(`0/chat,{"user":"mallory"}`)
		synctest.Wait()
		go awake.Say(`2/chat,["a"]`, `2/chat,["b"]`, `2/chat,["c"]`)
		for n := range 3 {
			synctest.Wait()
			if got := len(a.kept); got != 1 {
				t.Fatalf("%d events are under way behind %d, want 1", got, n)
			}
			a.done()
		}
	})
}

// A connection that ends gives back its places, whether it holds them or waits for one.
func TestUserWindowOutlivesConnections(t *testing.T) {
	for _, end := range []string{"transport close", "breaks the protocol", "leaves the namespace"} {
		a := newKeeper()
		o := options(&a.app)
		o.UserWindow = 4
		serve(t, o, func(t *testing.T, s *session.Sessions) {
			for i := range 10 {
				holds, waits := []*client{dial(t, s), dial(t, s), dial(t, s), dial(t, s)}, dial(t, s)
				for _, c := range append(holds, waits) {
					c.Say(`0/chat,{"user":"mallory"}`)
				}
				synctest.Wait()
				for _, c := range holds {
					c.Say(`2/chat,["its own"]`, `2/chat,["of the share"]`)
				}
				go waits.Say(`2/chat,["its own"]`, `2/chat,["waits"]`)
				synctest.Wait()
				if got := len(a.kept); got != 9 {
					t.Fatalf("round %d: %d events are under way, want 9", i, got)
				}
				waits.Close("transport close")
				for _, c := range holds {
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
				for _, c := range append(holds, waits) {
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
