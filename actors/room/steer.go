package room

import (
	"cmp"
	"context"
	"math"

	"parlor/protocol/chat"
)

// steer asks for what was said to the running turn. It is the turn's own.
type steer struct {
	run int
	to  steering
}

func (*steer) roomMessage() {}

// steering is the address where a turn waits for one answer.
type steering chan []Steering

// Deliver implements Address. A refusal is an answer too: what was said stays
// to be asked for.
func (s steering) Deliver(d Delivery) {
	reply, _ := d.(Reply)
	said, _ := reply.Body.([]Steering)
	select {
	case s <- said:
	default:
	}
}

// steer gives the running turn what was said to it, once it is on disk that the
// turn has taken that in.
func (r *Room) steer(m *steer) {
	to := Caller{Address: m.to}
	said := r.head.untaken(math.MaxUint64)
	if r.run == nil || r.run.number != m.run || r.run.end != nil || r.deleting || len(said) == 0 {
		reply(to, nil)
		return
	}
	e := chat.TurnSteered{TurnID: r.run.turn.ID}
	for _, s := range said {
		e.Messages = append(e.Messages, s.MessageID)
	}
	r.propose(to, "", said, e)
}

// untaken returns what the running turn has not taken in of what was said to it
// before record before.
func (s *State) untaken(before uint64) (said []Steering) {
	for _, m := range s.Steering {
		if !m.Taken && m.Seq < before {
			said = append(said, m)
		}
	}
	return said
}

// ending returns what is recorded of the end of a turn. If it did not take in
// all that was said to it, one turn that runs next answers the last of that, and
// so all: however a turn ends, nothing that was said is left unanswered.
func (r *Room) ending(end chat.TurnEnded) []chat.Event {
	return append([]chat.Event{end}, r.followUp(end, r.head.waiting(), math.MaxUint64)...)
}

// followUp is that turn, of what was said before record until. It runs before
// the turn next.
func (r *Room) followUp(end chat.TurnEnded, next chat.TurnID, until uint64) []chat.Event {
	said := r.head.untaken(until)
	if len(said) == 0 || r.head.Find(end.TurnID) != 0 {
		return nil
	}
	last := said[len(said)-1]
	return []chat.Event{chat.TurnQueued{
		TurnID: chat.TurnID(newID()), Prompt: last.MessageID, PromptSeq: last.Seq,
		ModelID: r.head.Turns[0].ModelID, By: last.By, Before: next, // not end's: another may have answered in its place
	}}
}

// steer is [chat.Prompt]'s: it returns what people said meanwhile. What cannot
// be read fails the turn, since the room takes it for taken in.
func (t *turnActor) steer(ctx context.Context) (said []chat.PromptMessage) {
	answer := make(steering, 1)
	t.room.Tell(&steer{t.number, answer})
	select {
	case list := <-answer:
		for _, s := range list {
			m, err := message(ctx, t.o.Log, t.id, s.Seq)
			if err != nil || m.Author == nil { // with the chat it is gone
				t.cancel(cmp.Or[error](err, errNoMessage))
				return nil
			}
			t.names.add(*m.Author)
			said = append(said, chat.PromptMessage{ID: m.ID, Role: m.Role, Content: t.names.say(m.Author.ID, m.Content)})
		}
	case <-ctx.Done():
	}
	return said
}
