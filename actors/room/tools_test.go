package room_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// outcomes returns what has come of each call, as "NAME STATE: RESULT", and fails the test
// if a call has ended twice.
func outcomes(t *testing.T, s *actortest.Server) (all []string) {
	t.Helper()
	ended := make(map[string]bool)
	for _, r := range s.Records(theChat) {
		if e, ok := r.Event.(chat.ToolEnded); ok {
			if ended[e.CallID] {
				t.Errorf("call %s has ended twice", e.CallID)
			}
			ended[e.CallID] = true
			all = append(all, e.Name+" "+string(e.State)+": "+e.Result)
		}
	}
	return all
}

// pending returns the ids of the calls that wait for a member.
func pending(u *actortest.User) (ids []string) {
	for _, p := range u.Join(theChat).Pending {
		ids = append(ids, p.Call.ID)
	}
	return ids
}

// toolRoom is a room with one user, who has asked for something that ends in calls.
func toolRoom(t *testing.T, f func(t *testing.T, s *actortest.Server, alice *actortest.User)) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		f(t, s, alice)
	})
}

// TestTools: calls of one step run at once, their results reach the next step in the order
// of the calls, and the words of all steps are one answer.
func TestTools(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.On("slow", func(context.Context) (string, error) {
			time.Sleep(time.Minute)
			return "at last", nil
		})
		s.Tools.On("fail", func(context.Context) (string, error) { return "", chat.Refuse(chat.CodeInternal, "it broke") })
		s.Assistant.On("go", actortest.Say("I look.", actortest.CallTools+"slow {}\necho {\"a\":1}\nfail {}\nwrong []"))
		s.Assistant.On("not run: no object", actortest.Say("Done."))
		begin := time.Now()
		alice.Send(theChat, "go")
		time.Sleep(2 * time.Minute)
		end := onlyEnd(t, s)
		if end.State != chat.StateCompleted || end.Content != "I look.\n\nDone." || end.Steps != 1 || time.Since(begin) != 2*time.Minute {
			t.Errorf("got %+v", end)
		}
		if end.Usage == nil || end.Usage.TotalTokens != 10 {
			t.Errorf("used %+v, want that of both steps", end.Usage)
		}
		var summary []string
		for _, c := range end.Calls {
			summary = append(summary, fmt.Sprintf("%s %s %s: %s at %d", c.Name, c.Arguments, c.State, c.Result, c.At))
		}
		if diff := cmp.Diff([]string{"slow {} completed: at last at 7", `echo {"a":1} completed: echo: {"a":1} at 7`, "fail {} failed: it broke at 7", "wrong [] failed: not run: no object at 7"}, summary); diff != "" {
			t.Errorf("the answer tells of its calls (-want +got):\n%s", diff)
		}
		slow, echo, fail, wrong := `slow completed: at last`, `echo completed: echo: {"a":1}`, `fail failed: it broke`, `wrong failed: not run: no object`
		got := outcomes(t, s)
		slices.Sort(got)
		if diff := cmp.Diff([]string{echo, fail, slow, wrong}, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		var told []string
		for _, m := range s.Assistant.Prompts()[1].Messages[2:] {
			told = append(told, string(m.Role)+": "+m.Content)
		}
		if diff := cmp.Diff([]string{"assistant: I look.", "tool: at last", `tool: echo: {"a":1}`, "tool: it broke", "tool: not run: no object"}, told); diff != "" {
			t.Errorf("the second step was told (-want +got):\n%s", diff)
		}
		alice.Send(theChat, "and?")
		synctest.Wait()
		var later []string
		for _, m := range s.Assistant.Prompts()[2].Messages[1:] {
			later = append(later, string(m.Role)+": "+m.Content)
		}
		if diff := cmp.Diff([]string{"user: go", "assistant: I look.", "tool: at last", `tool: echo: {"a":1}`, "tool: it broke", "tool: not run: no object", "assistant: Done.", "user: and?"}, later); diff != "" {
			t.Errorf("the next turn was told (-want +got):\n%s", diff)
		}
	})
}

