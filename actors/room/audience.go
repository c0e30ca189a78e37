package room

import (
	"slices"

	"parlor/protocol/chat"
)

// An Encoder encodes notices for one wire, once for all listeners of a room that use
// it. Each room has its own, and calls it on its own goroutine only.
type Encoder interface {
	// Encode returns the encoded notice, which the room passes on as it is. It
	// returns nil if the wire has no form for the notice.
	Encode(id chat.RoomID, n chat.Notice) any
}

// Encoders make encoders for the listeners of a chat. A [Join] names one of them.
type Encoders map[string]func(chat.Info) Encoder

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
	listeners few[Address, *listener]
}

type listener struct {
	user      chat.User
	recipient Recipient
	informed  bool // knows who is in the room, and is told what changes
	apart     bool // see Join
	observes  bool // for an operator, see Observe
}

// admit makes the address a listener, which it must not be yet.
func (a *audience) admit(address Address, l *listener, encoder string, make func() Encoder) {
	i := slices.IndexFunc(*a, func(c *channel) bool { return c.name == encoder })
	if i < 0 {
		i = len(*a)
		*a = append(*a, &channel{name: encoder, encoder: make()})
	}
	(*a)[i].listeners.set(address, l)
}

// dismiss removes the address, if it is a listener, and returns it. An encoder that no
// listener uses goes too.
func (a *audience) dismiss(address Address) (l *listener, ok bool) {
	for i, c := range *a {
		if l, ok = c.listeners.get(address); ok {
			if c.listeners.remove(address); c.listeners.len() == 0 {
				*a = slices.Delete(*a, i, i+1)
			}
			return l, ok
		}
	}
	return nil, false
}

// within reports whether the address is a listener who is in the room.
func (a audience) within(address Address) bool {
	return slices.ContainsFunc(a, func(c *channel) bool {
		l, ok := c.listeners.get(address)
		return ok && !l.apart
	})
}

// tellIf tells p to the listeners for which holds is true, and returns their addresses.
func (a audience) tellIf(holds func(*listener) bool, p Publication) (told []Address) {
	for _, c := range a {
		var encoded any
		for address, l := range c.listeners.all() {
			if !holds(l) {
				continue
			}
			if encoded == nil {
				encoded = c.encoder.Encode(p.Room, p.Notice)
			}
			p := p
			p.Encoded = encoded
			l.recipient.Deliver(&p)
			told = append(told, address)
		}
	}
	return told
}

// publish tells all listeners, encoding once for each encoder, and returns how many were
// told. That the chat is gone is told in every wire, since its listeners listen no more.
func (a audience) publish(p Publication) (told int) {
	_, gone := p.Notice.(chat.Removal)
	for _, c := range a {
		encoded := c.encoder.Encode(p.Room, p.Notice)
		if encoded == nil && !gone {
			continue
		}
		p := p
		p.Encoded = encoded
		for _, l := range c.listeners.all() {
			l.recipient.Deliver(&p)
		}
		told += c.listeners.len()
	}
	return told
}
