package room_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

func TestCreateIsIdempotent(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		first := alice.Create(theChat)
		if first.Room != theChat.Room() || first.Owner != "alice" || first.ModelID != actortest.Model || first.Epoch == "" {
			t.Errorf("created %+v", first)
		}
		again := alice.Do(theChat, &room.Create{Chat: theChat, ModelID: "no such model"})
		if diff := cmp.Diff(any(room.Created{Chat: first}), again.Body); diff != "" {
			t.Errorf("created again (-first +again):\n%s", diff)
		}
		if n := len(s.Records(theChat)); n != 1 {
			t.Errorf("got %d records, want 1", n)
		}
	})
}

func TestCreateWhileItIsBeingCreated(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab, bob := s.User("alice"), s.User("alice"), s.User("bob")
		release := s.Log.Hold()
		create := func(u *actortest.User) uint64 {
			return u.Tell(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model})
		}
		refs := []uint64{create(alice), create(tab)}
		if got := bob.Refused(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model}); got != chat.CodeNotFound {
			t.Errorf("another user's create: got %s, want %s", got, chat.CodeNotFound)
		}
		// Nobody is let in before the chat exists: it might become another's.
		if got := alice.Refused(theChat, &room.Join{}); got != chat.CodeNotFound {
			t.Errorf("join: got %s, want %s", got, chat.CodeNotFound)
		}
		if _, ok := alice.Reply(refs[0]); ok {
			t.Error("answered before it was on disk")
		}
		release()
		synctest.Wait()
		first, _ := alice.Reply(refs[0])
		second, _ := tab.Reply(refs[1])
		if diff := cmp.Diff(first.Body, second.Body); diff != "" || first.Body == nil {
			t.Errorf("answers differ (-first +second):\n%s", diff)
		}
		if n := len(s.Records(theChat)); n != 1 {
			t.Errorf("got %d records, want 1", n)
		}
	})
}

func TestCreateRefused(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		if got := alice.Refused(theChat, &room.Create{Chat: theChat, ModelID: "no such model"}); got != chat.CodeNotFound {
			t.Errorf("unknown model: got %s, want %s", got, chat.CodeNotFound)
		}
		s.Log.Fault(diskFull)
		if got := alice.Refused(theChat, &room.Create{Chat: theChat, ModelID: actortest.Model}); got != chat.CodeStorageUnavailable {
			t.Errorf("disk full: got %s, want %s", got, chat.CodeStorageUnavailable)
		}
		s.Log.Fault(nil)
		if got := bob.Create(theChat).Owner; got != "bob" {
			t.Errorf("owner: got %s, want bob", got)
		}
	})
}

// Somebody else's chat is closed, to every command.
func TestForeignUserIsRefused(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, mallory := s.User("alice"), s.User("mallory")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("wait", actortest.Hang())
		alice.Send(theChat, "wait")
		before := s.Records(theChat)
		for _, c := range []room.Command{
			&room.Create{Chat: theChat, ModelID: actortest.Model}, &room.Join{}, &room.Send{Content: "hi"},
			&room.Send{Content: "hi", Quiet: true}, &room.Respond{}, &room.StopTurn{}, &room.Delete{},
		} {
			if got := mallory.Refused(theChat, c); got != chat.CodeNotFound {
				t.Errorf("%T: got %s, want %s", c, got, chat.CodeNotFound)
			}
		}
		mallory.Do(theChat, &room.Leave{}) // has nothing to leave
		if diff := cmp.Diff(before, s.Records(theChat)); diff != "" {
			t.Errorf("the log has changed:\n%s", diff)
		}
		alice.Told()
		alice.Stop(theChat, "")
		if told := strings.Join(mallory.Told(), "\n"); strings.Contains(told, "turn") {
			t.Errorf("mallory was told:\n%s", told)
		}
	})
}

func TestSharedLetsEverybodyIn(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice, bob := s.User("alice"), s.User("bob")
		alice.Create(theChat)
		if got := bob.Create(theChat).Owner; got != "alice" {
			t.Errorf("owner: got %s, want alice", got)
		}
		alice.Join(theChat)
		joined := bob.Join(theChat)
		want := []chat.User{{ID: "alice"}, {ID: "bob"}}
		if diff := cmp.Diff(want, joined.Users); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
		bob.Send(theChat, "hello")
		if diff := cmp.Diff([]string{"hello", "You said: hello"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		bob.Do(theChat, &room.Delete{})
	})
}

func TestCommandsToNoRoom(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		for _, c := range []room.Command{
			&room.Join{}, &room.Send{Content: "hi"}, &room.Respond{}, &room.StopTurn{}, &room.Delete{},
		} {
			if got := alice.Refused(theChat, c); got != chat.CodeNotFound {
				t.Errorf("%T: got %s, want %s", c, got, chat.CodeNotFound)
			}
		}
	})
}

