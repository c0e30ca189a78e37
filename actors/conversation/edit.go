package conversation

import "parlor/protocol/chat"

// editable returns why the user may not edit the old message, or nil.
func (m Moment) editable(old chat.Message, by chat.UserID) *chat.Error {
	switch {
	case old.ID == "" || old.Role != chat.RoleUser:
		return ErrNoMessage
	case old.Author.ID != by:
		return ErrNotAuthor
	case !m.Branches.Shows(old.Seq):
		return ErrSuperseded
	}
	return nil
}

// supersede ends the turns that an edit of record seq concerns: those that answer
// it or a later message of the current branch, and the running turn if it has taken one of
// these in. What was said to that turn before is still answered.
func (m Moment) supersede(seq uint64, by chat.UserID) (ends []chat.Event) {
	var running *chat.TurnEnded
	var next chat.TurnID
	for i, turn := range m.Turns {
		answers := turn.PromptSeq >= seq && m.Branches.Shows(turn.PromptSeq)
		if !answers && (i > 0 || !m.tookIn(seq)) {
			if next == "" {
				next = turn.ID
			}
			continue
		}
		end := m.stopped(turn, by, "the message was edited")
		ends = append(ends, m.endCalls(&end)...)
		if ends = append(ends, end); i == 0 {
			running = &end
		}
	}
	if running != nil {
		ends = append(ends, m.followUp(*running, next, seq)...)
	}
	return ends
}

// tookIn reports whether the running turn took in record seq, or a later one of the
// current branch.
func (s *State) tookIn(seq uint64) bool {
	for _, m := range s.Steering {
		if m.Taken && m.Seq >= seq && s.Branches.Shows(m.Seq) {
			return true
		}
	}
	return false
}
