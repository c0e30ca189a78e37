package room_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// paint is a tool that pages offer here.
var paint = []chat.Tool{{Name: "paint", OnPage: true}}

// offer has a connection join with tools.
func offer(u *actortest.User, tools ...chat.Tool) room.Joined {
	return u.Do(theChat, &room.Join{Encoder: assistant.Documented.String(), Tools: tools}).Body.(room.Joined)
}

// colleague is another member, with a connection.
func colleague(s *actortest.Server, alice *actortest.User) *actortest.User {
	alice.Do(theChat, &room.Invite{Offer: chat.Offer{Role: chat.RoleMember}, Secret: "secret"})
	bob := s.User("bob")
	bob.Do(theChat, &room.Accept{Secret: "secret"})
	return bob
}

func answer(id, result string) *room.AnswerCall {
	return room.AnswerCallAs(room.Caller{}, chat.AnswerCall{CallID: id, Result: result})
}

// TestPageTool: of several pages that offer a tool one is told to run a call, the one that
// was used last. It is recorded where the call runs, and takes one answer.
func TestPageTool(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		second, other := s.User("alice"), colleague(s, alice)
		s.Assistant.On("go", actortest.Say("I paint.", actortest.CallTools+"paint {}"))
		for _, u := range []*actortest.User{alice, second, other} {
			offer(u, paint...)
		}
		alice.Send(theChat, "go")
		synctest.Wait()
		run := alice.ToRun()
		if len(run) != 1 || second.ToRun() != nil || other.ToRun() != nil || s.Tools.Runs() != nil {
			t.Fatalf("told to run %v, %v, %v; ran %v", run, second.ToRun(), other.ToRun(), s.Tools.Runs())
		}
		if p := alice.Join(theChat).Pending; len(p) != 1 || !p[0].Running || !p[0].Call.OnPage {
			t.Errorf("pending %+v", p)
		}
		if got := other.Refused(theChat, answer(run[0], "mine")); got != chat.CodeForbidden {
			t.Errorf("another member: %s", got)
		}
		if got := alice.Refused(theChat, answer("none", "x")); got != chat.CodeNotFound {
			t.Errorf("no such call: %s", got)
		}
		if got := second.Do(theChat, answer(run[0], "done")); got.Err != nil { // any connection of the asker
			t.Fatalf("refused: %v", got.Err)
		}
		if again := alice.Do(theChat, answer(run[0], "done")); again.Err != nil || !again.Repeated {
			t.Errorf("repeated: %+v", again)
		}
		if got := alice.Refused(theChat, answer(run[0], "something else")); got != chat.CodeGone {
			t.Errorf("late: %s", got)
		}
		end := onlyEnd(t, s)
		if end.Content != "I paint.\n\nYou said: go" && end.State != chat.StateCompleted || len(end.Calls) != 1 || end.Calls[0].By != "" {
			t.Errorf("got %+v", end)
		}
		s.Restart()
		if again := alice.Do(theChat, answer(run[0], "done")); again.Err != nil || !again.Repeated {
			t.Errorf("repeated after a restart: %+v", again)
		}
		if diff := cmp.Diff([]string{"paint completed: done"}, outcomes(t, s)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// A page that closes in mid-call is followed by another one of its member, or by one that
// comes in time. Else the call fails, and says so. Nothing blocks for good.
func TestPageToolTakenOver(t *testing.T) {
	const lost = "paint failed: the page that ran this has closed, and no other one has taken it over within 30s; nobody knows whether it has had an effect"
	for _, test := range []struct {
		name string
		do   func(s *actortest.Server, first, second *actortest.User, id string)
		want string
	}{
		{"another page", func(s *actortest.Server, first, second *actortest.User, id string) {
			offer(second, paint...)
			first.Do(theChat, &room.Leave{})
			second.Do(theChat, answer(second.ToRun()[0], "by the second"))
		}, "paint completed: by the second"},
		{"a page that comes", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, &room.Leave{})
			time.Sleep(29 * time.Second)
			offer(second, paint...)
			time.Sleep(2 * time.Second) // the time to come is over
			second.Do(theChat, answer(second.ToRun()[0], "by the second"))
		}, "paint completed: by the second"},
		{"the same page", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, &room.Leave{})
			offer(first, paint...)
			first.Do(theChat, answer(first.ToRun()[1], "by the first"))
		}, "paint completed: by the first"},
		{"no page", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, &room.Leave{})
			time.Sleep(31 * time.Second)
		}, lost},
		{"a page of somebody else", func(s *actortest.Server, first, second *actortest.User, id string) {
			offer(colleague(s, first), paint...)
			first.Do(theChat, &room.Leave{})
			time.Sleep(31 * time.Second)
		}, lost},
		{"it takes its tools back", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, &room.Join{Tools: []chat.Tool{}})
			first.Do(theChat, answer(id, "still done"))
		}, "paint completed: still done"},
		{"silence", func(s *actortest.Server, first, second *actortest.User, id string) { time.Sleep(61 * time.Second) },
			"paint failed: the page did not answer within 1m0s; nobody knows whether it has had an effect"},
		{"a stop", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, &room.StopTurn{})
		},
			"paint stopped: the answer was stopped before this had ended"},
		{"a crash", func(s *actortest.Server, first, second *actortest.User, id string) {
			s.Restart()
			if p := first.Join(theChat).Pending; len(p) != 1 || !p[0].Running || p[0].Lost {
				panic(fmt.Sprintf("pending %+v", p))
			}
			offer(second, paint...)
			second.Do(theChat, answer(second.ToRun()[0], "after the crash"))
		}, "paint completed: after the crash"},
		{"a crash, and the page goes on", func(s *actortest.Server, first, second *actortest.User, id string) {
			s.Restart()
			first.Do(theChat, answer(id, "it went on"))
		}, "paint completed: it went on"},
		{"a crash, and nobody comes", func(s *actortest.Server, first, second *actortest.User, id string) {
			s.Restart()
			time.Sleep(31 * time.Second)
		}, "paint failed: not run: no page of the member who asked was there to run this within 30s"},
		{"a long result", func(s *actortest.Server, first, second *actortest.User, id string) {
			first.Do(theChat, answer(id, "\x1b[31m\x00"+strings.Repeat("x", 1<<20)))
		}, "paint completed: (control characters were left out)\n[31m" + strings.Repeat("x", 64<<10-39) + "\n(cut: this is the beginning of 1048615 bytes)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
				second := s.User("alice")
				s.Assistant.On("go", actortest.Call("paint {}"))
				offer(alice, paint...)
				alice.Send(theChat, "go")
				synctest.Wait()
				id := alice.ToRun()[0]
				test.do(s, alice, second, id)
				synctest.Wait()
				if diff := cmp.Diff([]string{test.want}, outcomes(t, s)); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				if ended := onlyEnd(t, s); ended.State == chat.StateInterrupted {
					t.Errorf("the turn is %+v", ended)
				}
				told := len(second.ToRun())
				if offer(second, paint...); len(second.ToRun()) != told {
					t.Error("a page was told to run a call that has ended")
				}
				if !strings.Contains(test.want, "completed") {
					if got := alice.Refused(theChat, answer(id, "late")); got != chat.CodeGone {
						t.Errorf("a late answer: %s", got)
					}
				}
			})
		})
	}
}

