package room

import (
	"slices"

	"parlor/protocol/chat"
)

// errRejected is how the policy [chat.PolicyReject] refuses.
var errRejected = chat.Refuse(chat.CodeBusy, "an answer is being given in this room; wait for its end")

// An utterance is a message that is about to be recorded, and how it stands to
// the turns that are open.
type utterance struct {
	chat.MessageAdded
	wanted      []chat.ModelID // who is to answer, in this order
	ends        []chat.Event   // of turns, and what follows from these: recorded before it
	before      chat.TurnID    // the waiting turn that its own run before; empty: they run last
	correlation string
	quiet       bool // no answer is wanted yet
	spoken      bool // and not written down yet
}

// policy is what becomes of a message that wants an answer while a turn runs.
func (r *Room) policy(asked chat.Policy) chat.Policy {
	for _, p := range []chat.Policy{asked, r.head.Chat.Policy} {
		if p != "" {
			return p
		}
	}
	return r.TurnPolicy
}

// place decides how a message that wants answers stands to the open turns. What
// the policy does not speak of is queued: a steering message that is not for
// the model that answers now, or would be one too many.
func (r *Room) place(u *utterance, p chat.Policy, by chat.UserID) *chat.Error {
	if u.quiet {
		r.unasked = u
		return nil
	}
	if spent := r.affords(by, u.wanted); spent != nil {
		return spent
	}
	turn, open := r.head.Turn()
	switch {
	case !open:
	case p == chat.PolicyReject:
		return errRejected
	case p == chat.PolicyInterrupt:
		r.makeWay(u, turn, by)
	case p == chat.PolicySteer && turn.Attempt > 0 && slices.Equal(u.wanted, []chat.ModelID{turn.ModelID}) &&
		len(r.head.Steering) < r.MaxQueuedTurns:
		u.Steers = turn.ID
		return nil
	}
	return r.fits(u)
}

// fits returns why the turns that the message wants are too many, or nil.
func (r *Room) fits(u *utterance) *chat.Error {
	if len(r.head.Turns)+len(u.wanted) > r.MaxQueuedTurns+len(u.ends) {
		return errBusy
	}
	return nil
}

// makeWay ends the running turn, so that the message is answered next. What was
// said to that turn is answered together with it, and what waits goes on to.
func (r *Room) makeWay(u *utterance, turn chat.Turn, by chat.UserID) {
	u.before = r.head.waiting()
	if turn.Attempt > 0 {
		end := r.endOf(turn)
		end.State, end.By, end.Reason = chat.StateStopped, by, "interrupted by a new message"
		u.ends = []chat.Event{end}
	}
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

// say records a message, with what it ends before and the turns that it wants
// behind it.
func (r *Room) say(c Caller, key string, u *utterance) {
	seq := r.head.Seq + 1 + uint64(len(u.ends))
	events := append(u.ends, u.MessageAdded)
	r.stopRuns(u.ends)
	r.propose(c, key, Sent{u.MessageID, u.ClientID, seq}, append(events, r.turns(c, u, seq)...)...)
	r.advance()
}

// turns are those that answer the message, which is record seq.
func (r *Room) turns(c Caller, u *utterance, seq uint64) (turns []chat.Event) {
	if u.quiet || u.Steers != "" {
		return nil
	}
	for _, model := range u.wanted {
		turns = append(turns, chat.TurnQueued{
			TurnID: chat.TurnID(newID()), Prompt: u.MessageID, PromptSeq: seq, ModelID: model,
			By: c.User.ID, Correlation: u.correlation, Before: u.before, Spoken: u.spoken,
		})
	}
	return turns
}

// stopRuns ends the run of a turn that is among those that end.
func (r *Room) stopRuns(ends []chat.Event) {
	for _, e := range ends {
		if end, ok := e.(chat.TurnEnded); ok && r.run.of(end.TurnID) {
			r.run.stop(end)
		}
	}
}
