package room

import (
	"maps"
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// An Encoder encodes notices for one wire, once for all listeners of a room that use
// it. Each room has its own, and calls it on its own goroutine only.
type Encoder interface {
	// Encode returns the encoded notice, which the room passes on as it is. It
	// returns nil if the wire has no form for the notice.
	Encode(id chat.RoomID, n chat.Notice) any
}

// Encoders make encoders. A [Join] names one of them.
type Encoders map[string]func() Encoder

// A Publication is what a room tells all listeners that use one encoder. They
// share it, and must not change it.
type Publication struct {
	Room    chat.RoomID
	Seq     uint64      // of the record; 0 for what is not recorded
	Author  Address     // of a new message; zero if the room does not know it any more
	Notice  chat.Notice // after a [chat.Removal] the address is no listener any more
	Encoded any
}

// An audience is the listeners of a room, which have joined it and have not left.
// They are sorted by the encoders that they use.
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

// admit makes the address a listener, or changes its encoder.
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

// dismiss removes the address, if it is a listener. An encoder that no listener uses
// goes too.
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

// dismissIf removes the listeners for which gone holds, and tells them p.
func (a *audience) dismissIf(gone func(listener) bool, p Publication) {
	for _, c := range slices.Clone(*a) {
		var encoded any
		for address, l := range maps.Clone(c.listeners) {
			if !gone(l) {
				continue
			}
			if encoded == nil {
				encoded = c.encoder.Encode(p.Room, p.Notice)
			}
			p := p
			p.Encoded = encoded
			l.recipient.Deliver(&p)
			a.dismiss(address)
		}
	}
}

// users returns the users of all listeners, each once, in the order of their ids.
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

// tell tells the listeners something that is not recorded.
func (r *Room) tell(n chat.Notice) { r.audience.publish(Publication{Room: r.id, Notice: n}) }
