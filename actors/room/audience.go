package room

import (
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// An Encoder gives what a room tells its form on one wire, once for all listeners
// that use it. A room makes one for each wire that is in use there; it is asked
// on the room's goroutine only.
type Encoder interface {
	// Encode returns the notice in a form that the recipients know and the room
	// does not look into, or nil if the wire has none for it.
	Encode(id chat.RoomID, n chat.Notice) any
}

// Encoders makes encoders, by the names that a [Join] may have.
type Encoders map[string]func() Encoder

// A Publication is what a room tells all listeners that use one encoder. They
// share it, and must not change it.
type Publication struct {
	Room    chat.RoomID
	Seq     uint64      // of the record; 0 for what is not recorded
	Author  Address     // of a message that was just said; zero if the room does not know any more
	Notice  chat.Notice // after a [chat.Removal] the address listens no more
	Encoded any
}

// An audience is the addresses that listen to a room: those that have joined it
// and have not left. They are sorted by the encoders that they use.
type audience []*channel

// A channel is the listeners that use one encoder.
type channel struct {
	name      string // of the encoder
	encoder   Encoder
	listeners map[Address]listener
}

type listener struct {
	user      chat.User
	recipient Recipient
}

// admit has the address listen, or changes its encoder.
func (a *audience) admit(address Address, l listener, encoder string, make func() Encoder) {
	if l.recipient == nil {
		return // it was closed meanwhile
	}
	a.dismiss(address)
	i := slices.IndexFunc(*a, func(c *channel) bool { return c.name == encoder })
	if i < 0 {
		i = len(*a)
		*a = append(*a, &channel{encoder, make(), map[Address]listener{}})
	}
	(*a)[i].listeners[address] = l
}

// dismiss lets the address go, if it listens. An encoder that nobody uses goes too.
func (a *audience) dismiss(address Address) {
	for i, c := range *a {
		if _, listens := c.listeners[address]; listens {
			if delete(c.listeners, address); len(c.listeners) == 0 {
				*a = slices.Delete(*a, i, i+1)
			}
			return
		}
	}
}

// users returns who listens, each user once, in the order of their ids.
func (a audience) users() []chat.User {
	var users []chat.User
	for _, c := range a {
		for _, l := range c.listeners {
			users = append(users, l.user)
		}
	}
	slices.SortFunc(users, func(a, b chat.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return slices.CompactFunc(users, func(a, b chat.User) bool { return a.ID == b.ID })
}

// publish tells all listeners, encoding once for each encoder.
func (a audience) publish(p Publication) {
	for _, c := range a {
		encoded := c.encoder.Encode(p.Room, p.Notice)
		if encoded == nil {
			continue
		}
		p := p
		p.Encoded = encoded
		for _, l := range c.listeners {
			l.recipient.Deliver(&p)
		}
	}
}

// tell tells the listeners what is not recorded.
func (r *Room) tell(n chat.Notice) { r.audience.publish(Publication{Room: r.id, Notice: n}) }
