package room

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// PresenceEvery is how often listeners are told at most who is in the room. What
// changes in between is told together, and what is undone in between is not told.
const PresenceEvery = 250 * time.Millisecond

// TypingFor is how long somebody types who does not say so again.
const TypingFor = 6 * time.Second

var errNotListening = chat.Refuse(chat.CodeInvalid, "you have not joined this room")

// presence is who is in a room, and what its assistant is doing. All of it follows from
// the listeners and from what they are told, so it is kept in memory only.
//
// Its cost is linear in the listeners. A room of many lists some of its users, and tells
// the number of the others. So what one listener is told is bounded, however many there are.
type presence struct {
	users     few[chat.UserID, *present]
	listed    []*present // as many as may be
	devices   int
	typing    map[Address]time.Time // until when
	assistant chat.AssistantState
	told      chat.Presence // the last Whole that is known to the listeners who know one

	timer *time.Timer // until the next presenceTick, or nil
	due   time.Time   // when that comes
}

// A present is a user who is in the room.
type present struct {
	chat.Present
	typing int // devices on which the user types
	listed bool
}

// presenceTick makes the room tell who is in it.
type presenceTick struct{}

func (*presenceTick) roomMessage() {}

func (p *presence) enter(u chat.User, maxListed int) {
	now, ok := p.users.get(u.ID)
	if !ok {
		now = &present{Present: chat.Present{ID: u.ID}}
		p.users.set(u.ID, now)
		p.list(now, maxListed)
	}
	now.Name = u.Name
	now.Devices++
	p.devices++
}

func (p *presence) list(u *present, maxListed int) {
	if len(p.listed) < maxListed {
		p.listed = append(p.listed, u)
		u.listed = true
	}
}

func (p *presence) leave(a Address, id chat.UserID) {
	p.stopTyping(a, id)
	u, _ := p.users.get(id)
	u.Devices--
	p.devices--
	if u.Devices > 0 {
		return
	}
	p.users.remove(id)
	if u.listed {
		p.listed = slices.DeleteFunc(p.listed, func(other *present) bool { return other == u })
	}
}

// relist lists users in the place of those that have left.
func (p *presence) relist(maxListed int) {
	if len(p.listed) == p.users.len() {
		return
	}
	for _, u := range p.users.all() {
		if len(p.listed) >= maxListed {
			return
		}
		if !u.listed {
			p.list(u, maxListed)
		}
	}
}

// SetTyping says that the caller types, or does not any more. It needs to be said again
// within [TypingFor]. The reply is a [Noted].
type SetTyping struct {
	Caller
	Typing bool
}

func (c *SetTyping) do(r *Room) {
	refusal := r.admit(c.Caller, access.Send)
	if refusal == nil && !r.audience.within(c.Address) {
		refusal = errNotListening
	}
	if refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	p := &r.presence
	if c.Typing {
		p.startTyping(c.Address, c.User.ID)
	} else {
		p.stopTyping(c.Address, c.User.ID)
	}
	r.attendance.tellPresence(PresenceEvery)
	r.reply(c.Caller, Noted{})
}

func (p *presence) startTyping(a Address, id chat.UserID) {
	if p.typing == nil {
		p.typing = make(map[Address]time.Time)
	}
	if _, types := p.typing[a]; !types {
		u, _ := p.users.get(id)
		u.typing++
	}
	p.typing[a] = time.Now().Add(TypingFor)
}

func (p *presence) stopTyping(a Address, id chat.UserID) {
	if _, types := p.typing[a]; types {
		delete(p.typing, a)
		u, _ := p.users.get(id)
		u.typing--
	}
}

// AskPresence asks who is in the room. The reply is a whole [chat.Presence].
type AskPresence struct{ Caller }

func (c *AskPresence) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Read); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.reply(c.Caller, r.presence.whole(r.MaxListed))
}

// whole returns who is in the room now.
func (p *presence) whole(maxListed int) chat.Presence {
	p.relist(maxListed)
	now := chat.Presence{Whole: true, Users: p.users.len(), Devices: p.devices, Assistant: p.assistant}
	now.Assistant.Doing = cmp.Or(now.Assistant.Doing, chat.DoingNothing)
	for _, u := range p.listed {
		u.Typing = u.typing > 0
		now.Members = append(now.Members, u.Present)
	}
	slices.SortFunc(now.Members, func(a, b chat.Present) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return now
}

// listFor returns the users that are listed, and u, who may be one more.
func (p *presence) listFor(u chat.User, maxListed int) []chat.User {
	users := p.whole(maxListed).Listed()
	if !slices.ContainsFunc(users, func(other chat.User) bool { return other.ID == u.ID }) {
		users = append(users, chat.User{ID: u.ID, Name: u.Name})
	}
	return users
}

// since returns what is new in now, and whether anything is.
func since(before, now chat.Presence) (diff chat.Presence, changed bool) {
	diff = chat.Presence{Users: now.Users, Devices: now.Devices, Assistant: now.Assistant}
	old, rest := before.Members, now.Members
	for len(old) > 0 || len(rest) > 0 {
		switch {
		case len(rest) == 0, len(old) > 0 && old[0].ID < rest[0].ID:
			diff.Left = append(diff.Left, old[0].ID)
			old = old[1:]
			continue
		case len(old) > 0 && old[0] == rest[0]:
		default:
			diff.Members = append(diff.Members, rest[0])
		}
		if len(old) > 0 && old[0].ID == rest[0].ID {
			old = old[1:]
		}
		rest = rest[1:]
	}
	same := before.Users == now.Users && before.Devices == now.Devices && before.Assistant == now.Assistant
	return diff, !same || len(diff.Members)+len(diff.Left) > 0
}

func (p *presence) stop() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
