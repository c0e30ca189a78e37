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

// WakesNone reports whether a message means nothing to a room that is not in memory.
// [Directory.Unheard] answers it then.
func WakesNone(m Message) bool {
	switch m.(type) {
	case *Announce, *Halt, *Kill:
		return true
	}
	return false
}

// Unheard answers a message in place of a room that is not in memory: it has no listeners,
// and nothing in it can be stopped.
func (d *Directory) Unheard(m Message) {
	if c, announces := m.(*Announce); announces {
		d.reply(c.Caller, Announced{})
		return
	}
	d.turnAway(m, errAway)
}
