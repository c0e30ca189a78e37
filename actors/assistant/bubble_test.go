package assistant_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// bubbles are the answers that the assistant page shows, as its listeners make them
// (WIRE-ASSISTANT §8): it adds to the bubble that is open, and never takes anything back.
type bubbles struct {
	texts []string
	open  bool // the last one of them, among those of live answers
	last  int
}

func (b *bubbles) take(t *testing.T, arg json.RawMessage) {
	t.Helper()
	var e struct {
		Type, Delta string
		Data        struct{ Content string }
		Response    struct {
			Output []struct{ Type, Status string }
		}
	}
	unmarshal(t, string(arg), &e)
	switch e.Type {
	case "response.text.delta", "response.audio_transcript.delta":
		if !b.open {
			b.open, b.last = true, len(b.texts)
			b.texts = append(b.texts, "")
		}
		b.texts[b.last] += e.Delta
	case "response.audio_transcript.done":
		b.open = false
	case "response.done":
		if out := e.Response.Output; len(out) == 0 || out[0].Type == "message" && out[0].Status == "completed" {
			b.open = false
		}
	case "sbaw.text_message.assistant":
		b.texts = append(b.texts, e.Data.Content)
	}
}

// talk is a chat with a model that speaks, and a page in it.
type talk struct {
	*recoverable
	page *visitor
	bob  *actortest.User
	said []string // whole answers
	now  string   // the running one
	id   chat.MessageID
}

func newTalk(t *testing.T, s *recoverable, dialect string) *talk {
	x := &talk{recoverable: s, bob: s.User("bob")}
	x.bob.Do(theChat, &room.Create{Chat: theChat, ModelID: actortest.ListeningModel})
	x.page = s.visit("alice")
	x.page.joinAs(dialect)
	x.page.shows = new(bubbles)
	return x
}

func (x *talk) line() *actortest.Session {
	all := x.Assistant.Sessions()
	return all[len(all)-1]
}

// ask has the model begin an answer, unless it is giving one.
func (x *talk) ask() {
	if x.id != "" {
		return
	}
	x.bob.Do(theChat, &room.Send{Content: "go on", ModelID: actortest.ListeningModel})
	for _, in := range x.line().Inputs() {
		if ask, ok := in.(chat.Ask); ok {
			x.id = ask.Answer
		}
	}
}

func (x *talk) say(piece string) {
	x.line().Tell(chat.Delta{Answer: x.id, Text: piece})
	x.now += piece
	synctest.Wait()
}

// end ends the answer.
func (x *talk) end(state chat.State) {
	x.line().Tell(chat.Delta{Answer: x.id, Ended: &chat.Ended{State: state}})
	x.said, x.now, x.id = append(x.said, x.now), "", ""
	synctest.Wait()
}

// check compares what the page shows with what was said.
func (x *talk) check(t *testing.T, when string) {
	t.Helper()
	x.page.listen()
	want := slices.DeleteFunc(append(slices.Clone(x.said), x.now), func(text string) bool { return text == "" })
	if diff := cmp.Diff(want, x.page.shows.texts, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s the page shows (-want +got):\n%s\nheard %q", when, diff, x.page.heard)
	}
}

// A page that is cut off in the middle of a live answer goes on in the same bubble, if it
// comes back while the answer runs and when it has ended, in time and too late.
func TestReturnInTheMiddleOfABubble(t *testing.T) {
	for _, dialect := range []string{"spa", ""} {
		for _, away := range []time.Duration{0, time.Hour} {
			for _, ended := range []chat.State{"", chat.StateCompleted, chat.StateStopped} {
				t.Run(fmt.Sprintf("%s %v %s", dialect, away, ended), func(t *testing.T) {
					runRecoverable(t, func(t *testing.T, s *recoverable) {
						x := newTalk(t, s, dialect)
						x.ask()
						x.say("The ans")
						x.check(t, "at first")
						x.page.cut()
						x.say("wer ")
						say(x.bob, theChat, "hm")
						x.say("ist 42, Ä")
						if ended != "" {
							x.end(ended)
						}
						time.Sleep(min(away, 5*time.Minute))
						x.page.connect()
						x.page.rejoin("")
						x.check(t, "back again")
						if x.page.recovered != (away == 0) {
							t.Errorf("recovered %v", x.page.recovered)
						}
						x.ask()
						x.say("and more")
						x.page.cut()
						x.page.connect()
						x.check(t, "back once more")
						x.end(chat.StateCompleted)
						x.ask()
						x.say("Another answer")
						x.check(t, "then")
					})
				})
			}
		}
	}
}

// Wherever the connection ends, also within what is told on coming back, the page shows
// each answer once, in a bubble of its own.
func TestBubblesAreWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dialect := rapid.SampledFrom([]string{"spa", ""}).Draw(rt, "dialect")
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"say", "say", "say", "cut", "cut", "end", "stop", "hm", "back", "back", "late"}), 1, 25).Draw(rt, "steps")
		losses := rapid.SliceOfN(rapid.IntRange(0, 6), len(steps), len(steps)).Draw(rt, "frames that arrive")
		runRecoverable(t, func(t *testing.T, s *recoverable) {
			x := newTalk(t, s, dialect)
			away := false
			late := 0 // in the running answer, whose turn has ten minutes
			for i, step := range steps {
				switch step {
				case "say":
					if x.id == "" {
						late = 0
					}
					x.ask()
					x.say(fmt.Sprintf("piece %d, ", i))
				case "end", "stop":
					if x.now != "" {
						x.end(map[string]chat.State{"end": chat.StateCompleted, "stop": chat.StateStopped}[step])
					}
				case "hm":
					say(x.bob, theChat, "hm")
				case "cut":
					if !away {
						x.page.hearSome(losses[i])
						away = true
					}
				case "late":
					if away && (x.id == "" || late < 3) {
						time.Sleep(3 * time.Minute)
						late++
					}
				case "back":
					if away {
						x.page.dial()
						x.page.hearSome(losses[i])
						x.page.connect()
						x.page.rejoin("")
						away = false
						x.check(t, fmt.Sprintf("%s, after step %d of %v", dialect, i, steps))
					}
				}
			}
			if away {
				x.page.connect()
				x.page.rejoin("")
			}
			x.check(t, fmt.Sprintf("%s, after all of %v", dialect, steps))
		})
	})
}

// hearSome takes in the first n frames that have arrived, and loses the connection.
func (v *visitor) hearSome(n int) {
	v.t.Helper()
	synctest.Wait()
	frames := v.Got()
	for _, frame := range frames[:min(n, len(frames))] {
		if strings.HasPrefix(frame, "42"+prefix) {
			v.hear(strings.TrimPrefix(frame, "42"+prefix))
		} else {
			v.take(frame)
		}
	}
	v.cut()
}
