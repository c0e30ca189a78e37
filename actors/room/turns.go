package room

import (
	"slices"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Regenerate asks for another answer to the message that Answer has answered. The
// reply is a [Queued].
type Regenerate struct {
	Caller
	Answer   chat.MessageID
	ModelID  chat.ModelID  // empty: the one that gave the answer
	ClientID chat.ClientID // empty: not idempotent
}

func (c *Regenerate) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Regenerate, c.ClientID, c.recall(r))
	if !fresh {
		return
	}
	var turn chat.TurnQueued
	var answer chat.Message
	refusal := r.guestAsks(c.Caller, c.ModelID)
	if refusal == nil {
		answer, refusal = r.records.answer(c.Answer)
	}
	if refusal == nil {
		turn, refusal = r.moment().Regenerate(c.User.ID, answer, c.ModelID, c.ClientID)
	}
	if refusal == nil {
		refusal = r.budget.shortFor(chat.Turn{Prompt: turn.Prompt, PromptSeq: turn.PromptSeq, ModelID: turn.ModelID, By: c.User.ID}, nil)
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, key, Queued{turn.TurnID}, turn)
	r.advance()
}

func (c *Regenerate) recall(r *Room) recall {
	return func(record chat.Record) (any, bool) {
		turn, queued := record.Event.(chat.TurnQueued)
		return Queued{turn.TurnID}, queued && turn.Again == c.Answer && r.names(c.ModelID, turn.ModelID)
	}
}

// answer returns an answer that is on disk. Old records do not hold the number of
// the prompt, so answer looks it up.
func (r *recorder) answer(id chat.MessageID) (chat.Message, *chat.Error) {
	m, refusal := r.find(id)
	switch {
	case refusal != nil:
		return m, refusal
	case m.Role != chat.RoleAssistant:
		return m, errNoAnswer
	case m.PromptSeq > 0:
		return m, nil
	}
	prompt, refusal := r.find(m.Prompt)
	if refusal == nil && prompt.Seq == 0 {
		refusal = errNoAnswer
	}
	m.PromptSeq = prompt.Seq
	return m, refusal
}

// ListTurns asks for the turns that have not ended. The reply is [Turns].
type ListTurns struct{ Caller }

func (c *ListTurns) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Read); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.reply(c.Caller, Turns{slices.Clone(r.records.shown.Turns)})
}

// StopTurn stops a turn, running or queued. Without a TurnID it stops the turn that
// runs, or else the next one. The reply is a [Stopped].
type StopTurn struct {
	Caller
	TurnID   chat.TurnID
	Reason   string
	ClientID chat.ClientID // empty: not idempotent
}

// do ends the turn at once and does not wait for the provider. Pieces of the answer
// that come later are dropped.
func (c *StopTurn) do(r *Room) {
	if key, fresh := r.begin(c.Caller, access.Stop, c.ClientID, c.recall); fresh {
		c.stop(r, key)
	}
}

func (c *StopTurn) stop(r *Room, key string) {
	events, stopped, refusal := r.moment().Stop(c.TurnID, c.User.ID, c.Reason, c.ClientID)
	switch {
	case refusal != nil:
		r.refuse(c.Caller, refusal)
		return
	case len(events) == 0:
		r.records.changesNothing(key)
		r.reply(c.Caller, Stopped{})
		return
	}
	r.stage.stop(events)
	p := r.records.propose(c.Caller, key, Stopped{TurnID: stopped}, events...)
	p.unrecorded = func() any { return c.unrecorded(r, key, stopped) }
	r.advance()
}

// unrecorded returns the reply to a stop that the disk has refused: that of a success, if
// the provider has been stopped. The attempt keeps its end until that is recorded.
func (c *StopTurn) unrecorded(r *Room, key string, stopped chat.TurnID) any {
	if !r.stage.runs(stopped) || !r.stage.attempt.Ended() {
		return nil
	}
	if c.TurnID == "" {
		r.records.changesNothing(key) // repeated, it must not stop the next turn
	}
	return Stopped{TurnID: stopped, Unrecorded: true}
}

func (c *StopTurn) recall(record chat.Record) (any, bool) {
	end, stopped := record.Event.(chat.TurnEnded)
	if record.Event == nil {
		return Stopped{}, c.TurnID == ""
	}
	return Stopped{TurnID: end.TurnID}, stopped && (c.TurnID == "" || c.TurnID == end.TurnID) && c.Reason == end.Reason
}
