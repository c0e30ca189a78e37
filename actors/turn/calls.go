package turn

import (
	"context"
	"slices"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// A step is one that has ended in calls of tools. The reader has made it, and waits for the
// outcomes of all calls.
type step struct {
	chat.ToolsCalled
	number   int  // of the turn's steps, from 1
	recorded bool // on disk

	outcomes []chat.ToolEnded  // that are known, on disk or not
	kept     map[string]bool   // the calls whose outcomes are on disk
	running  map[string]func() // what cancels the calls that run
	progress map[string]chat.ToolProgress
	results  chan<- []chat.ToolEnded
}

// state adds to what the room knows of the attempt.
func (s *step) state(now *conversation.Running) {
	if s == nil {
		return
	}
	now.Steps, now.Step, now.Outcomes = s.number, &s.ToolsCalled, s.outcomes
}

// find returns the place of a call in the step, or -1.
func (s *step) find(id string) int {
	return slices.IndexFunc(s.Calls, func(c chat.ToolCall) bool { return c.ID == id })
}

// change changes the arguments of a call, as a member wants them. The record of the step
// shares the list.
func (s *step) change(i int, arguments string) {
	s.Calls = slices.Clone(s.Calls)
	s.Calls[i].Arguments = arguments
}

// ended reports whether the outcome of a call is known.
func (s *step) ended(id string) bool {
	return slices.ContainsFunc(s.outcomes, func(o chat.ToolEnded) bool { return o.CallID == id })
}

// calling is what an attempt does about the calls of its last step.
type calling struct {
	a     *Attempt
	step  *step        // the last one that ended in calls, or nil
	early []chat.Event // of calls of earlier attempts, before the step is known
}

// stepped takes a step from the reader. If the disk has it already, an earlier attempt has
// come as far.
func (c *calling) stepped(s *step) {
	if c.a.end != nil {
		return
	}
	c.step = s
	if s.recorded {
		for i := range s.Calls {
			s.Calls[i].NeedsApproval = c.a.room.Waiting(s.Calls[i].ID)
		}
		for _, e := range c.early {
			c.take(e)
		}
		c.runAll()
		return
	}
	c.a.before, c.a.finish, c.a.resumes, c.a.run = c.a.used(), "", true, run{a: c.a}
	c.a.usage = nil
	c.a.spent.step()
	for i := range s.Calls {
		if call := &s.Calls[i]; !s.ended(call.ID) {
			call.NeedsApproval = c.asks(s.ModelID, *call)
		}
	}
	c.beforeRecorded()
	c.a.room.Advance()
}

// asks reports whether a member has to approve the call.
func (c *calling) asks(model chat.ModelID, call chat.ToolCall) bool {
	switch c.a.o.Tools.Approval(model, call) {
	case chat.ApprovalNever:
		return false
	case chat.ApprovalAsk:
		return !c.a.room.Approved(call.Name)
	}
	return true
}

// Recorded tells the attempt of a record of its turn.
func (a *Attempt) Recorded(e chat.Event) {
	if run, is := e.(chat.TurnRun); is {
		a.run.recordedAs(run)
		return
	}
	if a.end == nil {
		a.calling.recorded(e)
	}
}

func (c *calling) recorded(e chat.Event) {
	switch called, is := e.(chat.ToolsCalled); {
	case is && c.step != nil && c.step.MessageID == called.MessageID && !c.step.recorded:
		c.step.recorded = true
		c.runAll()
	case c.step == nil:
		c.early = append(c.early, e)
	default:
		c.take(e)
		c.settle()
	}
}

// take takes in what was recorded of a call.
func (c *calling) take(e chat.Event) {
	s := c.step
	switch e := e.(type) {
	case chat.ToolDecided:
		i := s.find(e.CallID)
		if i < 0 || !e.Approved {
			return
		}
		if e.Args != "" {
			s.change(i, e.Args)
		}
		c.runOne(s.Calls[i])
	case chat.ToolEnded:
		s.end(e)
	}
}

// end takes the recorded outcome of a call, which a member or a page may have brought.
func (s *step) end(e chat.ToolEnded) {
	switch i := slices.IndexFunc(s.outcomes, func(o chat.ToolEnded) bool { return o.CallID == e.CallID }); {
	case i >= 0:
		s.outcomes = slices.Clone(s.outcomes)
		s.outcomes[i] = e
	case s.find(e.CallID) >= 0:
		s.outcomes = append(s.outcomes, e)
	}
	if cancel := s.running[e.CallID]; cancel != nil {
		delete(s.running, e.CallID)
		cancel()
	}
	s.keep(e.CallID)
}

// keep notes that the outcome of a call is on disk.
func (s *step) keep(call string) {
	if s.kept == nil {
		s.kept = make(map[string]bool)
	}
	s.kept[call] = true
}

// runAll runs the calls that wait for nobody.
func (c *calling) runAll() {
	for _, call := range c.step.Calls {
		if !call.NeedsApproval && !c.step.ended(call.ID) {
			c.runOne(call)
		}
	}
	c.a.room.Advance() // what is wrong with the others is recorded
	c.settle()
}

// runOne runs a call, on a goroutine of its own or on a page.
func (c *calling) runOne(call chat.ToolCall) {
	if c.step.running[call.ID] != nil || c.step.ended(call.ID) {
		return
	}
	if c.step.running == nil {
		c.step.running = make(map[string]func())
	}
	if call.OnPage {
		c.step.running[call.ID] = c.a.runOnPage(call)
		return
	}
	ctx, cancel := context.WithCancel(c.a.context)
	c.step.running[call.ID] = cancel
	news := &news{tell: func(p chat.ToolProgress) { c.a.tell(progressed{call.ID, p}) }}
	run := chat.ToolRun{Call: call, Room: c.a.q.Room, User: c.a.turn.By, Key: call.ID, Progress: news.note}
	c.a.o.Goroutines.Go(func() {
		defer cancel()
		defer news.end()
		result, err := c.a.o.runTool(ctx, run)
		c.a.tell(ran{call.ID, result, err})
	})
}

// FailCall ends a call that no page has answered.
func (a *Attempt) FailCall(id string, why *chat.Error) { a.calling.ran(ran{call: id, err: why}) }

// ran takes the outcome of a call.
func (c *calling) ran(r ran) {
	s := c.step
	if c.a.end != nil || s == nil || s.running[r.call] == nil {
		return
	}
	s.running[r.call]()
	delete(s.running, r.call)
	end := c.a.turn.ToolEnded(s.Calls[s.find(r.call)])
	end.State, end.Result = chat.ToolCompleted, r.result
	if r.err != nil {
		end.State, end.Result = chat.ToolFailed, chat.AsError(r.err).Message
	}
	if s.forgets(r.call) {
		c.settle()
		return
	}
	s.outcomes = append(s.outcomes, end)
	c.a.room.Advance()
}

// settle gives the outcomes to the reader when all of them are on disk. While members are
// waited for, the time that the attempt has does not run.
func (c *calling) settle() {
	s := c.step
	c.a.clock.stand(s.recorded && len(s.running) == 0 && len(s.outcomes) < len(s.Calls))
	if s.results == nil || !s.recorded || len(s.kept) < len(s.Calls) {
		return
	}
	s.results <- s.outcomes
	s.results = nil
}

// cancel ends the calls that run.
func (c *calling) cancel() {
	if c.step == nil {
		return
	}
	for _, cancel := range c.step.running {
		cancel()
	}
}
