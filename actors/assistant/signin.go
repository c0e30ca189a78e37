package assistant

import (
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// renew takes a new token in the place of the one that the client has signed in with. If
// it is refused the old one goes on for as long as it is good.
func (c *client) renew(e *session.Event, r wire.Renew) {
	c.visit.Renew(c.user.ID, r.Token, func(in chat.SignIn, refusal *chat.Error) {
		if refusal != nil {
			c.refuse(e, r, refusal)
			return
		}
		var answer wire.Renewed
		if in.ID != "" {
			c.user = in.User
		}
		if !in.Expires.IsZero() {
			at := chat.Timestamp(in.Expires)
			answer.Expires = &at
		}
		c.ok(e, answer)
	})
}

var errReadOnly = chat.Refuse(chat.CodeForbidden, "this API key may only read")

// reads reports whether a request changes nothing for others.
func reads(r wire.Request) bool {
	switch r.(type) {
	case wire.FindChat, wire.JoinRoom, wire.LeaveRoom, wire.History, wire.Usage, wire.ListMembers, wire.AskPresence, wire.Renew:
		return true
	}
	return false
}
