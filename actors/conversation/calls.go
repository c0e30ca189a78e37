package conversation

import (
	"fmt"
	"slices"
	"time"

	"parlor/protocol/chat"
)

// A Call is a call of a tool that has not ended.
type Call struct {
	ID    string
	Name  string
	Seq   uint64 // of the record of its step
	Waits bool   // for a member to decide
	Lost  bool   // the server ended while it ran; it waits

	OnPage bool `json:",omitempty"` // see [chat.ToolCall]

	// Since is when it began to wait for a member. It is zero in snapshots of older
	// versions: these calls wait on.
	Since time.Time `json:",omitzero"`
}

// maxApproved is how many tools of a chat are remembered that run without anybody being
// asked. Past it members are asked again.
const maxApproved = 256

var (
	errNoCall = chat.Refuse(chat.CodeNotFound, "no such call waits for a decision")

	// ErrNoPageCall refuses the answer of a page to a call that does not wait for it.
	ErrNoPageCall = chat.Refuse(chat.CodeNotFound, "no such call waits for a page to answer it")

	errNotAsker = chat.Refuse(chat.CodeForbidden, "only the member who asked for the answer runs this call")
)

// followCalls folds what happens to the calls of the running turn.
func (s *State) followCalls(r chat.Record) error {
	turn, is := turnOfCall(r.Event)
	if !is {
		return fmt.Errorf("record %d: %w", r.Seq, chat.ErrUnknownEvent)
	}
	if s.Find(turn) != 0 {
		return fmt.Errorf("record %d is about a tool of turn %q, which does not run", r.Seq, turn)
	}
	switch e := r.Event.(type) {
	case chat.ToolsCalled:
		if len(s.Calls) > 0 {
			return fmt.Errorf("record %d calls tools, though calls are open", r.Seq)
		}
		s.call(r, e)
		s.Summary.step(e)
	case chat.ToolsLost:
		for i, c := range s.Calls {
			if slices.Contains(e.Calls, c.ID) {
				s.Calls[i].Waits, s.Calls[i].Lost, s.Calls[i].Since = true, true, r.At
			}
		}
	case chat.ToolDecided:
		i := s.openCall(e.CallID)
		if i < 0 {
			return fmt.Errorf("record %d decides about call %q, which is not open", r.Seq, e.CallID)
		}
		s.Calls[i].Waits, s.Calls[i].Lost, s.Calls[i].Since = false, false, time.Time{}
		if e.Always && !slices.Contains(s.Approved, e.Name) && len(s.Approved) < maxApproved {
			s.Approved = append(s.Approved, e.Name)
		}
		s.Summary.decided(e)
	case chat.ToolEnded:
		i := s.openCall(e.CallID)
		if i < 0 {
			return fmt.Errorf("record %d ends call %q, which is not open", r.Seq, e.CallID)
		}
		s.Calls = slices.Delete(s.Calls, i, i+1)
		s.Summary.ended(e)
	}
	s.Turns[0].Waits = slices.ContainsFunc(s.Calls, func(c Call) bool { return c.Waits })
	return nil
}

// turnOfCall returns the turn of an event that is about calls.
func turnOfCall(e chat.Event) (id chat.TurnID, is bool) {
	switch e := e.(type) {
	case chat.ToolsLost:
		return e.TurnID, true
	case chat.ToolsCalled, chat.ToolDecided, chat.ToolEnded:
		return TurnOf(e), true
	}
	return "", false
}

func (s *State) call(r chat.Record, e chat.ToolsCalled) {
	first := &s.Turns[0]
	if first.Steps++; first.Steps == 1 {
		first.FirstStep = r.Seq
	}
	first.Progress, first.Run = first.Attempt, chat.Run{} // the next step has one of its own
	for _, c := range e.Calls {
		call := Call{ID: c.ID, Name: c.Name, Seq: r.Seq, Waits: c.NeedsApproval, OnPage: c.OnPage}
		if call.Waits {
			call.Since = r.At
		}
		s.Calls = append(s.Calls, call)
	}
}

// openCall returns the place of a call among Calls, or -1.
func (s *State) openCall(id string) int {
	return slices.IndexFunc(s.Calls, func(c Call) bool { return c.ID == id })
}

