package conversation

import (
	"slices"

	"parlor/protocol/chat"
)

// Refusals of what concerns messages that wait.
var (
	ErrBegun     = chat.Refuse(chat.CodeInvalid, "the message does not wait any more: it is being answered, or was")
	ErrNotAsker  = chat.Refuse(chat.CodeForbidden, "only the user who asked for a turn may move it")
	ErrNotQueued = chat.Refuse(chat.CodeNotFound, "there is no such turn that waits")
)

// Withdraw takes back a message of the user, and the turns that wait to answer it. It refuses
// to take back a message that an assistant has begun to answer.
func (m Moment) Withdraw(old chat.Message, by chat.UserID, client chat.ClientID) ([]chat.Event, *chat.Error) {
	if refusal := m.editable(old, by); refusal != nil {
		return nil, refusal
	}
	waits := slices.ContainsFunc(m.Steering, func(s Steering) bool { return s.MessageID == old.ID && !s.Taken })
	events := []chat.Event{chat.MessageWithdrawn{MessageID: old.ID, Seq: old.Seq, By: by, ClientID: client}}
	for _, t := range m.Turns {
		switch {
		case t.Prompt != old.ID:
		case t.Attempt > 0 || t.Begun:
			return nil, ErrBegun
		default:
			waits = true
			events = append(events, m.stopped(t, by, "the message was withdrawn"))
		}
	}
	if !waits {
		return nil, ErrBegun
	}
	return events, nil
}

// Move has a turn of the user wait elsewhere: before another one, or last.
func (m Moment) Move(id, before chat.TurnID, by chat.UserID, client chat.ClientID) (chat.TurnMoved, *chat.Error) {
	moved := chat.TurnMoved{TurnID: id, Before: before, By: by, ClientID: client}
	for _, turn := range []chat.TurnID{id, before} {
		if i := m.Find(turn); turn != "" && (i < 0 || m.Turns[i].Attempt > 0) {
			return moved, ErrNotQueued
		}
	}
	switch {
	case id == "" || id == before:
		return moved, ErrNotQueued
	case m.Turns[m.Find(id)].By != by:
		return moved, ErrNotAsker
	}
	return moved, nil
}
