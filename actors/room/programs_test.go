package room_test

import (
	"testing"
	"testing/synctest"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// TestToolsOfPrograms: the tools that a program brings with its question are offered for that answer, also after a
// restart in the middle of it, and what it wants to be called holds for the next step alone.
func TestToolsOfPrograms(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		bob := colleague(s, alice)
		s.Assistant.On("go", actortest.Call("paint {}"))
		last := func() chat.Prompt {
			synctest.Wait()
			prompts := s.Assistant.Prompts()
			return prompts[len(prompts)-1]
		}
		offered := func() bool { tools := last().Tools; return len(tools) == 1 && tools[0].Requested && tools[0].OnPage }
		brought := []chat.OfferedTool{{Name: "paint"}}
		if got := alice.Refused(theChat, &room.Send{Content: "go", Tools: []chat.OfferedTool{{Name: "taken"}}}); got != chat.CodeInvalid {
			t.Errorf("the name of another tool: %s", got)
		}
		sent := alice.Do(theChat, &room.Send{Content: "go", Tools: brought, ToolChoice: chat.ToolChoice{Mode: chat.ToolsRequired, Name: "paint"}}).Body.(room.Sent)
		if !offered() || last().Choice.Name != "paint" {
			t.Errorf("offered %+v, to call %+v", last().Tools, last().Choice)
		}
		s.Restart()
		bob.Join(theChat)
		calls := pending(alice)
		if len(calls) != 1 {
			t.Fatalf("pending %v", calls)
		}
		if got := bob.Refused(theChat, answer(calls[0], "mine")); got != chat.CodeForbidden {
			t.Errorf("another member: %s", got)
		}
		done := answer(calls[0], "done")
		done.Choice = chat.ToolChoice{Mode: chat.ToolsNone}
		s.Assistant.On("go", actortest.Say("so"))
		alice.Do(theChat, done)
		if !offered() || last().Choice.Mode != chat.ToolsNone {
			t.Errorf("after a restart: offered %+v, to call %+v", last().Tools, last().Choice)
		}
		alice.Do(theChat, &room.Regenerate{Answer: answerTo(s, theChat, sent.MessageID)})
		if last().Tools != nil || last().Choice.Forced() {
			t.Error("another answer is offered them, though its program has not asked for it")
		}
		alice.Do(theChat, &room.Edit{Replaces: sent.MessageID, Content: "well"})
		if last().Tools != nil || last().Choice.Forced() {
			t.Error("an edit is answered with the tools of the program, which has not asked for it")
		}
		alice.Send(theChat, "hello")
		if last().Tools != nil || last().Choice != (chat.ToolChoice{}) {
			t.Errorf("another question: offered %v, to call %v", last().Tools, last().Choice)
		}
		refused := alice.Do(theChat, &room.Send{Content: "hello", ToolChoice: chat.ToolChoice{Mode: chat.ToolsRequired}}).Body.(room.Sent)
		synctest.Wait()
		for _, r := range s.Records(theChat) {
			if e, ended := r.Event.(chat.TurnEnded); ended && e.Prompt == refused.MessageID && (e.Error == nil || e.Error.Code != chat.CodeToolChoice) {
				t.Errorf("a model that is offered no tool has to call one: %+v", e)
			}
		}
	})
}

// TestToolsOfSomeUsers: a tool that is left to some users is offered in their answers alone, and runs in no other one.
func TestToolsOfSomeUsers(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		bob := colleague(s, alice)
		s.Tools.Names = []string{"look", "pay"}
		s.Tools.Allow("pay", "alice")
		s.Assistant.On("go", actortest.Call("pay {}"))
		for _, c := range []struct {
			user *actortest.User
			want int
		}{{bob, 1}, {alice, 2}} {
			ran := len(s.Tools.Runs())
			c.user.Send(theChat, "go")
			synctest.Wait()
			prompts := s.Assistant.Prompts()
			if offered := len(prompts[len(prompts)-1].Tools); offered != c.want || len(s.Tools.Runs())-ran != c.want-1 {
				t.Errorf("%s: %d tools were offered, and %q ran", c.user.ID, offered, s.Tools.Runs()[ran:])
			}
		}
	})
}

// A chat's setting takes tools from the model there.
func TestToolsOffInChat(t *testing.T) {
	toolRoom(t, func(t *testing.T, s *actortest.Server, alice *actortest.User) {
		s.Tools.Names = []string{"look", "pay"}
		s.Assistant.On("go", actortest.Call("pay {}"))
		for _, c := range []struct {
			off     chat.ToolNames
			offered int
		}{{"", 2}, {"pay", 1}, {"*", 0}, {"pay/*", 1}, {"", 2}} {
			alice.Do(theChat, &room.Configure{Changes: chat.Changes{ToolsOff: &c.off}})
			ran := len(s.Tools.Runs())
			alice.Send(theChat, "go")
			synctest.Wait()
			prompts := s.Assistant.Prompts()
			if offered := len(prompts[len(prompts)-1].Tools); offered != c.offered || len(s.Tools.Runs())-ran != max(0, c.offered-1) {
				t.Errorf("without %q: %d tools were offered, and %q ran", c.off, offered, s.Tools.Runs()[ran:])
			}
		}
	})
}