// The progress of a call is told at once, and then no more than four times a second. Those
// who join are told the last. It ends with the call, and none of it is recorded.
func TestToolProgress(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.OnRun("slow", func(_ context.Context, r chat.ToolRun) (string, error) {
			for i := range 100_000 {
				r.Progress(chat.ToolProgress{Progress: float64(i), Total: 100_000, Message: strings.Repeat("é", 1000)})
				if i%10_000 == 9_999 {
					time.Sleep(time.Second)
				}
			}
			time.AfterFunc(time.Minute, func() { r.Progress(chat.ToolProgress{Progress: 1}) })
			return "at last", nil
		})
		s.Assistant.On("go", actortest.Call("slow {}", "slow {}"))
		s.Assistant.On("at last", actortest.Say("Done."))
		alice.Told()
		alice.Send(theChat, "go")
		time.Sleep(5500 * time.Millisecond)
		calls := alice.Join(theChat).Calls
		if len(calls) != 2 || calls[0].Progress == nil || calls[0].Progress.Progress != 59_999 || len(calls[0].Progress.Message) != 500 {
			t.Errorf("somebody who joins is told %+v", calls)
		}
		time.Sleep(time.Hour)
		told := 0
		for _, line := range alice.Told() {
			if strings.Contains(line, "progress of slow") {
				told++
			}
		}
		// Ten bursts, of which each is told by its first and its last, for two calls.
		if told != 40 {
			t.Errorf("progress was told %d times", told)
		}
		for _, r := range s.Records(theChat) {
			if e, ok := r.Event.(chat.TurnEnded); ok && (e.State != chat.StateCompleted || e.Calls[0].Progress != nil) {
				t.Errorf("the turn ended %+v", e)
			}
		}
	})
}

// A call is recorded before it runs: what the disk refuses does not run.
func TestToolWaitsForTheDisk(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Assistant.On("go", actortest.Call("echo {}"))
		s.Log.Fault(func(c persistence.Commit) error {
			if len(c.Entries) > 0 && strings.Contains(string(c.Entries[0]), `"tools_called"`) {
				return persistence.ErrUnavailable
			}
			return nil
		})
		alice.Send(theChat, "go")
		time.Sleep(10 * time.Second)
		if runs := s.Tools.Runs(); runs != nil {
			t.Errorf("ran %v", runs)
		}
		s.Log.Fault(nil)
		time.Sleep(10 * time.Second)
		if runs := s.Tools.Runs(); len(runs) != 1 {
			t.Errorf("ran %v", runs)
		}
		if end := onlyEnd(t, s); end.State != chat.StateCompleted {
			t.Errorf("got %+v", end)
		}
	})
}

// TestApproval: a call waits as long as it takes, also over the end of the server, for a
// member who approves it, with other arguments perhaps, or denies it.
func TestApproval(t *testing.T) {
	for _, restart := range []bool{false, true} {
		toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
			s.Tools.Ask("pay", chat.ApprovalAsk)
			s.Assistant.On("go", actortest.Call(`pay {"sum":1}`, `pay {"sum":2}`, `echo {}`))
			s.Assistant.On("a person has denied this call: too much", actortest.Say("Done."))
			alice.Send(theChat, "go")
			synctest.Wait()
			if restart {
				s.Restart()
			}
			time.Sleep(24 * time.Hour) // longer than any turn may take
			calls := pending(alice)
			if len(calls) != 2 || slices.Contains(s.Tools.Runs(), "pay") {
				t.Fatalf("waiting %v, ran %v", calls, s.Tools.Runs())
			}
			joined := alice.Join(theChat)
			if joined.Turn == nil || joined.Turn.State() != chat.StateWaiting || len(joined.Calls) != 3 || joined.Calls[2].State != chat.ToolCompleted {
				t.Errorf("the turn is %+v, and has called %+v", joined.Turn, joined.Calls)
			}
			if got := alice.Refused(theChat, &room.Decide{CallID: calls[0], Approved: true, Arguments: "[]"}); got != chat.CodeInvalid {
				t.Errorf("wrong arguments: %s", got)
			}
			first := &room.Decide{CallID: calls[0], Approved: true, Arguments: `{"sum":3}`, ClientID: "once"}
			again := *first
			alice.Do(theChat, first)
			if reply := alice.Do(theChat, &again); reply.Err != nil || !reply.Repeated {
				t.Errorf("repeated: %+v", reply)
			}
			if got := alice.Refused(theChat, &room.Decide{CallID: calls[0]}); got != chat.CodeNotFound {
				t.Errorf("decided twice: %s", got)
			}
			alice.Do(theChat, &room.Decide{CallID: calls[1], Reason: "too much"})
			synctest.Wait()
			end := onlyEnd(t, s)
			if c := end.Calls; len(c) != 3 || c[0].By != "alice" || c[0].Arguments != `{"sum":3}` || c[1].State != chat.ToolDenied || c[1].By != "alice" || c[2].By != "" {
				t.Errorf("restart %v: the answer tells of its calls %+v", restart, c)
			}
			runs := s.Tools.Runs()
			slices.Sort(runs)
			if diff := cmp.Diff([]string{"echo {}", `pay {"sum":3}`}, runs); diff != "" {
				t.Errorf("restart %v: runs (-want +got):\n%s", restart, diff)
			}
			prompts := s.Assistant.Prompts()
			if told := prompts[len(prompts)-1].Messages[2].Calls[0].Arguments; told != `{"sum":3}` {
				t.Errorf("restart %v: the model was told that it called with %s", restart, told)
			}
		})
	}
}