// Call returns a call that has not ended.
func (s *State) Call(id string) (c Call, open bool) {
	if i := s.openCall(id); i >= 0 {
		return s.Calls[i], true
	}
	return c, false
}

// Calls decides what becomes of calls that wait for people.
type Calls struct{ *State }

// Decide decides about a call that waits. If it is denied, that is its end.
func (c Calls) Decide(d chat.ToolDecided) ([]chat.Event, *chat.Error) {
	i := c.openCall(d.CallID)
	if i < 0 || !c.Calls[i].Waits {
		return nil, errNoCall
	}
	call := c.Calls[i]
	d.TurnID, d.Name = c.Turns[0].ID, call.Name
	for _, other := range c.Calls {
		if other.Waits && other.ID != call.ID {
			d.Waiting++
		}
	}
	events := []chat.Event{d}
	if !d.Approved {
		events = append(events, c.denied(call, d))
	}
	return events, nil
}

func (c Calls) denied(call Call, d chat.ToolDecided) chat.ToolEnded {
	end := c.Turns[0].ToolEnded(chat.ToolCall{ID: d.CallID, Name: call.Name})
	end.State, end.By, end.Result = chat.ToolDenied, d.By, "a person has denied this call"
	const lost = "the server was restarted while this ran: nobody knows whether it has had an effect, and "
	switch {
	case call.Lost && d.Expired():
		end.State, end.Result = chat.ToolUnknown, lost+"it was not run again"
	case call.Lost:
		end.State, end.Result = chat.ToolUnknown, lost+"a person decided not to run it again"
	case d.Expired():
		end.Result = "this call has not run"
	}
	if d.Reason != "" {
		end.Result += ": " + d.Reason
	}
	return end
}

// Expire denies calls about which nobody has decided within the time.
func (c Calls) Expire(now time.Time, within time.Duration) []chat.Event {
	for _, call := range c.Calls {
		if call.Waits && !call.Since.IsZero() && !now.Before(call.Since.Add(within)) {
			events, _ := c.Decide(chat.ToolDecided{CallID: call.ID, Reason: fmt.Sprintf("nobody has decided about it within %s", within)})
			return events
		}
	}
	return nil
}

// WaitsSince returns when the call began to wait that has waited longest for a member, or
// the zero time if none waits.
func (s *State) WaitsSince() (since time.Time) {
	for _, c := range s.Calls {
		if c.Waits && !c.Since.IsZero() && (since.IsZero() || c.Since.Before(since)) {
			since = c.Since
		}
	}
	return since
}

// AnswerCall ends a call that a page has run.
func (c Calls) AnswerCall(by chat.UserID, a chat.AnswerCall) ([]chat.Event, *chat.Error) {
	call, open := c.Call(a.CallID)
	switch {
	case !open || !call.OnPage || call.Waits:
		return nil, ErrNoPageCall
	case by != c.Turns[0].By:
		return nil, errNotAsker
	}
	end := c.Turns[0].ToolEnded(chat.ToolCall{ID: call.ID, Name: call.Name})
	end.State, end.Result, end.By, end.ClientID, end.Choice = chat.ToolCompleted, a.Result, by, chat.PageAnswer(call.ID), a.Choice
	if a.Failed {
		end.State = chat.ToolFailed
	}
	return []chat.Event{end}, nil
}

// lost returns the calls that ran when the server ended and that must not run again by
// themselves. A page may have gone on with its call, or takes it over.
func (m Moment) lost() (ids []string) {
	for _, c := range m.Calls {
		if !c.Waits && !c.OnPage && !m.Repeatable(c.Name) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// endCalls ends the calls of a turn that ends, and has its end tell what it has called.
func (m Moment) endCalls(end *chat.TurnEnded) (ends []chat.Event) {
	if m.Find(end.TurnID) != 0 {
		return nil
	}
	summary := m.Summary
	summary.Calls = slices.Clone(summary.Calls)
	for _, c := range m.Calls {
		e := m.Turns[0].ToolEnded(chat.ToolCall{ID: c.ID, Name: c.Name})
		e.State, e.By, e.Result = chat.ToolStopped, end.By, "the answer was stopped before this had ended"
		if c.Lost {
			e.State, e.Result = chat.ToolUnknown, "the server was restarted while this ran"
		}
		summary.ended(e)
		ends = append(ends, e)
	}
	end.Calls = summary.Calls
	return ends
}
