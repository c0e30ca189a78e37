package room

import (
	"cmp"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Regenerate asks for another answer to the message that an answer was given to.
// It is answered with a [Queued].
type Regenerate struct {
	Caller
	Answer  chat.MessageID
	ModelID chat.ModelID // empty: the one that gave the answer
}

func (c *Regenerate) do(r *Room) {
	refusal := r.admit(c.Caller, access.Regenerate)
	var turn chat.TurnQueued
	var answer chat.Message
	if refusal == nil {
		answer, refusal = r.answerOf(c.Answer)
	}
	if refusal == nil {
		turn, refusal = r.moment().Regenerate(c.User.ID, answer.Prompt, answer.PromptSeq, cmp.Or(c.ModelID, answer.ModelID))
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.records.propose(c.Caller, "", Queued{turn.TurnID}, turn)
	r.advance()
}

// answerOf returns an answer that is on disk, with the place of its prompt, which
// old records do not say.
func (r *Room) answerOf(id chat.MessageID) (chat.Message, *chat.Error) {
	m, refusal := r.records.find(id)
	switch {
	case refusal != nil:
		return m, refusal
	case m.Role != chat.RoleAssistant:
		return m, errNoAnswer
	case m.PromptSeq > 0:
		return m, nil
	}
	prompt, refusal := r.records.find(m.Prompt)
	if refusal == nil && prompt.Seq == 0 {
		refusal = errNoAnswer
	}
	m.PromptSeq = prompt.Seq
	return m, refusal
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
