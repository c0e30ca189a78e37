package room

import (
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// An attendance is who comes and goes in a room, and has the listeners told of it. The
// audience and the presence that it keeps outlive it.
type attendance struct {
	*Options
	*lasting
	room *Room
}

// listen makes the address a listener, or changes its encoder.
func (t *attendance) listen(a Address, l *listener, encoder string) {
	if l.recipient = t.Directory.find(a); l.recipient == nil {
		return // it was closed meanwhile
	}
	t.dismiss(a)
	t.audience.admit(a, l, encoder, func() Encoder { return t.Encoders[encoder](t.room.records.shown.Chat) })
	if !l.apart {
		t.presence.enter(l.user, t.MaxListed)
		t.tellPresence(PresenceEvery)
	}
}

// unlisten removes the address, if it is a listener, and what it offers.
func (t *attendance) unlisten(a Address) {
	t.dismiss(a)
	t.pages.leave(a)
	if t.room.stage != nil {
		t.room.stage.pageLeft(a)
	}
}

func (t *attendance) dismiss(a Address) {
	if l, ok := t.audience.dismiss(a); ok && !l.apart {
		t.presence.leave(a, l.user.ID)
		t.room.vigil.keep(l.user.ID)
		t.tellPresence(PresenceEvery)
	}
}

// dismissStrangers ends the listening of users who may not read the chat any more, and
// tells them.
func (t *attendance) dismissStrangers() {
	strangers := t.audience.tellIf(func(l *listener) bool {
		return !l.observes && t.Access.Check(t.room.records.shown.Chat, l.user, access.Read) != nil
	},
		Publication{Room: t.id, Notice: chat.Removal{Left: true}})
	for _, a := range strangers {
		t.unlisten(a)
	}
}

// hasTyped ends the typing of somebody who has said it.
func (t *attendance) hasTyped(c Caller) {
	if _, types := t.presence.typing[c.Address]; types {
		t.presence.stopTyping(c.Address, c.User.ID)
		t.tellPresence(PresenceEvery)
	}
}

// tellPresence tells the listeners, at the latest when d has passed, who is in the room.
func (t *attendance) tellPresence(d time.Duration) {
	p := &t.presence
	due := time.Now().Add(d)
	if len(t.audience) == 0 || p.timer != nil && !due.Before(p.due) {
		return
	}
	p.stop()
	p.timer, p.due = t.room.self.After(d, &presenceTick{}), due
}

// publishPresence tells the listeners what has changed, and those who have joined since
// the last time all of it.
func (t *attendance) publishPresence() {
	p := &t.presence
	p.stop()
	t.endTyping()
	now := p.whole(t.MaxListed)
	diff, changed := since(p.told, now)
	t.audience.publishPresence(t.id, diff, changed, now)
	p.told = now
}

// endTyping ends the typing of those who have not said again that they type.
func (t *attendance) endTyping() {
	if len(t.presence.typing) == 0 {
		return
	}
	now, next := time.Now(), TypingFor
	for _, c := range t.audience {
		for a, l := range c.listeners.all() {
			until, types := t.presence.typing[a]
			switch left := until.Sub(now); {
			case !types:
			case left <= 0:
				t.presence.stopTyping(a, l.user.ID)
			default:
				next = min(next, left)
			}
		}
	}
	if len(t.presence.typing) > 0 {
		t.tellPresence(next)
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

// tell tells the listeners something that is not recorded.
func (t *attendance) tell(n chat.Notice) {
	t.observe(n)
	t.audience.publish(Publication{Room: t.id, Notice: n})
}

// observe notes what a notice says of the assistant.
func (t *attendance) observe(n chat.Notice) {
	switch n := n.(type) {
	case chat.Text, chat.Speech:
		t.assistantIs(chat.AssistantState{Doing: chat.DoingAnswering})
	case chat.Thought:
		t.assistantIs(chat.AssistantState{Doing: chat.DoingThinking})
	case chat.Progress:
		if n.Retrying != nil {
			t.assistantIs(chat.AssistantState{Doing: chat.DoingWaiting, For: "provider"})
		}
	case chat.Failure, chat.Removal:
		t.assistantIs(chat.AssistantState{})
	case chat.Record:
		t.observeRecord(n.Event)
	}
}

func (t *attendance) observeRecord(e chat.Event) {
	switch e := e.(type) {
	case chat.TurnStarted, chat.ToolsCalled, chat.ToolsLost, chat.ToolDecided, chat.ToolEnded:
		t.assistantIs(whatItDoes(t.room.records.shown.Calls))
	case chat.ToolStarted:
		t.assistantIs(chat.AssistantState{Doing: chat.DoingTool, Tool: e.Tool.Name})
	case chat.TurnEnded:
		if e.TurnID == t.announcedTurn.TurnID {
			t.assistantIs(chat.AssistantState{})
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

// assistantIs notes what the assistant is doing.
func (t *attendance) assistantIs(now chat.AssistantState) {
	if t.presence.assistant != now {
		t.presence.assistant = now
		t.tellPresence(PresenceEvery)
	}
}