func TestSendIsValidated(t *testing.T) {
	actortest.Run(t, room.Options{MaxMessageBytes: 8, MaxQueuedTurns: 2}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("wait", actortest.Hang())
		for _, test := range []struct {
			command room.Command
			want    chat.Code
		}{
			{&room.Send{Content: "123456789"}, chat.CodeTooLarge},
			{&room.Send{Content: "hi", ModelID: "no such model"}, chat.CodeNotFound},
			{&room.Respond{}, chat.CodeInvalid},
		} {
			if got := alice.Refused(theChat, test.command); got != test.want {
				t.Errorf("%+v: got %s, want %s", test.command, got, test.want)
			}
		}
		alice.Send(theChat, "wait")
		alice.Send(theChat, "12345678")
		for _, c := range []room.Command{&room.Send{Content: "hi"}, &room.Respond{}} {
			if got := alice.Refused(theChat, c); got != chat.CodeBusy {
				t.Errorf("%T past the queue: got %s, want %s", c, got, chat.CodeBusy)
			}
		}
		if reply := alice.Do(theChat, &room.Send{Content: "quietly", Quiet: true}); reply.Err != nil {
			t.Errorf("a message that needs no place in the queue: %v", reply.Err)
		}
	})
}

// Nothing is acknowledged and nobody is told before it is on disk; then the
// acknowledgement is the first that the sender hears of it.
func TestAcknowledgementFollowsTheCommit(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab := s.User("alice"), s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		tab.Join(theChat)
		alice.Told()
		tab.Told()

		release := s.Log.Hold()
		alice.Tell(theChat, &room.Send{Content: "hello"})
		synctest.Wait()
		wantTold(t, alice)
		wantTold(t, tab)
		release()
		synctest.Wait()
		follows := []string{
			"turn #3 queued", "turn #4 running", "stream_start #4 attempt 1",
			`stream_chunk @0 "You said: "`, `stream_chunk @10 "hello"`,
			"stream_chunk @15 done", `message #5 assistant completed "You said: hello"`, "stream_end #5 completed", "turn #5 completed",
		}
		wantTold(t, alice, append([]string{"sent #2"}, follows...)...)
		wantTold(t, tab, append([]string{`message #2 user completed "hello"`}, follows...)...)
	})
}

// The sender of a message gets no echo; the other members do, each in its dialect.
func TestDialects(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		users := make(map[assistant.Dialect]*actortest.User)
		for _, d := range assistant.Dialects {
			users[d] = s.User("alice")
			users[d].Create(theChat)
			users[d].JoinAs(theChat, d)
		}
		s.Assistant.On("fail", actortest.Say())
		sends := map[assistant.Dialect]string{assistant.Both: "one", assistant.Documented: "two", assistant.SPA: "three"}
		for sender, text := range sends {
			for _, u := range users {
				u.Told()
			}
			users[sender].Send(theChat, text)
			for d, u := range users {
				told := strings.Join(u.Told(), "\n")
				documented, spa := fmt.Sprintf("user completed %q", text), fmt.Sprintf("sbaw.text_message.user %q", text)
				if got, want := strings.Contains(told, documented), d != sender && d != assistant.SPA; got != want {
					t.Errorf("sent by %d: documented echo to %d: got %v, want %v", sender, d, got, want)
				}
				if got, want := strings.Contains(told, spa), d != sender && d != assistant.Documented; got != want {
					t.Errorf("sent by %d: SPA's echo to %d: got %v, want %v", sender, d, got, want)
				}
				if got, want := strings.Contains(told, "stream_chunk"), d != assistant.SPA; got != want {
					t.Errorf("deltas to %d: got %v, want %v", d, got, want)
				}
				answer := fmt.Sprintf(`sbaw.text_message.assistant "You said: %s" stop`, text)
				if got, want := strings.Contains(told, answer), d != assistant.Documented; got != want {
					t.Errorf("SPA's answer to %d: got %v, want %v", d, got, want)
				}
			}
		}
	})
}

