package room

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
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

// listen makes the address a listener, or changes its encoder.
func (r *Room) listen(a Address, l *listener, encoder string) {
	if l.recipient = r.Directory.find(a); l.recipient == nil {
		return // it was closed meanwhile
	}
	r.dismiss(a)
	r.audience.admit(a, l, encoder, func() Encoder { return r.Encoders[encoder](r.records.shown.Chat) })
	if !l.apart {
		r.presence.enter(l.user, r.MaxListed)
		r.tellPresence(PresenceEvery)
	}
}

// unlisten removes the address, if it is a listener, and what it offers.
func (r *Room) unlisten(a Address) {
	r.dismiss(a)
	r.pages.leave(a)
	if r.stage != nil {
		r.stage.pageLeft(a)
	}
}

func (r *Room) dismiss(a Address) {
	if l, ok := r.audience.dismiss(a); ok && !l.apart {
		r.presence.leave(a, l.user.ID)
		r.keepVigil(l.user.ID)
		r.tellPresence(PresenceEvery)
	}
}

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
	r.tellPresence(PresenceEvery)
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

// hasTyped ends the typing of somebody who has said it.
func (r *Room) hasTyped(c Caller) {
	if _, types := r.presence.typing[c.Address]; types {
		r.presence.stopTyping(c.Address, c.User.ID)
		r.tellPresence(PresenceEvery)
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

// tellPresence tells the listeners, at the latest when d has passed, who is in the room.
func (r *Room) tellPresence(d time.Duration) {
	p := &r.presence
	due := time.Now().Add(d)
	if len(r.audience) == 0 || p.timer != nil && !due.Before(p.due) {
		return
	}
	p.stop()
	p.timer, p.due = r.self.After(d, &presenceTick{}), due
}

func (p *presence) stop() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// publishPresence tells the listeners what has changed, and those who have joined since
// the last time all of it.
func (r *Room) publishPresence() {
	p := &r.presence
	p.stop()
	r.endTyping()
	now := p.whole(r.MaxListed)
	diff, changed := since(p.told, now)
	r.audience.publishPresence(r.id, diff, changed, now)
	p.told = now
}

// endTyping ends the typing of those who have not said again that they type.
func (r *Room) endTyping() {
	if len(r.presence.typing) == 0 {
		return
	}
	now, next := time.Now(), TypingFor
	for _, c := range r.audience {
		for a, l := range c.listeners.all() {
			until, types := r.presence.typing[a]
			switch left := until.Sub(now); {
			case !types:
			case left <= 0:
				r.presence.stopTyping(a, l.user.ID)
			default:
				next = min(next, left)
			}
		}
	}
	if len(r.presence.typing) > 0 {
		r.tellPresence(next)
	}
}

// publishPresence tells the listeners who know who was there what is new, if anything is,
// and the others all of it.
func (a audience) publishPresence(id chat.RoomID, diff chat.Presence, changed bool, whole chat.Presence) {
	for _, c := range a {
		news, all := &Publication{Room: id, Notice: diff}, &Publication{Room: id, Notice: whole}
		for _, l := range c.listeners.all() {
			p := news
			if l.apart {
				continue
			}
			if !l.informed {
				l.informed = true
				p = all
			} else if !changed {
				continue
			}
			if p.Encoded == nil {
				p.Encoded = c.encoder.Encode(id, p.Notice)
			}
			if p.Encoded == nil {
				break // the wire has no form for it
			}
			l.recipient.Deliver(p)
		}
	}
}

// assistantIs notes what the assistant is doing.
func (r *Room) assistantIs(now chat.AssistantState) {
	if r.presence.assistant != now {
		r.presence.assistant = now
		r.tellPresence(PresenceEvery)
	}
}

// observe notes what a notice says of the assistant.
func (r *Room) observe(n chat.Notice) {
	switch n := n.(type) {
	case chat.Text, chat.Speech:
		r.assistantIs(chat.AssistantState{Doing: chat.DoingAnswering})
	case chat.Thought:
		r.assistantIs(chat.AssistantState{Doing: chat.DoingThinking})
	case chat.Progress:
		if n.Retrying != nil {
			r.assistantIs(chat.AssistantState{Doing: chat.DoingWaiting, For: "provider"})
		}
	case chat.Failure, chat.Removal:
		r.assistantIs(chat.AssistantState{})
	case chat.Record:
		r.observeRecord(n.Event)
	}
}

func (r *Room) observeRecord(e chat.Event) {
	switch e := e.(type) {
	case chat.TurnStarted, chat.ToolsCalled, chat.ToolsLost, chat.ToolDecided, chat.ToolEnded:
		r.assistantIs(whatItDoes(r.records.shown.Calls))
	case chat.ToolStarted:
		r.assistantIs(chat.AssistantState{Doing: chat.DoingTool, Tool: e.Tool.Name})
	case chat.TurnEnded:
		if e.TurnID == r.announcedTurn.TurnID {
			r.assistantIs(chat.AssistantState{})
		}
	}
}

// whatItDoes returns what an assistant does that has called tools. If some of the calls run
// and others wait for a member, that they wait is what people need to know.
func whatItDoes(calls []conversation.Call) chat.AssistantState {
	doing := chat.AssistantState{Doing: chat.DoingThinking}
	for _, c := range slices.Backward(calls) {
		if c.Waits {
			return chat.AssistantState{Doing: chat.DoingWaiting, For: "approval"}
		}
		doing = chat.AssistantState{Doing: chat.DoingTool, Tool: c.Name}
	}
	return doing
}
