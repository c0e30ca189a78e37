package room

import (
	"slices"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// Invite makes an invitation that the secret opens. The reply is an [Invited].
type Invite struct {
	Caller
	chat.Offer
	Secret string
}

func (c *Invite) do(r *Room) {
	i := chat.Invite{ID: chat.InviteID(newID()), Role: c.Role, Digest: chat.DigestOf(c.Secret), Uses: c.Uses, By: c.User.ID, Guests: c.Guests}
	if c.ExpiresIn > 0 {
		i.Expires = now().Add(c.ExpiresIn)
	}
	r.change(c.Caller, access.Manage, func(m conversation.Moment) ([]chat.Event, *chat.Error) { return m.Members().Invite(i, now()) },
		func(chat.Info) any { return Invited{i} })
}

// ListInvites asks for the invitations that may still be used. The reply is [Invites].
type ListInvites struct{ Caller }

func (c *ListInvites) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Manage); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	open := slices.DeleteFunc(slices.Clone(r.records.shown.Invites), func(i chat.Invite) bool { return !i.Open(now()) })
	r.reply(c.Caller, Invites{open})
}

// RevokeInvite ends an invitation. The reply is a [Listed].
type RevokeInvite struct {
	Caller
	ID chat.InviteID
}

func (c *RevokeInvite) do(r *Room) {
	r.change(c.Caller, access.Manage, func(m conversation.Moment) ([]chat.Event, *chat.Error) { return m.Members().Revoke(c.ID, c.User.ID) }, listed)
}

// Accept makes the caller a member, if the secret is that of an invitation. The reply is
// a [Listed]. With Look nothing is changed, and the reply is a [Welcomed].
type Accept struct {
	Caller
	Secret string
	Look   bool
}

func (c *Accept) do(r *Room) {
	if r.admit(c.Caller, access.Accept) != nil { // there is no chat, which nobody is told
		r.refuse(c.Caller, conversation.ErrNoInvite)
		return
	}
	if c.Look {
		welcome, refusal := r.moment().Members().Look(c.User, chat.DigestOf(c.Secret), now())
		if refusal != nil {
			r.refuse(c.Caller, refusal)
			return
		}
		r.reply(c.Caller, Welcomed{welcome})
		return
	}
	r.change(c.Caller, access.Accept, func(m conversation.Moment) ([]chat.Event, *chat.Error) {
		return m.Members().Accept(c.User, chat.DigestOf(c.Secret), now())
	}, listed)
}

// SetMember gives a user a role. The owner offers the chat to another user by the role of
// owner, and that user accepts it by the same command. The reply is a [Listed].
type SetMember struct {
	Caller
	Member chat.Member
}

func (c *SetMember) do(r *Room) {
	action := access.Manage
	if c.Member.ID == c.User.ID && c.Member.Role == chat.RoleOwner {
		action = access.Inherit
	}
	r.change(c.Caller, action, func(m conversation.Moment) ([]chat.Event, *chat.Error) {
		return m.Members().SetMember(c.Member, c.User.ID)
	}, listed)
}

// RemoveMember takes a user's role away. Everybody may remove themselves but the owner.
// The reply is a [Listed].
type RemoveMember struct {
	Caller
	Member chat.UserID
}

func (c *RemoveMember) do(r *Room) {
	action := access.Manage
	if c.Member == c.User.ID {
		action = access.Depart
	}
	r.change(c.Caller, action, func(m conversation.Moment) ([]chat.Event, *chat.Error) {
		return m.Members().RemoveMember(c.Member, c.User.ID)
	}, listed)
}

func listed(info chat.Info) any { return Listed{info} }

// membership is the key of the last change of a role that waits for the disk. No
// idempotency key is equal to it, see [creation].
const membership = "membership"

// change records what decide returns, and replies with what reply makes of the chat as it
// then is. If there is nothing to record, since somebody has that role, the reply waits
// until that role is on disk.
func (r *Room) change(c Caller, a access.Action, decide func(conversation.Moment) ([]chat.Event, *chat.Error), reply func(chat.Info) any) {
	refusal := r.admit(c, a)
	var events []chat.Event
	if refusal == nil {
		events, refusal = decide(r.moment())
	}
	switch {
	case refusal != nil:
		r.refuse(c, refusal)
		return
	case len(events) == 0:
		if !r.records.join(membership, c) {
			r.reply(c, reply(r.records.head.Chat))
		}
		return
	}
	p := r.records.propose(c, "", nil, events...)
	p.body = reply(r.records.head.Chat)
	if _, changed := events[0].(chat.MemberChanged); changed {
		r.records.await(membership, p)
	}
}
