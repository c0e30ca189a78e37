package room_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// crowd is what a room's listeners should know: who listens, and until when each types.
type crowd struct {
	all    []*actortest.User
	here   map[*actortest.User]bool
	typing map[*actortest.User]time.Time
}

// want says who is there as [actortest.Seen] does.
func (c *crowd) want(doing chat.Doing) string {
	devices, types := map[chat.UserID]int{}, map[chat.UserID]bool{}
	for u := range c.here {
		devices[u.ID]++
		types[u.ID] = types[u.ID] || time.Now().Before(c.typing[u])
	}
	var b strings.Builder
	for _, id := range []chat.UserID{"a", "b", "c"} {
		switch n := devices[id]; {
		case n == 0:
			continue
		case n == 1:
			b.WriteString(string(id))
		default:
			fmt.Fprintf(&b, "%s*%d", id, n)
		}
		if types[id] {
			b.WriteString("…")
		}
		b.WriteString(" ")
	}
	return b.String() + "| " + string(doing)
}

// People come, go and type in any order, and the room fails: in the end every listener
// knows exactly who is there and who types.
func TestPresenceAtRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 40).Draw(rt, "steps")
		actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxRestarts: 100}, func(t *testing.T, s *actortest.Server) {
			s.User("a").Create(theChat)
			s.Log.Fault(panicOn("boom"))
			c := &crowd{here: map[*actortest.User]bool{}, typing: map[*actortest.User]time.Time{}}
			for _, id := range []chat.UserID{"a", "a", "b", "b", "c"} {
				c.all = append(c.all, s.User(id))
			}
			for _, step := range steps {
				c.step(step)
			}
			time.Sleep(room.PresenceEvery)
			synctest.Wait()
			for u := range c.here {
				if got, want := u.Sees(theChat).String(), c.want(chat.DoingNothing); got != want {
					rt.Errorf("%s sees %q, want %q", u.ID, got, want)
				}
			}
		})
	})
}

func (c *crowd) step(n int) {
	u, what := c.all[n%len(c.all)], n/len(c.all)%8
	switch what {
	case 0, 1:
		u.Do(theChat, &room.Join{Encoder: assistant.Documented.String()})
		c.here[u] = true
		delete(c.typing, u)
	case 2:
		u.Do(theChat, &room.Leave{})
		delete(c.here, u)
		delete(c.typing, u)
	case 3, 4:
		if u.Do(theChat, &room.SetTyping{Typing: what == 3}).Err == nil && what == 3 {
			c.typing[u] = time.Now().Add(room.TypingFor)
		} else {
			delete(c.typing, u)
		}
	case 5:
		u.Do(theChat, &room.Send{Content: "x", Quiet: true})
		delete(c.typing, u)
	case 6:
		u.Do(theChat, &room.Send{Content: "boom", Quiet: true})
		delete(c.typing, u)          // it was said, even if it was not recorded
		time.Sleep(10 * time.Second) // until the room is back, at the latest
	case 7:
		time.Sleep(time.Duration(n%5000) * time.Millisecond)
	}
}
