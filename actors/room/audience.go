package room

import (
	"slices"
	"strings"

	"parlor/protocol/chat"
)

// An Encoder gives what a room tells its form on one wire, once for all members
// that use it. A room makes one for each wire that is in use there; it is asked
// on the room's goroutine only.
type Encoder interface {
	// Encode returns the notice in a form that the recipients know and the room
	// does not look into, or nil if the wire has none for it.
	Encode(id chat.RoomID, n chat.Notice) any
}

// Encoders makes encoders, by the names that members ask for.
type Encoders map[string]func() Encoder

// A Publication is what a room tells all members that use one encoder. It is
// shared by them and must not be changed.
type Publication struct {
	Room    chat.RoomID
	Seq     uint64      // of the record; 0 for what is not recorded
	Author  Address     // who asked for the record, if it is a message and its room knows
	Notice  chat.Notice // with a [chat.Removal] the membership ends
	Encoded any
}

// An audience is the members of a room, by the encoders that they use.
type audience []*listeners

// listeners are the members that use one encoder.
type listeners struct {
	encoder string
	encode  Encoder
	members map[Address]member
}

type member struct {
	user      chat.User
	recipient Recipient
}

// admit makes the address a member, or changes its encoder.
func (a *audience) admit(address Address, m member, encoder string, make func() Encoder) {
	if m.recipient == nil {
		return // has gone already
	}
	a.dismiss(address)
	i := slices.IndexFunc(*a, func(l *listeners) bool { return l.encoder == encoder })
	if i < 0 {
		i = len(*a)
		*a = append(*a, &listeners{encoder, make(), map[Address]member{}})
	}
	(*a)[i].members[address] = m
}

// dismiss ends a membership, if there is one. An encoder that nobody uses goes too.
func (a *audience) dismiss(address Address) {
	for i, l := range *a {
		if _, in := l.members[address]; in {
			if delete(l.members, address); len(l.members) == 0 {
				*a = slices.Delete(*a, i, i+1)
			}
			return
		}
	}
}

// users lists the members, each user once, in the order of their ids.
func (a audience) users() []chat.User {
	var users []chat.User
	for _, l := range a {
		for _, m := range l.members {
			users = append(users, m.user)
		}
	}
	slices.SortFunc(users, func(a, b chat.User) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return slices.CompactFunc(users, func(a, b chat.User) bool { return a.ID == b.ID })
}

// publish tells all members, encoding once for each encoder.
func (a audience) publish(p Publication) {
	for _, l := range a {
		if encoded := l.encode.Encode(p.Room, p.Notice); encoded != nil {
			p := p
			p.Encoded = encoded
			for _, m := range l.members {
				m.recipient.Deliver(&p)
			}
		}
	}
}

// tell tells the members what is not recorded.
func (r *Room) tell(n chat.Notice) { r.members.publish(Publication{Room: r.id, Notice: n}) }