// Models are offered the tools of the pages of who asks, and of nobody else, while one is
// there that offers them.
func TestPageToolsOffered(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		bob := colleague(s, alice)
		offered := func(u *actortest.User, text string) string {
			t.Helper()
			u.Send(theChat, text)
			synctest.Wait()
			prompts := s.Assistant.Prompts()
			var names []string
			for _, tool := range prompts[len(prompts)-1].Tools {
				names = append(names, tool.Name)
			}
			return strings.Join(names, " ")
		}
		offer(alice, paint...)
		offer(bob, chat.Tool{Name: "sing", OnPage: true})
		got := []string{offered(alice, "a"), offered(bob, "b")}
		alice.Join(theChat) // says nothing of tools
		got = append(got, offered(alice, "c"))
		alice.Do(theChat, &room.Leave{})
		got = append(got, offered(alice, "d"))
		if want := []string{"paint", "sing", "paint", ""}; !slices.Equal(got, want) {
			t.Errorf("offered %q, want %q", got, want)
		}
		if got := alice.Refused(theChat, &room.Join{Tools: []chat.Tool{{Name: "taken"}}}); got != chat.CodeInvalid {
			t.Errorf("the name of another tool: %s", got)
		}
	})
}

// A call on a page that needs approval runs once a member has approved it, with the
// arguments that the member wants.
func TestPageToolApproved(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.Ask("paint", chat.ApprovalAsk)
		s.Assistant.On("go", actortest.Call(`paint {"n":1}`))
		offer(alice, paint...)
		alice.Send(theChat, "go")
		synctest.Wait()
		calls := pending(alice)
		if len(calls) != 1 || alice.ToRun() != nil {
			t.Fatalf("pending %v, told to run %v", calls, alice.ToRun())
		}
		if got := alice.Refused(theChat, answer(calls[0], "early")); got != chat.CodeNotFound {
			t.Errorf("an answer before the approval: %s", got)
		}
		alice.Do(theChat, &room.Decide{CallID: calls[0], Approved: true, Arguments: `{"n":2}`})
		if p := alice.Join(theChat).Pending; len(p) != 1 || p[0].Call.Arguments != `{"n":2}` || !p[0].Running {
			t.Errorf("pending %+v", p)
		}
		alice.Do(theChat, answer(alice.ToRun()[0], "done"))
		if c := onlyEnd(t, s).Calls; len(c) != 1 || c[0].State != chat.ToolCompleted || c[0].By != "alice" {
			t.Errorf("calls %+v", c)
		}
	})
}

