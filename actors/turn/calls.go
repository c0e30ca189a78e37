package turn

import (
	"context"
	"slices"
	"time"

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

// stepped takes a step from the reader. If the disk has it already, an earlier attempt has
// come as far.
func (a *Attempt) stepped(s *step) {
	if a.end != nil {
		return
	}
	a.step = s
	if s.recorded {
		for i := range s.Calls {
			s.Calls[i].NeedsApproval = a.room.Waiting(s.Calls[i].ID)
		}
		for _, e := range a.early {
			a.take(e)
		}
		a.runAll()
		return
	}
	a.before, a.finish, a.resumes, a.run = a.used(), "", true, run{}
	a.usage = nil
	a.spent.step()
	for i := range s.Calls {
		if c := &s.Calls[i]; !s.ended(c.ID) {
			c.NeedsApproval = a.asks(s.ModelID, *c)
		}
	}
	a.beforeRecorded()
	a.room.Advance()
}

// asks reports whether a member has to approve the call.
func (a *Attempt) asks(model chat.ModelID, c chat.ToolCall) bool {
	switch a.o.Tools.Approval(model, c) {
	case chat.ApprovalNever:
		return false
	case chat.ApprovalAsk:
		return !a.room.Approved(c.Name)
	}
	return true
}

// Recorded tells the attempt of a record of its turn.
func (a *Attempt) Recorded(e chat.Event) {
	if run, is := e.(chat.TurnRun); is {
		a.runRecorded(run)
		return
	}
	switch called, is := e.(chat.ToolsCalled); {
	case a.end != nil:
	case is && a.step != nil && a.step.MessageID == called.MessageID && !a.step.recorded:
		a.step.recorded = true
		a.runAll()
	case a.step == nil:
		a.early = append(a.early, e)
	default:
		a.take(e)
		a.settle()
	}
}

// take takes in what was recorded of a call.
func (a *Attempt) take(e chat.Event) {
	s := a.step
	switch e := e.(type) {
	case chat.ToolDecided:
		i := s.find(e.CallID)
		if i < 0 || !e.Approved {
			return
		}
		if e.Args != "" {
			s.change(i, e.Args)
		}
		a.runOne(s.Calls[i])
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
func (a *Attempt) runAll() {
	for _, c := range a.step.Calls {
		if !c.NeedsApproval && !a.step.ended(c.ID) {
			a.runOne(c)
		}
	}
	a.room.Advance() // what is wrong with the others is recorded
	a.settle()
}

// runOne runs a call, on a goroutine of its own or on a page.
func (a *Attempt) runOne(c chat.ToolCall) {
	if a.step.running[c.ID] != nil || a.step.ended(c.ID) {
		return
	}
	if a.step.running == nil {
		a.step.running = make(map[string]func())
	}
	if c.OnPage {
		a.step.running[c.ID] = a.room.RunOnPage(c)
		return
	}
	ctx, cancel := context.WithCancel(a.context)
	a.step.running[c.ID] = cancel
	news := &news{tell: func(p chat.ToolProgress) { a.tell(progressed{c.ID, p}) }}
	run := chat.ToolRun{Call: c, Room: a.q.Room, User: a.turn.By, Key: c.ID, Progress: news.note}
	a.o.Goroutines.Go(func() {
		defer cancel()
		defer news.end()
		result, err := a.o.runTool(ctx, run)
		a.tell(ran{c.ID, result, err})
	})
}

// FailCall ends a call that no page has answered.
func (a *Attempt) FailCall(id string, why *chat.Error) { a.ran(ran{call: id, err: why}) }

// ran takes the outcome of a call.
func (a *Attempt) ran(r ran) {
	s := a.step
	if a.end != nil || s == nil || s.running[r.call] == nil {
		return
	}
	s.running[r.call]()
	delete(s.running, r.call)
	end := a.turn.ToolEnded(s.Calls[s.find(r.call)])
	end.State, end.Result = chat.ToolCompleted, r.result
	if r.err != nil {
		end.State, end.Result = chat.ToolFailed, chat.AsError(r.err).Message
	}
	if s.forgets(r.call) {
		a.settle()
		return
	}
	s.outcomes = append(s.outcomes, end)
	a.room.Advance()
}

// settle gives the outcomes to the reader when all of them are on disk. While members are
// waited for, the time that the attempt has does not run.
func (a *Attempt) settle() {
	s := a.step
	a.expire(s.recorded && len(s.running) == 0 && len(s.outcomes) < len(s.Calls))
	if s.results == nil || !s.recorded || len(s.kept) < len(s.Calls) {
		return
	}
	s.results <- s.outcomes
	s.results = nil
}

// expire stops the clock of the attempt, or lets it go on.
func (a *Attempt) expire(waiting bool) {
	switch {
	case waiting && a.left == 0:
		a.left = max(time.Until(a.deadline), time.Nanosecond)
		a.expiry.Stop()
	case !waiting && a.left > 0:
		a.deadline = time.Now().Add(a.left)
		a.expiry.Reset(a.left)
		a.left = 0
	}
}

// cancelRuns ends the calls that run.
func (a *Attempt) cancelRuns() {
	if a.step == nil {
		return
	}
	for _, cancel := range a.step.running {
		cancel()
	}
}
