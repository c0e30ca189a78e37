package room

import (
	"cmp"
	"context"
	"math"

	"parlor/protocol/chat"
)

// steer asks for what was said to the running turn. It is the turn's own, which
// waits for one answer.
type steer struct {
	run    int
	answer chan<- []Steering // has room for it
}

func (*steer) roomMessage() {}

// steer gives the running turn what was said to it, once it is on disk that the
// turn has taken that in.
func (r *Room) steer(m *steer) {
	said := r.head.untaken(math.MaxUint64)
	if r.run == nil || r.run.number != m.run || r.run.end != nil || r.deleting || len(said) == 0 {
		m.answer <- nil
		return
	}
	e := chat.TurnSteered{TurnID: r.run.turn.ID}
	for _, s := range said {
		e.Messages = append(e.Messages, s.MessageID)
	}
	r.propose(Caller{}, "", nil, e).done = func(refusal *chat.Error) {
		if refusal != nil {
			said = nil // it stays to be asked for
		}
		m.answer <- said
	}
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
	answer := make(chan []Steering, 1)
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
