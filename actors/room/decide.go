package room

import (
	"context"
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Decide decides about a call of a tool that waits. The reply is a [Decided].
type Decide struct {
	Caller
	CallID    string
	Approved  bool
	Arguments string // instead of those that the model wrote; empty: those
	Always    bool   // nobody is asked again in this chat
	Reason    string
	ClientID  chat.ClientID // empty: not idempotent
}

func (*Decide) roomMessage() {}

// DecideAs returns the command of the caller to decide.
func DecideAs(c Caller, d chat.Decide) *Decide {
	return &Decide{Caller: c, CallID: d.CallID, Approved: d.Approved, Arguments: d.Arguments, Always: d.Always, Reason: d.Reason, ClientID: d.ClientID}
}

// A Decided is the reply to a [Decide].
type Decided struct {
	CallID   string
	Approved bool
}

func (c *Decide) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Approve, c.ClientID, c.recall)
	if !fresh {
		return
	}
	events, refusal := conversation.Calls{State: r.records.head}.Decide(chat.ToolDecided{
		CallID: c.CallID, Approved: c.Approved, Args: c.Arguments, Always: c.Always, By: c.User.ID, Reason: c.Reason, ClientID: c.ClientID,
	})
	if refusal == nil {
		refusal = r.stage.fitting(c)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, key, Decided{c.CallID, c.Approved}, events...)
	r.advance()
}

func (c *Decide) recall(record chat.Record) (any, bool) {
	e, decided := record.Event.(chat.ToolDecided)
	return Decided{e.CallID, e.Approved}, decided && e.CallID == c.CallID && e.Approved == c.Approved && e.Args == c.Arguments
}

// pendingCalls returns the calls that wait for a member to decide, or for a page to answer.
func (r *recorder) pendingCalls() (list []chat.Pending) {
	shown := r.shown
	if !slices.ContainsFunc(shown.Calls, pending) {
		return nil
	}
	var steps conversation.Steps
	for record, err := range conversation.Records(context.Background(), r.Log.Read(string(r.id), shown.Calls[0].Seq-1)) {
		if err != nil {
			r.room.log().Error("calls that wait cannot be read", "err", err)
			return nil
		}
		if conversation.TurnOf(record.Event) == shown.Turns[0].ID {
			steps.Add(record.Event)
		}
	}
	last, _, _ := steps.Last()
	for _, c := range last.Calls {
		if open, is := shown.Call(c.ID); is && pending(open) {
			list = append(list, chat.Pending{Call: c, Lost: open.Lost, Running: !open.Waits})
		}
	}
	return list
}

func pending(c conversation.Call) bool { return c.Waits || c.OnPage }

// fitting returns why the arguments that a member has changed do not fit the tool, or nil.
func (s *stage) fitting(c *Decide) *chat.Error {
	t, _ := s.r.records.head.Turn()
	call, open := s.r.records.head.Call(c.CallID)
	if !open || c.Arguments == "" {
		return nil
	}
	if wrong := s.r.Tools.Check(t.ModelID, s.r.pages.of(t.By), chat.ToolCall{ID: call.ID, Name: call.Name, Arguments: c.Arguments}); wrong != "" {
		return chat.Refuse(chat.CodeInvalid, wrong)
	}
	return nil
}

// approvalTick comes when nobody may have decided about a call in time.
type approvalTick struct{}

func (*approvalTick) roomMessage() {}

// A deadline is when the call that has waited longest for a member is denied.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

// watchApprovals has calls denied about which nobody decides in time.
func (s *stage) watchApprovals() {
	var at time.Time
	if since := s.r.records.shown.WaitsSince(); !since.IsZero() {
		at = since.Add(s.r.ApprovalExpiry)
	}
	if s.deadline != nil {
		if s.deadline.at.Equal(at) {
			return
		}
		s.deadline.timer.Stop()
		s.deadline = nil
	}
	if !at.IsZero() {
		s.deadline = &deadline{at, s.r.self.After(time.Until(at), &approvalTick{})}
	}
}