// A call about which nobody decides in time is denied, also over the end of the server. One
// that the server has cut is not run again then. Nothing blocks the room for good.
func TestApprovalExpires(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for _, test := range []struct {
		name string
		wait func(s *actortest.Server)
		want string
	}{
		{"in one life", func(*actortest.Server) { time.Sleep(week - time.Second) }, "pay denied: this call has not run: nobody has decided about it within 168h0m0s"},
		{"over restarts", func(s *actortest.Server) {
			for range 3 {
				time.Sleep(week / 4)
				s.Restart()
			}
			time.Sleep(week/4 - time.Second)
		}, "pay denied: this call has not run: nobody has decided about it within 168h0m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
				s.Tools.Ask("pay", chat.ApprovalAsk)
				s.Assistant.On("go", actortest.Call(`pay {}`))
				alice.Send(theChat, "go")
				synctest.Wait()
				test.wait(s)
				calls := pending(alice)
				if len(calls) != 1 {
					t.Fatalf("waiting %v before the time is up", calls)
				}
				time.Sleep(2 * time.Second)
				if diff := cmp.Diff([]string{test.want}, outcomes(t, s)); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				if got := alice.Refused(theChat, &room.Decide{CallID: calls[0], Approved: true}); got != chat.CodeNotFound {
					t.Errorf("a late decision: %s", got)
				}
				if end := onlyEnd(t, s); end.State != chat.StateCompleted || end.Calls[0].By != "" || s.Tools.Runs() != nil {
					t.Errorf("ended %+v, ran %v", end, s.Tools.Runs())
				}
				s.Restart()
				alice.Join(theChat)
			})
		})
	}
}

// A call that the server has cut waits for a member too, from then on.
func TestLostCallExpires(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.On("pay", func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })
		s.Assistant.On("go", actortest.Call(`pay {}`))
		alice.Send(theChat, "go")
		synctest.Wait()
		s.Restart()
		time.Sleep(7*24*time.Hour + time.Second)
		got := outcomes(t, s)
		if len(got) != 1 || !strings.HasPrefix(got[0], "pay unknown: ") || !strings.HasSuffix(got[0], "nobody has decided about it within 168h0m0s") {
			t.Errorf("outcomes %q", got)
		}
		if runs := s.Tools.Runs(); len(runs) != 1 {
			t.Errorf("ran %v", runs)
		}
	})
}

// The system prompt tells how to use the tools that are offered.
func TestGuides(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		offer(alice, chat.Tool{Name: "paint", OnPage: true, Guide: "paint: Use little red."}, chat.Tool{Name: "sing", OnPage: true})
		alice.Send(theChat, "go")
		synctest.Wait()
		prompts := s.Assistant.Prompts()
		if system := prompts[len(prompts)-1].Messages[0].Content; !strings.Contains(system, "How to use the tools:\n\npaint: Use little red.\n\nToday is") {
			t.Errorf("the system prompt is %q", system)
		}
	})
}

