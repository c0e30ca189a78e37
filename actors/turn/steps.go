package turn

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Limits of the steps of a turn.
const (
	maxSteps      = 30 // that may end in calls of tools
	maxRepeats    = 3  // runs of a call with the same arguments
	maxBroken     = 3  // steps in a row whose calls all had something wrong with them
	maxPauses     = 6  // of a provider that pauses its answers
	maxToolResult = 64 << 10
)

// A chain is what the reader knows of the steps of a turn.
type chain struct {
	steps  int
	pauses int
	broken int            // steps in a row without a call that could run
	cut    bool           // a call was cut by the limit of tokens
	runs   map[string]int // by the name and the arguments of a call
}

// A said is what one step has said, and called.
type said struct {
	text, thought strings.Builder
	model         chat.ModelID
	calls         *chat.Calls
	finish        chat.Finish
}

func (s *said) add(d chat.Delta) {
	s.text.WriteString(strings.ToValidUTF8(d.Text, "\uFFFD"))
	s.thought.WriteString(strings.ToValidUTF8(d.Thought, "\uFFFD"))
	if d.Model != "" {
		s.model = d.Model
	}
	if d.Finish != "" {
		s.finish = d.Finish
	}
	if d.Calls != nil {
		s.calls = d.Calls
	}
}

// called makes the step in which a request to the model has ended, or nil if the answer is
// complete. What is wrong with its calls is known at once.
func (r *reader) called(s *said, c *chain) *step {
	if s.calls == nil || c.ended() {
		return nil
	}
	c.steps++
	made := &step{number: c.steps, ToolsCalled: chat.ToolsCalled{
		TurnID: r.q.Turn.ID, MessageID: r.q.Turn.MessageID, ModelID: s.model,
		Content: s.text.String(), Thought: s.thought.String(), Calls: s.calls.List, Back: s.calls.Back,
		Duplex: r.q.Turn.Duplex, Correlation: r.q.Turn.Correlation,
	}}
	cut := s.finish == chat.FinishLength
	if cut && c.cut {
		return nil // it was told, and does it again
	}
	fine := false
	offered := r.o.Tools.Offered(s.model, r.page)
	for i := range made.Calls {
		call := &made.Calls[i]
		call.ID = newCallID()
		wrong := r.wrong(s.model, *call, cut, c)
		if wrong == "" {
			call.OnPage, call.Requested = whoRuns(offered, call.Name)
			fine = true
			continue
		}
		c.cut = c.cut || cut
		end := r.q.Turn.ToolEnded(*call)
		end.State, end.Result = chat.ToolFailed, wrong
		made.outcomes = append(made.outcomes, end)
	}
	c.count(fine, len(made.Calls) == 0)
	return made
}

// whoRuns reports whether a page runs the tool with the name, or a program that has asked.
func whoRuns(offered []chat.Tool, name string) (onPage, requested bool) {
	i := slices.IndexFunc(offered, func(t chat.Tool) bool { return t.Name == name })
	if i < 0 {
		return false, false
	}
	return offered[i].OnPage, offered[i].Requested
}

// count notes whether a step had a call that could run, or was a mere pause.
func (c *chain) count(fine, pause bool) {
	switch {
	case pause:
		c.pauses++
	case fine:
		c.broken = 0
	default:
		c.broken++
	}
}

// ended reports whether the model may call no more.
func (c *chain) ended() bool {
	return c.steps >= maxSteps || c.broken >= maxBroken || c.pauses >= maxPauses
}

// note says, in the end of a turn, why the model was told to call no more, or "".
func (c *chain) note() string {
	switch {
	case c.steps >= maxSteps:
		return fmt.Sprintf("it called tools in %d steps, and then had to answer without more", maxSteps)
	case c.broken >= maxBroken:
		return fmt.Sprintf("its calls were wrong %d times in a row, and then it had to answer without", maxBroken)
	}
	return ""
}

// wrong returns what is wrong with a call, in words for the model, or "".
func (r *reader) wrong(model chat.ModelID, call chat.ToolCall, cut bool, c *chain) string {
	if cut && !json.Valid([]byte(call.Arguments)) {
		return "not run: your call was cut off, because your answer has reached its limit of tokens. Do it in smaller parts"
	}
	if !r.mayCall(call.Name) {
		return fmt.Sprintf("not run: the tool %q is not to be used for this answer", call.Name)
	}
	if wrong := r.o.Tools.Check(model, r.page, call); wrong != "" {
		return "not run: " + wrong
	}
	key := call.Name + "\x00" + call.Arguments
	if c.runs == nil {
		c.runs = make(map[string]int)
	}
	if c.runs[key]++; c.runs[key] > maxRepeats {
		return fmt.Sprintf("not run: you have called this %d times with the same arguments already. Use what it answered", maxRepeats)
	}
	return ""
}

// outcomesOf has the room record a step and run its calls, and waits for what comes of
// them. It returns none if the attempt ends before.
func (r *reader) outcomesOf(ctx context.Context, s *step) []chat.ToolEnded {
	results := make(chan []chat.ToolEnded, 1)
	s.results = results
	r.tell(stepped{s})
	select {
	case outcomes := <-results:
		return outcomes
	case <-ctx.Done():
		return nil
	}
}

// messagesOf returns a step and its outcomes as the model is told them.
func messagesOf(s chat.ToolsCalled, outcomes []chat.ToolEnded) []chat.PromptMessage {
	return conversation.StepMessages(s, func(c chat.ToolCall) chat.ToolEnded {
		for _, o := range outcomes {
			if o.CallID == c.ID {
				return o
			}
		}
		return chat.ToolEnded{State: chat.ToolStopped, Result: "this was stopped before it had ended"}
	})
}

// runTool runs a call. A tool that panics has failed, and nothing else.
func (o *Options) runTool(ctx context.Context, run chat.ToolRun) (result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			o.Logger.Error("tool panicked", "tool", run.Call.Name, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the tool failed")
		}
	}()
	result, err = o.Tools.Run(ctx, run)
	return Bounded(result), err
}

// Bounded returns a result as a model is told it: not all of it if it is long, which is said.
func Bounded(result string) string {
	result = strings.ToValidUTF8(result, "\uFFFD")
	if len(result) > maxToolResult {
		result = strings.ToValidUTF8(result[:maxToolResult], "") + fmt.Sprintf("\n(cut: this is the beginning of %d bytes)", len(result))
	}
	return result
}

// callIDLen is the length of the ids of calls: nine letters and digits are taken by all
// providers.
const callIDLen = 9

func newCallID() string { return rand.Text()[:callIDLen] }
