package room

import "parlor/protocol/chat"

// Announce tells the listeners what another backend has for them. It is not recorded. The
// reply is an [Announced].
type Announce struct {
	Caller
	chat.Announcement
}

// Announced says how many listeners were told.
type Announced struct{ Listeners int }

func (*Announce) roomMessage() {}

func (c *Announce) do(r *Room) {
	told := r.audience.publish(Publication{Room: r.id, Notice: c.Announcement})
	r.reply(c.Caller, Announced{told})
}

// Unheard answers an Announce in place of a room that is not in memory: it has no listeners.
func (d *Directory) Unheard(c *Announce) { d.reply(c.Caller, Announced{}) }
