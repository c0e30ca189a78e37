package room

import (
	"parlor/actors/access"
	"parlor/persistence"
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

// Superseded returns what edits have taken out of a conversation, as far as it
// is on disk. It reads the last snapshot and what follows it.
func Superseded(log Log, id chat.RoomID) (chat.Superseded, error) {
	seq, b, err := log.Snapshot(string(id))
	if err != nil {
		return nil, err
	}
	state, ok := decodeState(seq, b)
	if !ok {
		state = State{}
	}
	var edits []persistence.Entry // newest first
	for entry, err := range log.ReadBack(string(id), 0) {
		if err != nil {
			return nil, err
		}
		if entry.Seq <= state.Seq {
			break
		}
		if chat.EditsMessage(entry.Data) {
			edits = append(edits, entry)
		}
	}
	for i := len(edits) - 1; i >= 0; i-- {
		record, err := chat.DecodeRecord(edits[i].Seq, edits[i].Data)
		if err != nil {
			return nil, err
		}
		e, _ := record.Event.(chat.MessageAdded)
		state.Superseded = state.Superseded.With(e.ReplacesSeq, record.Seq)
	}
	return state.Superseded, nil
}
