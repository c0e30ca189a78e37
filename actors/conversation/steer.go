package conversation

import (
	"math"

	"parlor/protocol/chat"
)

// Untaken returns what the running turn has not taken in of what was said to it.
func (s *State) Untaken() []Steering { return s.untaken(math.MaxUint64) }

// untaken returns what of that was said before record before.
func (s *State) untaken(before uint64) (said []Steering) {
	for _, m := range s.Steering {
		if !m.Taken && m.Seq < before {
			said = append(said, m)
		}
	}
	return said
}

// waiting returns the turn that runs next, if there is one.
func (s *State) waiting() chat.TurnID {
	for _, t := range s.Turns {
		if t.Attempt == 0 {
			return t.ID
		}
	}
	return ""
}

// TakeIn returns the record of the running turn taking in what was said to it.
func TakeIn(turn chat.TurnID, said []Steering) chat.TurnSteered {
	e := chat.TurnSteered{TurnID: turn}
	for _, s := range said {
		e.Messages = append(e.Messages, s.MessageID)
	}
	return e
}

// ending returns what is recorded of the end of a turn. If the turn has not taken
// in all that was said to it, another turn runs next and answers the last of that,
// with the rest before it: however a turn ends, nothing is left unanswered.
func (m Moment) ending(end chat.TurnEnded) []chat.Event {
	events := m.endCalls(&end)
	events = append(events, end)
	events = append(events, m.back(end)...)
	return append(events, m.followUp(end, m.waiting(), math.MaxUint64)...)
}

// followUp returns that other turn, or nothing. It answers what was said before
// record until, and runs before the turn next.
func (m Moment) followUp(end chat.TurnEnded, next chat.TurnID, until uint64) []chat.Event {
	said := m.untaken(until)
	if len(said) == 0 || m.Find(end.TurnID) != 0 {
		return nil
	}
	last := said[len(said)-1]
	return []chat.Event{chat.TurnQueued{
		TurnID: chat.TurnID(m.NewID()), Prompt: last.MessageID, PromptSeq: last.Seq,
		ModelID: m.Turns[0].ModelID, By: last.By, Before: next, // not end's: another may have answered in its place
	}}
}