// After "always in this chat" nobody is asked again.
func TestAlwaysApproved(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.Ask("pay", chat.ApprovalAsk)
		s.Tools.Ask("shoot", chat.ApprovalAlways)
		s.Assistant.On("go", actortest.Call(`pay {}`))
		s.Assistant.On("more", actortest.Call(`pay {"more":1}`, `shoot {}`))
		alice.Send(theChat, "go")
		synctest.Wait()
		alice.Do(theChat, &room.Decide{CallID: pending(alice)[0], Approved: true, Always: true})
		s.Restart()
		alice.Send(theChat, "more")
		synctest.Wait()
		if runs := s.Tools.Runs(); len(runs) != 2 || len(pending(alice)) != 1 {
			t.Errorf("ran %v, %v wait", runs, pending(alice))
		}
	})
}

// A stop ends the calls that run and those that wait, and each has a stated outcome.
func TestStopEndsCalls(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		canceled := false
		s.Tools.Ask("pay", chat.ApprovalAsk)
		s.Tools.On("hang", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			canceled = true
			return "", ctx.Err()
		})
		s.Assistant.On("go", actortest.Call(`pay {}`, `hang {}`))
		alice.Send(theChat, "go")
		synctest.Wait()
		alice.Do(theChat, &room.StopTurn{})
		synctest.Wait()
		const stopped = "the answer was stopped before this had ended"
		if c := onlyEnd(t, s).Calls; len(c) != 2 || c[1].State != chat.ToolStopped || c[1].By != "alice" {
			t.Errorf("the answer tells of its calls %+v", c)
		}
		if diff := cmp.Diff([]string{"pay stopped: " + stopped, "hang stopped: " + stopped}, outcomes(t, s)); diff != "" || !canceled {
			t.Errorf("canceled %v, outcomes (-want +got):\n%s", canceled, diff)
		}
		alice.Send(theChat, "next")
		synctest.Wait()
		if got := len(ends(t, s)); got != 2 {
			t.Errorf("%d turns have ended, want 2", got)
		}
	})
}

// A call that ran when the server ended does not run again, unless a member says so or the
// tool may be repeated, which then gets the same key.
func TestLostCalls(t *testing.T) {
	for _, test := range []struct {
		name   string
		repeat bool
		decide *room.Decide
		runs   int
		want   []string
	}{
		{name: "run again", decide: &room.Decide{Approved: true}, runs: 2, want: []string{"slow completed: once more"}},
		{name: "left", decide: &room.Decide{}, runs: 1, want: []string{"slow unknown: the server was restarted while this ran: nobody knows whether it has had an effect, and a person decided not to run it again"}},
		{name: "repeatable", repeat: true, runs: 2, want: []string{"slow completed: once more"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
				if test.repeat {
					s.Tools.Repeat("slow")
				}
				runs := 0
				s.Tools.On("slow", func(ctx context.Context) (string, error) {
					if runs++; runs > 1 {
						return "once more", nil
					}
					<-ctx.Done()
					return "", ctx.Err()
				})
				s.Assistant.On("go", actortest.Say("I look.", actortest.CallTools+"slow {}"))
				alice.Send(theChat, "go")
				synctest.Wait()
				s.Restart()
				synctest.Wait()
				if test.decide != nil {
					waiting := alice.Join(theChat).Pending
					if runs != 1 || len(waiting) != 1 || !waiting[0].Lost {
						t.Fatalf("ran %d times, waiting %+v", runs, waiting)
					}
					test.decide.CallID = waiting[0].Call.ID
					alice.Do(theChat, test.decide)
					synctest.Wait()
				}
				if diff := cmp.Diff(test.want, outcomes(t, s)); diff != "" || runs != test.runs {
					t.Errorf("ran %d times, outcomes (-want +got):\n%s", runs, diff)
				}
				if keys := s.Tools.Keys(); len(slices.Compact(keys)) != 1 {
					t.Errorf("keys %v, want the same", keys)
				}
				if end := onlyEnd(t, s); end.State != chat.StateCompleted || !strings.HasPrefix(end.Content, "I look.\n\n") || strings.Count(end.Content, "I look.") != 1 {
					t.Errorf("got %+v", end)
				}
			})
		})
	}
}

