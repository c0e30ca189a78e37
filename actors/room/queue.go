package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Withdraw takes back a message of the caller that waits to be answered. The reply is a
// [Withdrawn].
type Withdraw struct {
	Caller
	MessageID chat.MessageID
	ClientID  chat.ClientID // empty: not idempotent
}

func (c *Withdraw) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Edit, c.ClientID, c.recall)
	if !fresh {
		return
	}
	old, refusal := r.records.find(c.MessageID)
	var events []chat.Event
	if refusal == nil {
		events, refusal = r.moment().Withdraw(old, c.User.ID, c.ClientID)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, key, Withdrawn{c.MessageID}, events...)
	r.advance()
}

func (c *Withdraw) recall(record chat.Record) (any, bool) {
	e, withdrawn := record.Event.(chat.MessageWithdrawn)
	return Withdrawn{e.MessageID}, withdrawn && e.MessageID == c.MessageID
}

// MoveTurn has a turn that the caller has asked for wait elsewhere: before another one,
// or last if Before is empty. The reply is a [Queued].
type MoveTurn struct {
	Caller
	TurnID, Before chat.TurnID
	ClientID       chat.ClientID // empty: not idempotent
}

func (c *MoveTurn) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Send, c.ClientID, c.recall)
	if !fresh {
		return
	}
	moved, refusal := r.moment().Move(c.TurnID, c.Before, c.User.ID, c.ClientID)
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, key, Queued{c.TurnID}, moved)
	r.advance()
}

func (c *MoveTurn) recall(record chat.Record) (any, bool) {
	e, moved := record.Event.(chat.TurnMoved)
	return Queued{e.TurnID}, moved && e.TurnID == c.TurnID && e.Before == c.Before
}
