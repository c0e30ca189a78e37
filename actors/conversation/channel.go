package conversation

import (
	"fmt"

	"parlor/protocol/chat"
)

// MaxReactionLen is how many bytes the name of a reaction has at most.
const MaxReactionLen = 64

var (
	errNoChannel  = chat.Refuse(chat.CodeInvalid, "this is possible in channels only")
	errAnswering  = chat.Refuse(chat.CodeBusy, "an assistant is about to answer the message; wait for the answer")
	errNoReaction = chat.Refuse(chat.CodeInvalid, fmt.Sprintf("the name of a reaction must be 1 to %d bytes of printable text", MaxReactionLen))
)

// Revise replaces the content of a message of the user. The message with the old content is
// taken back, so that assistants and clients of every wire see the new one alone.
func (m Moment) Revise(old chat.Message, by chat.User, content string) ([]chat.Event, *chat.Error) {
	refusal := m.changeable(old)
	switch {
	case refusal != nil:
		return nil, refusal
	case old.Author.ID != by.ID:
		return nil, ErrNotAuthor
	case len(content) > m.MaxMessageBytes:
		return nil, TooLong(len(content), m.MaxMessageBytes)
	}
	return []chat.Event{
		chat.MessageWithdrawn{MessageID: old.ID, Seq: old.Seq, By: by.ID},
		chat.MessageAdded{
			MessageID: chat.MessageID(m.NewID()), Revises: old.ID, Parent: old.Parent, Author: *old.Author, Content: content,
			ModelID: m.Chat.ModelID, Mentions: m.addresses(content).members, Unasked: true,
		},
	}, nil
}

// Retract takes back a message: one's own or, if the user manages the channel, anybody's.
func (m Moment) Retract(old chat.Message, by chat.UserID, manages bool) ([]chat.Event, *chat.Error) {
	if refusal := m.changeable(old); refusal != nil {
		return nil, refusal
	}
	if old.Author.ID != by && !manages {
		return nil, ErrNotAuthor
	}
	return []chat.Event{chat.MessageWithdrawn{MessageID: old.ID, Seq: old.Seq, By: by}}, nil
}

// changeable returns why the message cannot be changed by anybody, or nil.
func (m Moment) changeable(old chat.Message) *chat.Error {
	switch {
	case m.Chat.Kind != chat.KindChannel:
		return errNoChannel
	case old.Seq == 0 || old.Author == nil || !m.Branches.Shows(old.Seq):
		return ErrNoMessage
	}
	for _, t := range m.Turns {
		if t.Prompt == old.ID {
			return errAnswering
		}
	}
	return nil
}

// React has the user react to a message, or not any more.
func (m Moment) React(to chat.Message, by chat.UserID, name string, removed bool) ([]chat.Event, *chat.Error) {
	switch {
	case m.Chat.Kind != chat.KindChannel:
		return nil, errNoChannel
	case to.Seq == 0:
		return nil, ErrNoMessage
	case name == "" || len(name) > MaxReactionLen || !chat.Printable(name):
		return nil, errNoReaction
	}
	return []chat.Event{chat.Reacted{MessageID: to.ID, Seq: to.Seq, Name: name, By: by, Removed: removed}}, nil
}
