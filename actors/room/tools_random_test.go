package room_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Models call tools, members decide, stop and steer, and room and server fail, in any
// order. In the end each call has one stated outcome, and none has run more often than
// somebody has said so.
func TestToolsAtRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 40).Draw(rt, "steps")
		actortest.Run(t, room.Options{Access: access.Policy{Shared: true}, MaxRestarts: 1000, MaxAttempts: 1000}, func(t *testing.T, s *actortest.Server) {
			w := &toolWorld{s: s, alice: s.User("alice"), again: map[string]int{}}
			w.alice.Create(theChat)
			w.alice.Join(theChat)
			w.arrange()
			for _, n := range steps {
				w.step(n)
			}
			w.settle(rt)
			w.check(rt)
		})
	})
}

type toolWorld struct {
	s     *actortest.Server
	alice *actortest.User
	n     int
	again map[string]int // how often somebody has said that a call runs once more
}

// arrange says how the tools run and what the assistant calls.
func (w *toolWorld) arrange() {
	w.s.Log.Fault(panicOn("boom"))
	w.s.Tools.Ask("ask", chat.ApprovalAsk)
	w.s.Tools.Ask("always", chat.ApprovalAlways)
	w.s.Tools.Repeat("repeat")
	for name, wait := range map[string]time.Duration{"ask": time.Second, "always": time.Second, "slow": 3 * time.Second, "repeat": 2 * time.Second} {
		w.s.Tools.On(name, func(ctx context.Context) (string, error) {
			select {
			case <-time.After(wait):
				return "next", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
	}
	w.s.Assistant.On("one", actortest.Say("I look.", actortest.CallTools+"slow {}"))
	w.s.Assistant.On("two", actortest.Call("ask {}", "repeat {}", "echo {}", "echo nonsense"))
	w.s.Assistant.On("three", actortest.Call("always {}"))
	w.s.Assistant.On("next", actortest.Say("Done."))
}

func (w *toolWorld) step(n int) {
	w.n++
	switch what, which := n%10, n/10; what {
	case 0, 1, 2:
		w.alice.Tell(theChat, &room.Send{Content: []string{"one", "two", "three"}[which%3]})
	case 3, 4:
		w.decide(which)
	case 5:
		w.alice.Tell(theChat, &room.StopTurn{})
	case 6:
		w.alice.Tell(theChat, &room.Send{Content: "steered", Policy: chat.PolicySteer})
	case 7:
		w.s.Restart()
	case 8:
		w.alice.Tell(theChat, &room.Send{Content: "boom"})
	case 9:
		time.Sleep(time.Duration(which%5) * 700 * time.Millisecond)
	}
	synctest.Wait()
}

// ask sends a command and waits for the reply: a room that has failed is away for a while.
func (w *toolWorld) ask(c room.Command) room.Reply {
	ref := w.alice.Tell(theChat, c)
	for {
		synctest.Wait()
		if reply, ok := w.alice.Reply(ref); ok {
			return reply
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pending returns the calls that wait for a member.
func (w *toolWorld) pending() []chat.Pending {
	joined, _ := w.ask(&room.Join{}).Body.(room.Joined)
	return joined.Pending
}

// decide decides about one of the calls that wait.
func (w *toolWorld) decide(which int) {
	waiting := w.pending()
	if len(waiting) == 0 {
		return
	}
	p := waiting[which%len(waiting)]
	approved := which%3 > 0
	reply := w.ask(&room.Decide{CallID: p.Call.ID, Approved: approved, Always: approved && which%5 == 0, ClientID: chat.ClientID(fmt.Sprint("decision-", w.n))})
	if reply.Err == nil && approved && p.Lost {
		w.again[p.Call.ID]++
	}
}

// settle has everything come to its end.
func (w *toolWorld) settle(rt *rapid.T) {
	for tries := 0; w.open() > 0; tries++ {
		if tries == 100 {
			rt.Fatalf("%d turns do not end", w.open())
		}
		for _, p := range w.pending() {
			w.alice.Tell(theChat, &room.Decide{CallID: p.Call.ID})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	}
}

// open counts the turns that have not ended.
func (w *toolWorld) open() (n int) {
	for _, r := range w.s.Records(theChat) {
		switch r.Event.(type) {
		case chat.TurnQueued:
			n++
		case chat.TurnEnded:
			n--
		}
	}
	return n
}

func (w *toolWorld) check(rt *rapid.T) {
	ran := make(map[string]int)
	for _, key := range w.s.Tools.Keys() {
		ran[key]++
	}
	called, repeatable, ended := []string(nil), map[string]bool{}, map[string]int{}
	for _, r := range w.s.Records(theChat) {
		switch e := r.Event.(type) {
		case chat.ToolsCalled:
			for _, c := range e.Calls {
				called, repeatable[c.ID] = append(called, c.ID), c.Name == "repeat"
			}
		case chat.ToolEnded:
			ended[e.CallID]++
		}
	}
	for _, id := range called {
		if ended[id] != 1 {
			rt.Errorf("call %s has ended %d times", id, ended[id])
		}
		if most := 1 + w.again[id]; ran[id] > most && !repeatable[id] {
			rt.Errorf("call %s has run %d times, and may have %d times", id, ran[id], most)
		}
		delete(ran, id)
	}
	if len(ran) > 0 {
		rt.Errorf("calls ran that are not recorded: %v", ran)
	}
	if slices.ContainsFunc(contents(w.s), func(s string) bool { return strings.Contains(s, "\n\n\n") }) {
		rt.Errorf("the words of steps are joined twice: %q", contents(w.s))
	}
}
