package conversation

import "parlor/protocol/chat"

// An Intent is something that has to be recorded, whatever becomes of the first
// commit that holds it. A room keeps it until it is on disk, and proposes it
// once to each generation of its head state: a commit that fails ends one. The
// zero generation has seen nothing.
type Intent struct {
	// Events returns what is to be recorded, or nothing as long as it cannot be.
	Events func(head *State) []chat.Event

	generation int // that it was proposed to last
}

// Propose returns what is to be recorded now, if that is not in the head already.
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

// In reports whether a head of the generation holds what was intended.
func (i *Intent) In(generation int) bool { return i.generation == generation }
