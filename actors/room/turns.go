package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Regenerate asks for another answer to a message that is in the log, from the
// model. It is answered with a [Queued].
type Regenerate struct {
	Caller
	Prompt    chat.MessageID
	PromptSeq uint64
	ModelID   chat.ModelID
}

func (c *Regenerate) do(r *Room) {
	refusal := r.admit(c.Caller, access.Regenerate)
	var turn chat.TurnQueued
	if refusal == nil {
		turn, refusal = r.moment().Regenerate(c.User.ID, c.Prompt, c.PromptSeq, c.ModelID)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, "", Queued{turn.TurnID}, turn)
	r.advance()
}

// StopTurn stops a turn, running or queued; without a TurnID the one that
// runs or runs next. It is answered with a [Stopped].
type StopTurn struct {
	Caller
	TurnID chat.TurnID
	Reason string
}

// do ends the turn at once, whatever its provider does: what arrives from it
// later belongs to no turn and is dropped.
func (c *StopTurn) do(r *Room) {
	refusal := r.admit(c.Caller, access.Stop)
	var events []chat.Event
	var stopped chat.TurnID
	if refusal == nil {
		events, stopped, refusal = r.moment().Stop(c.TurnID, c.User.ID, c.Reason)
	}
	switch {
	case refusal != nil:
		r.refuse(c.Caller, refusal)
		return
	case len(events) == 0:
		r.reply(c.Caller, Stopped{})
		return
	}
	r.stage.stop(events)
	r.records.propose(c.Caller, "", Stopped{stopped}, events...)
	r.advance()
}
