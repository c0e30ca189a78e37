package room_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A repeatable is a command with an idempotency key, which make makes anew. The
// others have the same key and are other commands.
type repeatable struct {
	name   string
	make   func() room.Command
	others []room.Command
}

const once chat.ClientID = "once"

// repeatables returns one command of each kind, in a chat in which a turn runs, and the
// message said was answered before by the answer.
func repeatables(said, answer chat.MessageID) []repeatable {
	title := func(t string) chat.Changes { return chat.Changes{Title: &t} }
	send := &room.Send{Content: "something else", ClientID: once, Quiet: true}
	return []repeatable{
		{"regenerate", func() room.Command { return &room.Regenerate{Answer: answer, ClientID: once} }, []room.Command{
			&room.Regenerate{Answer: said, ClientID: once}, &room.StopTurn{ClientID: once}, send,
			&room.Regenerate{Answer: answer, ModelID: actortest.OtherModel, ClientID: once},
		}},
		{"stop", func() room.Command { return &room.StopTurn{ClientID: once} }, []room.Command{
			&room.StopTurn{TurnID: "another turn", ClientID: once}, &room.StopTurn{Reason: "enough", ClientID: once},
			&room.Configure{Changes: title("a title"), ClientID: once}, send,
		}},
		{"configure", func() room.Command { return &room.Configure{Changes: title("a title"), ClientID: once} }, []room.Command{
			&room.Configure{Changes: title("another title"), ClientID: once},
			&room.Regenerate{Answer: answer, ClientID: once}, send,
		}},
		{"respond", func() room.Command { return &room.Respond{ClientID: once} }, []room.Command{
			&room.Regenerate{Answer: answer, ClientID: once}, send,
		}},
		{"send", func() room.Command { return &room.Send{Content: "hello", ClientID: once, Quiet: true} }, []room.Command{
			send, &room.Edit{Replaces: said, Content: "hello", ClientID: once}, &room.StopTurn{ClientID: once},
		}},
		{"edit", func() room.Command { return &room.Edit{Replaces: said, Content: "hello", ClientID: once} }, []room.Command{
			&room.Edit{Replaces: said, Content: "other", ClientID: once}, &room.Send{Content: "hello", ClientID: once}, &room.Respond{ClientID: once},
		}},
	}
}

// A command that comes again gets the reply of the first one, and nothing more is
// recorded: while the first one waits for the disk, afterwards, and after a restart. The
// same id with anything else is refused, and so it is not with another user's id.
func TestRepeatedCommands(t *testing.T) {
	for i := range repeatables("", "") {
		t.Run(repeatables("", "")[i].name, func(t *testing.T) {
			actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
				alice, tab := s.User("alice"), s.User("alice")
				alice.Create(theChat)
				said := alice.Send(theChat, "one").MessageID
				s.Assistant.On("wait", actortest.Hang("so far"))
				alice.Send(theChat, "wait")
				command := repeatables(said, answerTo(s, theChat, said))[i]

				release := s.Log.Hold()
				first, second, other := alice.Tell(theChat, command.make()), tab.Tell(theChat, command.make()), tab.Tell(theChat, command.others[0])
				synctest.Wait()
				if reply, ok := tab.Reply(other); !ok || reply.Err == nil || reply.Err.Code != chat.CodeConflict {
					t.Errorf("another command meanwhile: %+v", reply)
				}
				release()
				synctest.Wait()
				want, _ := alice.Reply(first)
				if want.Err != nil {
					t.Fatal(want.Err)
				}
				again := func(when string, got room.Reply) {
					t.Helper()
					if diff := cmp.Diff(want.Body, got.Body); diff != "" || got.Err != nil {
						t.Errorf("%s: %v, reply (-first +this):\n%s", when, got.Err, diff)
					}
				}
				meanwhile, _ := tab.Reply(second)
				again("meanwhile", meanwhile)
				check := func(when string) {
					t.Helper()
					before := len(s.Records(theChat))
					again(when, tab.Do(theChat, command.make()))
					for _, other := range command.others {
						if got := tab.Refused(theChat, other); got != chat.CodeConflict {
							t.Errorf("%s, %T: got %s, want %s", when, other, got, chat.CodeConflict)
						}
					}
					if n := len(s.Records(theChat)); n != before {
						t.Errorf("%s: %d more records", when, n-before)
					}
				}
				check("afterwards")
				s.Restart()
				alice.Do(theChat, &room.StopTurn{}) // and what restarted because of that
				check("after a restart")
			})
		})
	}
}

// A repeated stop that found nothing to stop stops nothing that began since.
func TestRepeatedEmptyStop(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		stop := func(id chat.ClientID) chat.TurnID {
			t.Helper()
			return alice.Do(theChat, &room.StopTurn{ClientID: id}).Body.(room.Stopped).TurnID
		}
		s.Assistant.On("wait", actortest.Hang("so far"))
		for i := range 80 { // more than are remembered
			if id := stop(chat.ClientID(fmt.Sprint(i))); id != "" {
				t.Fatalf("stopped %s", id)
			}
		}
		alice.Send(theChat, "wait")
		if got := alice.Refused(theChat, &room.Send{Content: "other", ClientID: "79"}); got != chat.CodeConflict {
			t.Errorf("got %s, want %s", got, chat.CodeConflict)
		}
		if id := stop("79"); id != "" || len(ends(t, s)) != 0 {
			t.Errorf("stopped %s", id)
		}
		if id := stop("80"); id == "" {
			t.Error("a new stop stopped nothing")
		}
	})
}

// The repetition of a message that took the place of another one is known as that, whatever
// the policy is by then.
func TestRollbackRepeatedAfterPolicyChange(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		p := chat.PolicyRollback
		alice.Do(theChat, &room.Configure{Changes: chat.Changes{Policy: &p}})
		s.Assistant.On("one", actortest.Hang())
		alice.Send(theChat, "one")
		synctest.Wait()
		first := alice.Do(theChat, &room.Send{Content: "two", ClientID: "x"})
		p = chat.PolicyQueue
		alice.Do(theChat, &room.Configure{Changes: chat.Changes{Policy: &p}})
		again := alice.Do(theChat, &room.Send{Content: "two", ClientID: "x"})
		if again.Err != nil || again.Body != first.Body {
			t.Errorf("%+v, %+v", first, again)
		}
	})
}