// An app that is not connected offers tools by requests. Its calls wait for it longer than for
// a page that has closed; a page that is connected is asked first.
func TestPageToolsByRequests(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Assistant.On("go", actortest.Call("paint {}"))
		if got := alice.Refused(theChat, &room.Offer{Tools: []chat.Tool{{Name: "taken"}}}); got != chat.CodeInvalid {
			t.Errorf("the name of another tool: %s", got)
		}
		alice.Do(theChat, &room.Offer{Tools: paint})
		alice.Send(theChat, "go")
		time.Sleep(50 * time.Second)
		calls := pending(alice)
		if len(calls) != 1 || alice.ToRun() != nil {
			t.Fatalf("pending %v, told to run %v", calls, alice.ToRun())
		}
		alice.Do(theChat, answer(calls[0], "done"))
		if diff := cmp.Diff([]string{"paint completed: done"}, outcomes(t, s)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		offer(alice, paint...)
		alice.Send(theChat, "go")
		synctest.Wait()
		if run := alice.ToRun(); len(run) != 1 {
			t.Errorf("told to run %v", run)
		}
		time.Sleep(2 * time.Minute) // the page does not answer, and the offer is over
		alice.Do(theChat, &room.Leave{})
		alice.Send(theChat, "hello")
		synctest.Wait()
		if prompts := s.Assistant.Prompts(); prompts[len(prompts)-1].Tools != nil {
			t.Error("an offer stands that is over")
		}
	})
}

// The offer for a chat that was just made is there when the first message is said.
func TestPageToolsOfNewChat(t *testing.T) {
	actortest.Run(t, room.Options{IdleTimeout: time.Second}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Do(theChat, &room.Offer{Tools: paint})
		time.Sleep(30 * time.Second) // longer than the room needs to leave memory
		alice.Send(theChat, "hello")
		synctest.Wait()
		if tools := s.Assistant.Prompts()[0].Tools; len(tools) != 1 {
			t.Errorf("offered %v", tools)
		}
	})
}

// A page has no more than so many connections that offer tools: the oldest offer goes.
func TestPagesAreBounded(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		offer(alice, chat.Tool{Name: "first", OnPage: true})
		for i := range 20 {
			offer(s.User("alice"), chat.Tool{Name: fmt.Sprint("t", i), OnPage: true})
		}
		alice.Send(theChat, "go")
		synctest.Wait()
		if n := len(s.Assistant.Prompts()[0].Tools); n != 16 {
			t.Errorf("offered %d tools, want 16", n)
		}
	})
}
