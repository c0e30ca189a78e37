package room

import (
	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Revise replaces the content of a message of the caller, and Retract takes a message back.
// React has the caller react to one, or not any more. These are for channels. The replies are
// [Noted], once that is on disk.
type (
	Revise struct {
		Caller
		MessageID chat.MessageID
		Content   string
	}
	Retract struct {
		Caller
		MessageID chat.MessageID
	}
	React struct {
		Caller
		MessageID chat.MessageID
		Name      string
		Removed   bool
	}
)

func (c *Revise) do(r *Room) {
	r.amend(c.Caller, c.MessageID, func(m conversation.Moment, old chat.Message) ([]chat.Event, *chat.Error) {
		return m.Revise(old, c.User, c.Content)
	})
}

func (c *Retract) do(r *Room) {
	manages := r.Access.Check(r.records.head.Chat, c.User, access.Manage) == nil
	r.amend(c.Caller, c.MessageID, func(m conversation.Moment, old chat.Message) ([]chat.Event, *chat.Error) {
		return m.Retract(old, c.User.ID, manages)
	})
}

func (c *React) do(r *Room) {
	r.amend(c.Caller, c.MessageID, func(m conversation.Moment, to chat.Message) ([]chat.Event, *chat.Error) {
		return m.React(to, c.User.ID, c.Name, c.Removed)
	})
}

// amend records what decide makes of a message.
func (r *Room) amend(c Caller, id chat.MessageID, decide func(conversation.Moment, chat.Message) ([]chat.Event, *chat.Error)) {
	refusal := r.admit(c, access.Edit)
	var message chat.Message
	if refusal == nil {
		message, refusal = r.records.find(id)
	}
	var events []chat.Event
	if refusal == nil {
		events, refusal = decide(r.moment(), message)
	}
	if refusal != nil {
		r.refuse(c, refusal)
		return
	}
	r.records.propose(c, "", Noted{}, events...)
}
