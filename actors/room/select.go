package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Select has the conversation go on, for all, with the newest branch that leads through a
// message or an answer. The reply is a [Selected]. If the conversation does so already,
// nothing is recorded. Open turns go on, each in the branch of its prompt.
type Select struct {
	Caller
	MessageID chat.MessageID
	ClientID  chat.ClientID // empty: not idempotent
}

func (c *Select) do(r *Room) {
	key, fresh := r.begin(c.Caller, access.Select, c.ClientID, c.recall)
	if !fresh {
		return
	}
	target, refusal := r.records.find(c.MessageID)
	var events []chat.Event
	if refusal == nil {
		events, refusal = r.moment().Select(target, c.User.ID, c.ClientID)
	}
	switch {
	case refusal != nil:
		r.refuse(c.Caller, refusal)
	case len(events) == 0:
		r.records.changesNothing(key)
		r.reply(c.Caller, Selected{c.MessageID})
	default:
		r.records.propose(c.Caller, key, Selected{c.MessageID}, events...)
		r.advance()
	}
}

func (c *Select) recall(record chat.Record) (any, bool) {
	e, selected := record.Event.(chat.BranchSelected)
	return Selected{c.MessageID}, record.Event == nil || selected && e.MessageID == c.MessageID
}
