package conversation

import "parlor/protocol/chat"

// An Intent is an event that has to be recorded, even if the first commit that holds
// it fails. A room keeps the intent until its event is on disk. It proposes the event
// once in each generation of the head state: when a commit fails, the next generation
// begins. Generations count from 1.
type Intent struct {
	// Events returns the events to record, or none if the time has not come yet.
	Events func(head *State) []chat.Event

	generation int // in which it was proposed last
}

// Propose returns the events to record now. There are none if the head of this
// generation holds them already.
func (i *Intent) Propose(head *State, generation int) []chat.Event {
	if i.In(generation) {
		return nil
	}
	events := i.Events(head)
	if len(events) > 0 {
		i.generation = generation
	}
	return events
}

// In reports whether the events were proposed in the generation.
func (i *Intent) In(generation int) bool { return i.generation == generation }
