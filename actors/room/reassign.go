package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Reassign gives To what From is in the chat, since both are one person. No user asks for
// it. The reply is a [Listed].
type Reassign struct {
	Caller
	From, To chat.UserID
}

func (c *Reassign) do(r *Room) {
	if !r.records.head.Exists() || r.deleting {
		r.refuse(c.Caller, access.ErrNoChat)
		return
	}
	events := r.moment().Members().Reassign(c.From, c.To)
	if len(events) == 0 {
		r.reply(c.Caller, Listed{r.records.head.Chat})
		return
	}
	p := r.records.propose(c.Caller, "", nil, events...)
	p.body = Listed{r.records.head.Chat}
}
