package room_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// chatter is a call in which people and models do anything at any time.
type chatter struct {
	*call
	rand      *rand.Rand
	bob       *actortest.User
	committed map[chat.MessageID]bool
	unheard   map[*actortest.Session][]chat.MessageID
	asked     map[*actortest.Session][]chat.MessageID // answers, the last of which may be wanted
}

// TestSpeechAtRandom checks what holds whatever happens: every turn starts
// once and ends once, everything said is recorded once, and an answer that was
// not stopped stands behind its question.
func TestSpeechAtRandom(t *testing.T) {
	first, sequences := actortest.Seed(t), uint64(300)
	if testing.Short() {
		sequences = 10
	}
	for seed := first; seed < first+sequences; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onCall(t, room.Options{}, func(c *call) {
				x := &chatter{
					call: c, rand: rand.New(rand.NewPCG(seed, 1)), bob: c.User("bob"), committed: make(map[chat.MessageID]bool),
					unheard: make(map[*actortest.Session][]chat.MessageID), asked: make(map[*actortest.Session][]chat.MessageID),
				}
				x.bob.Join(theChat)
				for range 80 {
					x.step()
				}
				x.settle()
				x.check()
			})
		})
	}
}

func (x *chatter) step() {
	who := []*actortest.User{x.alice, x.bob}[x.rand.IntN(2)]
	switch x.rand.IntN(14) {
	case 0, 1:
		who.Do(theChat, &room.AppendAudio{Audio: "AAAA"})
	case 2, 3:
		if taken, ok := who.Do(theChat, &room.CommitAudio{}).Body.(room.Taken); ok {
			x.committed[taken.MessageID] = true
		}
	case 4, 5:
		who.Do(theChat, &room.Respond{})
	case 6:
		models := []chat.ModelID{"", "", actortest.ListeningModel, actortest.OtherListeningModel, actortest.Model}
		who.Do(theChat, &room.Send{Content: "text", Quiet: x.rand.IntN(2) == 0, ModelID: models[x.rand.IntN(len(models))]})
	case 7:
		who.Do(theChat, &room.StopTurn{})
	case 8, 9, 10, 11:
		x.models()
	case 12:
		x.Log.Fault(func(persistence.Commit) error { return persistence.ErrUnavailable })
		x.models()
		x.Log.Fault(nil)
	case 13:
		time.Sleep(time.Duration(x.rand.IntN(8)) * time.Second)
	}
	synctest.Wait()
}

// models has the session that goes on, if there is one, do something.
func (x *chatter) models() {
	all := x.Assistant.Sessions()
	if len(all) == 0 || all[len(all)-1].Over() {
		return
	}
	s := all[len(all)-1]
	for _, in := range s.Inputs() {
		switch in := in.(type) {
		case chat.AudioCommit:
			x.unheard[s] = append(x.unheard[s], in.MessageID)
		case chat.Ask:
			x.asked[s] = append(x.asked[s], in.Answer)
		}
	}
	unheard, asked := x.unheard[s], x.asked[s]
	switch what := x.rand.IntN(8); {
	case what < 3 && len(unheard) > 0:
		x.unheard[s] = unheard[1:]
		s.Tell(chat.Delta{Heard: &chat.Heard{MessageID: unheard[0], Text: "speech"}})
	case what < 5 && len(asked) > 0:
		s.Tell(chat.Delta{Answer: asked[len(asked)-1], Text: "answer "})
	case what < 7 && len(asked) > 0:
		x.asked[s] = asked[:len(asked)-1]
		s.Tell(chat.Delta{Answer: asked[len(asked)-1], Ended: &chat.Ended{State: chat.StateCompleted}})
	case what == 7 && x.rand.IntN(4) == 0:
		s.Fail(errors.New("broken"))
	}
}

// settle lets everything come to its end.
func (x *chatter) settle() {
	for range 400 {
		x.models()
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
	}
	time.Sleep(15 * time.Minute) // past the time of every turn that nobody answers
	synctest.Wait()
}

func (x *chatter) check() {
	x.t.Helper()
	said := make(map[chat.MessageID]uint64)
	open, attempts := make(map[chat.TurnID]bool), make(map[chat.TurnID]int)
	for _, r := range x.Records(theChat) {
		switch e := r.Event.(type) {
		case chat.MessageAdded:
			if said[e.MessageID] > 0 {
				x.t.Errorf("%s was recorded twice", e.MessageID)
			}
			said[e.MessageID] = r.Seq
		case chat.TurnQueued:
			open[e.TurnID] = true
		case chat.TurnStarted:
			attempts[e.TurnID]++
		case chat.TurnEnded:
			if !open[e.TurnID] {
				x.t.Errorf("turn %s ended twice", e.TurnID)
			}
			delete(open, e.TurnID)
			if e.State == chat.StateInterrupted {
				x.t.Errorf("turn %s is interrupted: %s", e.TurnID, e.Reason)
			}
			if byHand := e.State == chat.StateStopped && e.Reason != "barge-in"; !byHand && (said[e.Prompt] == 0 || e.PromptSeq != said[e.Prompt]) {
				x.t.Errorf("turn %s ended %s as record %d, and says that it answers record %d, which is %d", e.TurnID, e.State, r.Seq, e.PromptSeq, said[e.Prompt])
			}
		}
	}
	for id := range open {
		x.t.Errorf("turn %s has not ended", id)
	}
	for id, n := range attempts {
		if n != 1 {
			x.t.Errorf("turn %s was started %d times", id, n)
		}
	}
	for id := range x.committed {
		if said[id] == 0 {
			x.t.Errorf("%s was not recorded", id)
		}
	}
}
