package room_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// calls has the model call a tool, in an answer that ends so.
func (c *call) calls(answer chat.MessageID, text, given, name, arguments string) {
	c.tell(
		chat.Delta{Answer: answer, Text: text}, chat.Delta{Answer: answer, Calls: &chat.Calls{List: []chat.ToolCall{{Given: given, Name: name, Arguments: arguments}}}},
		chat.Delta{Answer: answer, Usage: &chat.Usage{PromptTokens: 2, CompletionTokens: 1, TotalTokens: 3}},
		chat.Delta{Answer: answer, Ended: &chat.Ended{State: chat.StateCompleted}},
	)
}

// TestCallsOnALine: what a model calls that listens runs as what others call, and the next
// step is asked on the same line.
func TestCallsOnALine(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.alice.Send(theChat, "go")
		ask := c.asked()
		c.calls(ask.Answer, "I look.", "call_a", "echo", `{"a":1}`)
		next := c.asked()
		if next.Answer != ask.Answer || len(next.Messages) != len(ask.Messages)+2 {
			t.Fatalf("asked %+v", next)
		}
		step, result := next.Messages[len(ask.Messages)], next.Messages[len(ask.Messages)+1]
		if step.Content != "I look." || step.Calls[0].Given != "call_a" || result.ResultOf.ID != step.Calls[0].ID || result.Content == "" {
			t.Errorf("the next step is told %+v, %+v", step, result)
		}
		c.answer(ask.Answer, "Done.")
		end := onlyEnd(t, c.Server)
		if end.Content != "I look.\n\nDone." || end.Steps != 1 || len(end.Calls) != 1 || end.State != chat.StateCompleted || end.Usage.TotalTokens < 3 {
			t.Errorf("ended %+v", end)
		}
		if got := len(c.Assistant.Sessions()); got != 1 {
			t.Errorf("%d sessions were begun, want 1", got)
		}
	})
}

// TestCallBeforeTheQuestionIsUnderstood: a step is not recorded ahead of the question that it
// answers, and its calls do not run before.
func TestCallBeforeTheQuestionIsUnderstood(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		ran := false
		c.Tools.On("pay", func(context.Context) (string, error) { ran = true; return "paid", nil })
		question := c.speak(c.alice)
		c.respond(c.alice)
		ask := c.asked()
		c.calls(ask.Answer, "", "call_a", "pay", "{}")
		if ran || len(outcomes(t, c.Server)) > 0 {
			t.Error("a call runs before its question is recorded")
		}
		c.heard(question, "pay it")
		synctest.Wait()
		if diff := cmp.Diff([]string{"pay completed: paid"}, outcomes(t, c.Server)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		c.answer(c.asked().Answer, "Paid.")
		c.wantHistory(`user completed "pay it" audio`, `assistant completed "Paid."`)
	})
}

// TestApprovalOnALine: a turn of a model that listens waits for people too, and goes on on
// another line if its own was lost meanwhile.
func TestApprovalOnALine(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.Tools.Ask("pay", chat.ApprovalAlways)
		c.Tools.On("pay", func(context.Context) (string, error) { return "paid", nil })
		c.alice.Send(theChat, "go")
		ask := c.asked()
		c.calls(ask.Answer, "", "call_a", "pay", "{}")
		c.line().Fail(chat.Refuse(chat.CodeProviderError, "lost"))
		time.Sleep(24 * time.Hour)
		c.alice.Do(theChat, &room.Decide{CallID: pending(c.alice)[0], Approved: true})
		synctest.Wait()
		if got := len(c.Assistant.Sessions()); got != 2 {
			t.Fatalf("%d sessions were begun, want 2", got)
		}
		c.answer(c.asked().Answer, "Paid.")
		if end := onlyEnd(t, c.Server); end.State != chat.StateCompleted || end.Content != "Paid." {
			t.Errorf("ended %+v", end)
		}
	})
}

// TestBargeInOnACall: who speaks while a call waits stops the answer, as in any answer.
func TestBargeInOnACall(t *testing.T) {
	onCall(t, room.Options{}, func(c *call) {
		c.Tools.Ask("pay", chat.ApprovalAlways)
		c.alice.Send(theChat, "go")
		c.calls(c.asked().Answer, "I pay.", "call_a", "pay", "{}")
		c.speak(c.alice)
		synctest.Wait()
		if end := onlyEnd(t, c.Server); end.State != chat.StateStopped || end.Calls[0].State != chat.ToolStopped {
			t.Errorf("ended %+v", end)
		}
	})
}
