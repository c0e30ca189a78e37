package room

import (
	"errors"
	"sync/atomic"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// keptOut reports whether the sender of a command may not read the chat of this room.
// Such a command is refused before the state of the room can show in the answer, or in
// the time that it takes: whether the room is quarantined, or cannot be read, or how
// much there is to load. A chat that does not exist keeps everybody out.
func (r *Room) keptOut(c Command) bool {
	if r.loaded && r.broken == nil || needsNoPermission(c) {
		return false // the command itself asks for permission
	}
	if !r.asleep {
		return r.pulse.keepsOut(r.Options, c)
	}
	row, err := r.Log.Chat(string(r.id))
	switch {
	case errors.Is(err, persistence.ErrNotFound):
		return !r.creates(c)
	case err != nil:
		return false // load says why
	}
	info, err := conversation.ReadRow(row)
	if err == nil {
		r.pulse.chat.Store(&info)
	}
	_, accepts := c.(*Accept) // the state holds the invitations
	return !accepts && r.pulse.keepsOut(r.Options, c)
}

// noChat is what a user who may not read the chat is told: the same as if there were
// none. A chat is not created without a model, so an unknown one is named in both cases.
func (o *Options) noChat(c Command) *chat.Error {
	switch c := c.(type) {
	case *Create:
		if !o.creates(c) {
			return o.rules.NoModel(c.ModelID)
		}
	case *Accept:
		return conversation.ErrNoInvite
	}
	return access.ErrNoChat
}

// creates reports whether the command makes the chat if there is none.
func (o *Options) creates(c Command) bool {
	create, ok := c.(*Create)
	if ok {
		_, ok = o.Models.Model(create.ModelID)
	}
	return ok
}

// needsNoPermission reports whether a command comes from the server, its operator or
// another backend, or leaves the room.
func needsNoPermission(c Command) bool {
	switch c.(type) {
	case *Leave, *Expire, *Release, *Reassign, *Announce, *Halt, *Kill, *Observe:
		return true
	}
	return false
}

// A Pulse is what a room tells its supervisor of itself: how many messages from the
// supervisor it has handled, its chat, and whether anybody needs it in memory. It also says
// to anybody how the room stands: see [Pulse.Look].
type Pulse struct {
	atomic.Uint64
	chat atomic.Pointer[chat.Info] // nil if there is none, or it is not known yet
	idle atomic.Bool
	shown
}

// Idle reports whether nobody and nothing needs the room in memory.
func (p *Pulse) Idle() bool { return p.idle.Load() }

func (p *Pulse) keepsOut(o *Options, c Command) bool {
	info := p.chat.Load()
	return info != nil && o.Access.Check(*info, c.caller().User, access.Read) != nil
}

// know notes the chat for the time when its state cannot be read.
func (p *Pulse) know(s *conversation.State) {
	if !s.Exists() {
		p.chat.Store(nil)
		return
	}
	info := s.Chat
	p.chat.Store(&info)
}

// Hung refuses a message in place of a room that handles nothing any more.
func (p *Pulse) Hung(o *Options, m Message) {
	c, ok := m.(Command)
	switch {
	case !ok:
	case !needsNoPermission(c) && p.keepsOut(o, c):
		o.Directory.refuse(c.caller(), access.ErrNoChat)
	default:
		o.Directory.refuse(c.caller(), errHung)
	}
}