// The notices after a Join follow without a gap from its reply, whenever it comes
// during an answer. The View checks it.
func TestJoinDuringAnAnswer(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		pieces := []string{"a", "é", "€", "😀", "👩‍👧", "", "\xff", "end"}
		const whole = "aé€😀👩‍👧\uFFFDend"
		s.Assistant.On("go on", actortest.Slowly(time.Second, pieces...))
		alice := s.User("alice")
		alice.Create(theChat)
		first := alice.Join(theChat)
		if first.Turn != nil || first.Seq != 1 {
			t.Errorf("joined an idle room: %+v", first)
		}
		alice.Send(theChat, "go on")
		members := []*actortest.User{alice}
		for range pieces {
			tab := s.User("alice")
			joined := tab.Join(theChat)
			if joined.Turn == nil || !strings.HasPrefix(whole, joined.Turn.Content) || joined.Seq != 4 {
				t.Errorf("joined during the answer: %+v, turn %+v", joined, joined.Turn)
			}
			members = append(members, tab)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if joined := s.User("alice").Join(theChat); joined.Turn != nil || joined.Seq != 5 {
			t.Errorf("joined after the answer: %+v", joined)
		}
		for i, u := range members {
			if v := u.View(theChat); v.Text != whole || v.Seq != 5 {
				t.Errorf("member %d: got %q up to record %d, want %q up to 5", i, v.Text, v.Seq, whole)
			}
		}
		if got := onlyEnd(t, s).Content; got != whole {
			t.Errorf("recorded %q, want %q", got, whole)
		}
	})
}

func TestLeave(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, tab := s.User("alice"), s.User("alice")
		alice.Create(theChat)
		tab.Join(theChat)
		tab.Do(theChat, &room.Leave{})
		tab.Told()
		alice.Send(theChat, "hello")
		wantTold(t, tab)
	})
}

// Two members who talk at once are both heard, each in order, and everybody
// agrees on what was said when.
func TestTwoSendersAtOnce(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		const each, answered = 50, 10 // every fifth wants an answer
		users := []*actortest.User{s.User("alice"), s.User("bob")}
		users[0].Create(theChat)
		for _, u := range users {
			u.Join(theChat)
		}
		refs := make([][]uint64, len(users))
		for i, u := range users {
			go func() {
				for n := range each {
					refs[i] = append(refs[i], u.Tell(theChat, &room.Send{
						Content: fmt.Sprintf("%s %d", u.ID, n), Quiet: n%(each/answered) != 0,
					}))
				}
			}()
		}
		synctest.Wait()

		messages, next := s.Messages(theChat), map[chat.UserID]int{}
		if got, want := len(messages), 2*(each+answered); got != want {
			t.Errorf("got %d messages, want %d", got, want)
		}
		var order []chat.MessageID
		for _, m := range messages {
			order = append(order, m.ID)
			if m.Role != chat.RoleUser {
				continue
			}
			if got, want := m.Content, fmt.Sprintf("%s %d", m.Author.ID, next[m.Author.ID]); got != want {
				t.Errorf("recorded %q, want %q", got, want)
			}
			next[m.Author.ID]++
		}
		for i, u := range users {
			for n, ref := range refs[i] {
				if reply, ok := u.Reply(ref); !ok || reply.Err != nil {
					t.Errorf("%s %d: got answer %v, %v", u.ID, n, ok, reply.Err)
				}
			}
			if diff := cmp.Diff(order, u.View(theChat).IDs()); diff != "" {
				t.Errorf("%s saw another order (-log +view):\n%s", u.ID, diff)
			}
		}
		answers := 0
		for _, e := range ends(t, s) {
			if e.State == chat.StateCompleted {
				answers++
			}
		}
		if answers != 2*answered {
			t.Errorf("got %d answers, want %d", answers, 2*answered)
		}
	})
}

// A message may be sent without asking for an answer, which somebody asks for
// later: from the model that the message was meant for.
func TestRespond(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		quiet := alice.Do(theChat, &room.Send{Content: "hello", ModelID: actortest.OtherModel, Quiet: true})
		if diff := cmp.Diff([]string{"hello"}, contents(s)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		respond := alice.Do(theChat, &room.Respond{})
		want := quiet.Body.(room.Sent)
		want.Unasked = false // now somebody has asked
		if diff := cmp.Diff(any(want), respond.Body); diff != "" {
			t.Errorf("answer to Respond (-quiet +respond):\n%s", diff)
		}
		end := onlyEnd(t, s)
		if end.Content != "You said: hello" || end.ModelID != actortest.OtherModel {
			t.Errorf("ended %+v", end)
		}
	})
}

func TestModelSwitchLasts(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Do(theChat, &room.Send{Content: "one", ModelID: actortest.OtherModel})
		s.Restart()
		alice.Send(theChat, "two")
		for i, p := range s.Assistant.Prompts() {
			if p.Model != actortest.OtherModel {
				t.Errorf("prompt %d: got %s, want %s", i, p.Model, actortest.OtherModel)
			}
		}
		if info, err := s.Rooms.Get(t.Context(), alice.User, theChat); err != nil || info.ModelID != actortest.OtherModel {
			t.Errorf("listed with model %s, %v", info.ModelID, err)
		}
	})
}