// TestToolLimits: a model that calls the same for ever, or calls nonsense, comes to an end.
func TestToolLimits(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		again := actortest.Call("echo {}")
		for _, question := range []string{"go", "echo: {}", "not run: you have called this 3 times with the same arguments already. Use what it answered"} {
			s.Assistant.On(question, again)
		}
		alice.Send(theChat, "go")
		synctest.Wait()
		end := onlyEnd(t, s)
		prompts := s.Assistant.Prompts()
		if len(s.Tools.Runs()) != 3 || end.State != chat.StateFailed && end.Reason == "" {
			t.Errorf("ran %d times; %+v", len(s.Tools.Runs()), end)
		}
		if last := prompts[len(prompts)-1]; !last.NoCalls || len(prompts) > 31 {
			t.Errorf("asked %d times, the last time with calls", len(prompts))
		}
	})
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		for _, question := range []string{"go", "not run: no object"} {
			s.Assistant.On(question, actortest.Call("echo nonsense"))
		}
		alice.Send(theChat, "go")
		synctest.Wait()
		if n := len(s.Assistant.Prompts()); n != 4 {
			t.Errorf("asked %d times, want 4", n)
		}
	})
}

// Words to a running turn join it between two steps.
func TestSteeringBetweenSteps(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.On("slow", func(context.Context) (string, error) {
			time.Sleep(time.Minute)
			return "slept", nil
		})
		s.Assistant.On("go", actortest.Call("slow {}"))
		alice.Send(theChat, "go")
		synctest.Wait()
		alice.Do(theChat, &room.Send{Content: "in German", Policy: chat.PolicySteer})
		time.Sleep(2 * time.Minute)
		if end := onlyEnd(t, s); end.Content != "You said: in German" {
			t.Errorf("got %+v", end)
		}
		last := s.Assistant.Prompts()[1].Messages
		if n := len(last); last[n-2].Content != "slept" || last[n-1].Content != "in German" {
			t.Errorf("told %+v", last)
		}
	})
}

// A tool that panics has failed, and ends nothing else.
func TestToolPanics(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.On("bad", func(context.Context) (string, error) { panic("a bad tool") })
		s.Tools.On("plain", func(context.Context) (string, error) { return "", errors.New("/etc/secret is missing") })
		s.Assistant.On("go", actortest.Call("bad {}", "plain {}"))
		alice.Send(theChat, "go")
		synctest.Wait()
		for _, o := range outcomes(t, s) {
			if strings.Contains(o, "secret") || !strings.Contains(o, "failed") {
				t.Errorf("got %s", o)
			}
		}
		if end := onlyEnd(t, s); end.State != chat.StateCompleted {
			t.Errorf("got %+v", end)
		}
	})
}

// TestOnlyTools: a message leaves some of the model's tools to its answer, also to another
// answer and after an edit, and all of them to the answers of other messages.
func TestOnlyTools(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		all := []string{"shop/buy", "shop/sell", "shopping/buy", "slow"}
		s.Tools.Names = all
		for _, content := range []string{"go", "go on"} {
			s.Assistant.On(content, actortest.Call("slow {}", "shop/buy {}", "shop/sell {}", "shopping/buy {}"))
		}
		begun := 0
		wants := func(how string, only, want []string) {
			t.Helper()
			synctest.Wait()
			var offered []string
			prompts := s.Assistant.Prompts()
			for _, tool := range prompts[len(prompts)-1].Tools {
				offered = append(offered, tool.Name)
			}
			var ran []string
			for _, run := range s.Tools.Runs()[begun:] {
				ran = append(ran, strings.TrimSuffix(run, " {}"))
			}
			begun += len(ran)
			slices.Sort(ran)
			if !slices.Equal(offered, want) || !slices.Equal(ran, want) {
				t.Errorf("%s, with %q: offered %q and ran %q, want %q", how, only, offered, ran, want)
			}
		}
		for _, c := range []struct{ only, want []string }{
			{nil, all},
			{[]string{"slow", "none"}, []string{"slow"}},
			{[]string{"shop"}, []string{"shop/buy", "shop/sell"}},
			{[]string{"shop/*", "slow"}, []string{"shop/buy", "shop/sell", "slow"}},
			{[]string{"shop/buy"}, []string{"shop/buy"}},
			{[]string{}, nil},
		} {
			sent := alice.Do(theChat, &room.Send{Content: "go", OnlyTools: c.only}).Body.(room.Sent)
			wants("asked", c.only, c.want)
			s.Restart()
			alice.Do(theChat, &room.Regenerate{Answer: answerTo(s, theChat, sent.MessageID)})
			wants("asked again", c.only, c.want)
			alice.Do(theChat, &room.Edit{Replaces: sent.MessageID, Content: "go on"})
			wants("edited", c.only, c.want)
		}
	})
}
