package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Edit says something anew: the message that is record Seq, and all that
// followed it, is no longer part of the conversation, and what answers any of
// it is stopped. Like a Send that is queued it is answered with a [Sent].
type Edit struct {
	Caller
	Replaces chat.MessageID // the caller's own
	Seq      uint64
	Content  string
	ModelID  chat.ModelID  // empty: the chat's current model
	ClientID chat.ClientID // empty: not idempotent
}

func (*Edit) roomMessage() {}

var (
	errNoMessage  = chat.Refuse(chat.CodeNotFound, "there is no such message of a person in this conversation")
	errNotAuthor  = chat.Refuse(chat.CodeForbidden, "only its author may edit a message")
	errSuperseded = chat.Refuse(chat.CodeNotFound, "the message was edited, or what it followed")
)

func (r *Room) edit(c *Edit) {
	said := chat.MessageAdded{
		Content: c.Content, ModelID: c.ModelID, ClientID: c.ClientID, Replaces: c.Replaces, ReplacesSeq: c.Seq,
	}
	r.utter(c.Caller, access.Edit, said, func(u *utterance) *chat.Error {
		if refusal := r.editable(c); refusal != nil {
			return refusal
		}
		if spent := r.affords(c.User.ID, u.wanted); spent != nil {
			return spent
		}
		u.ends = r.supersede(c)
		return r.fits(u)
	})
}

// editable returns why the caller may not edit the message, or nil.
func (r *Room) editable(c *Edit) *chat.Error {
	m, err := r.message(c.Seq)
	switch {
	case err != nil:
		r.log.Error("read a message that is edited", "err", err)
		return errUnreadable
	case m.ID != c.Replaces || m.Role != chat.RoleUser:
		return errNoMessage
	case m.Author.ID != c.User.ID:
		return errNotAuthor
	case r.head.Superseded.Has(c.Seq):
		return errSuperseded
	}
	return nil
}

// supersede ends the turns that answer what is edited or followed it, and have
// it from there, or from what was said to them. What was said to one of them
// before is answered still.
func (r *Room) supersede(c *Edit) (ends []chat.Event) {
	var running *chat.TurnEnded
	var next chat.TurnID
	for i, turn := range r.head.Turns {
		if turn.PromptSeq < c.Seq && (i > 0 || !r.head.tookIn(c.Seq)) {
			if next == "" && turn.Attempt == 0 {
				next = turn.ID
			}
			continue
		}
		end := r.endOf(turn)
		end.State, end.By, end.Reason = chat.StateStopped, c.User.ID, "the message was edited"
		if ends = append(ends, end); i == 0 {
			running = &end
		}
	}
	if running != nil {
		ends = append(ends, r.followUp(*running, next, c.Seq)...)
	}
	return ends
}

// tookIn reports whether the running turn took in record seq, or a later one.
func (s *State) tookIn(seq uint64) bool {
	for _, m := range s.Steering {
		if m.Taken && m.Seq >= seq {
			return true
		}
	}
	return false
}

// SavedSuperseded returns what edits have taken out of a conversation up to
// record seq, which is that of the last snapshot, or zero.
func SavedSuperseded(log Log, id chat.RoomID) (seq uint64, s chat.Superseded, err error) {
	seq, b, err := log.Snapshot(string(id))
	if err != nil {
		return 0, nil, err
	}
	state, ok := decodeState(seq, b)
	if !ok {
		return 0, nil, nil
	}
	return seq, state.Superseded, nil
}
