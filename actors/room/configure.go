package room

import (
	"parlor/actors/access"
	"parlor/protocol/chat"
)

// Configure changes the chat's settings, and is answered with a [Configured].
type Configure struct {
	Caller
	Changes chat.Changes
}

func (*Configure) roomMessage() {}

// Configured tells the chat as it now is.
type Configured struct{ Chat chat.Info }

func (r *Room) configure(c *Configure) {
	refusal := r.admit(c.Caller, access.Configure)
	settings := r.head.Chat.Settings
	if refusal == nil {
		settings, refusal = c.Changes.Apply(settings)
	}
	if refusal != nil {
		refuse(c.Caller, refusal)
		return
	}
	info := r.head.Chat
	info.Settings = settings
	r.propose(c.Caller, "", Configured{info}, chat.Configured{Settings: settings, By: c.User.ID})
}
