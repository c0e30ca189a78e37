package conversation

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"parlor/protocol/chat"
)

// MaxInvites is how many invitations of a chat may be open at once.
const MaxInvites = 50

// Refusals of what concerns members.
var (
	ErrNoMember    = chat.Refuse(chat.CodeNotFound, "the chat has no such member")
	ErrNoInvite    = chat.Refuse(chat.CodeNotFound, "there is no such invitation; it may have been revoked or used up")
	ErrExpired     = chat.Refuse(chat.CodeExpired, "the invitation has expired")
	ErrGivenRole   = chat.Refuse(chat.CodeInvalid, "role must be member or viewer")
	ErrRole        = chat.Refuse(chat.CodeInvalid, "role must be owner, member or viewer")
	ErrOwner       = chat.Refuse(chat.CodeInvalid, "the owner has to hand the chat over first: give somebody else the role owner")
	ErrNotOffered  = chat.Refuse(chat.CodeForbidden, "the owner has not offered you this chat")
	ErrManyInvites = chat.Refuse(chat.CodeBusy, fmt.Sprintf("the chat has %d open invitations; revoke one first", MaxInvites))
)

var (
	errGuestOwner  = chat.Refuse(chat.CodeInvalid, "a guest cannot own a chat")
	errGuestMember = chat.Refuse(chat.CodeInvalid, "a guest comes by an invitation, and to one chat alone")
)

// Members decides who is a member of the chat.
type Members struct {
	*State
	max int // members; 0: any number
}

// Members returns what decides about the members.
func (m Moment) Members() Members { return Members{m.State, m.MaxMembers} }

// Invite makes an invitation.
func (m Members) Invite(i chat.Invite, now time.Time) ([]chat.Event, *chat.Error) {
	open := 0
	for _, old := range m.Invites {
		if old.Open(now) {
			open++
		}
	}
	switch {
	case !i.Role.Given():
		return nil, ErrGivenRole
	case open >= MaxInvites:
		return nil, ErrManyInvites
	}
	return []chat.Event{chat.InviteMade{Invite: i}}, nil
}

// Revoke ends an invitation, and the guests who came by it leave. It may have been used up.
func (m Members) Revoke(id chat.InviteID, by chat.UserID) ([]chat.Event, *chat.Error) {
	leave := m.guestsLeave(by, func(g chat.Member) bool { return g.Invite == id })
	if len(leave) == 0 && !slices.ContainsFunc(m.Invites, func(i chat.Invite) bool { return i.ID == id && !i.Spent() }) {
		return nil, ErrNoInvite
	}
	return append([]chat.Event{chat.InviteRevoked{ID: id, By: by}}, leave...), nil
}

// Accept gives a user who knows the secret of an invitation its role. There are no events
// if the user has that role or a higher one: an invitation that a user accepts twice is used
// once. So a user who was not told that it was accepted may ask again, also if that was its
// last use.
func (m Members) Accept(u chat.User, digest []byte, now time.Time) ([]chat.Event, *chat.Error) {
	at := slices.IndexFunc(m.Invites, func(i chat.Invite) bool { return i.Opens(digest) })
	if at < 0 {
		return nil, ErrNoInvite
	}
	i := m.Invites[at]
	gone := m.guestsLeave("", func(g chat.Member) bool { return g.Until > 0 && g.Until <= now.Unix() })
	switch had := m.Chat.RoleOf(u.ID); {
	case had == chat.RoleOwner, had == chat.RoleMember, had == i.Role:
		return nil, nil
	case i.Spent():
		return nil, ErrNoInvite
	case i.Expired(now):
		return nil, ErrExpired
	case u.ID.IsGuest() && !i.Guests:
		return nil, ErrNoInvite
	case had == "":
		if refusal := m.roomForOne(len(gone)); refusal != nil {
			return nil, refusal
		}
	}
	member := chat.Member{ID: u.ID, Name: u.Name, Role: i.Role}
	if u.ID.IsGuest() {
		if member.Invite = i.ID; !i.Expires.IsZero() {
			member.Until = i.Expires.Unix()
		}
	}
	return append([]chat.Event{chat.MemberChanged{Member: member, By: i.By, Invite: i.ID}}, gone...), nil
}

// Look returns what Accept would accept, or why it would refuse.
func (m Members) Look(u chat.User, digest []byte, now time.Time) (chat.Welcome, *chat.Error) {
	if _, refusal := m.Accept(u, digest, now); refusal != nil {
		return chat.Welcome{}, refusal
	}
	at := slices.IndexFunc(m.Invites, func(i chat.Invite) bool { return i.Opens(digest) })
	return chat.Welcome{Chat: m.Chat, Invite: m.Invites[at], Has: m.Chat.RoleOf(u.ID)}, nil
}

// SetMember gives a user a role. There are no events if the user has it. A member keeps
// the name that they have unless there is another one. The chat is only offered to a new
// owner, who takes the place of the old one by giving themselves that role: what a chat
// takes up counts for its owner, so nobody becomes one unasked.
func (m Members) SetMember(member chat.Member, by chat.UserID) ([]chat.Event, *chat.Error) {
	old, fault := m.Chat.Member(member.ID), member.Fault()
	had := old.Role
	member.Name = cmp.Or(member.Name, old.Name)
	member.Invite, member.Until = old.Invite, old.Until
	switch {
	case member.ID.IsGuest() && had == "":
		return nil, errGuestMember
	case member.ID.IsGuest() && member.Role == chat.RoleOwner:
		return nil, errGuestOwner
	case fault != "":
		return nil, chat.Refuse(chat.CodeInvalid, fault)
	case !member.Role.Given() && member.Role != chat.RoleOwner:
		return nil, ErrRole
	case had == member.Role:
		return nil, nil
	case had == chat.RoleOwner:
		return nil, ErrOwner
	case had == "" && member.Role == chat.RoleOwner:
		return nil, ErrNoMember // a chat is handed over to somebody who is there
	case member.Role == chat.RoleOwner && member.ID != by:
		return m.offer(member.ID, by), nil
	case member.Role == chat.RoleOwner && member.ID != m.Heir:
		return nil, ErrNotOffered
	case had == "":
		if refusal := m.roomForOne(0); refusal != nil {
			return nil, refusal
		}
	}
	return []chat.Event{chat.MemberChanged{Member: member, By: by}}, nil
}

// offer offers the chat to a member, once.
func (m Members) offer(to, by chat.UserID) []chat.Event {
	if m.Heir == to {
		return nil
	}
	return []chat.Event{chat.OwnerOffered{To: to, By: by}}
}

// RemoveMember takes a user's role away.
func (m Members) RemoveMember(u, by chat.UserID) ([]chat.Event, *chat.Error) {
	switch m.Chat.RoleOf(u) {
	case "":
		return nil, ErrNoMember
	case chat.RoleOwner:
		return nil, ErrOwner
	}
	return []chat.Event{chat.MemberChanged{Member: chat.Member{ID: u}, By: by}}, nil
}

// Reassign gives a user what another one is in the chat, since both are one person. Of two
// roles the higher one counts.
func (m Members) Reassign(from, to chat.UserID) (events []chat.Event) {
	old, has := m.Chat.Member(from), m.Chat.Member(to)
	if old.Role == "" || from == to {
		return nil
	}
	if has.Role == "" || old.Role == chat.RoleOwner || has.Role == chat.RoleViewer && old.Role == chat.RoleMember {
		events = append(events, chat.MemberChanged{Member: chat.Member{ID: to, Name: cmp.Or(has.Name, old.Name), Role: old.Role}})
	}
	if m.Heir == from && has.Role != chat.RoleOwner {
		events = append(events, chat.OwnerOffered{To: to, By: m.Chat.Owner})
	}
	return append(events, chat.MemberChanged{Member: chat.Member{ID: from}})
}

// guestsLeave takes the roles of some guests away.
func (m Members) guestsLeave(by chat.UserID, which func(chat.Member) bool) (events []chat.Event) {
	for _, g := range m.Chat.Members {
		if g.ID.IsGuest() && which(g) {
			events = append(events, chat.MemberChanged{Member: chat.Member{ID: g.ID}, By: by})
		}
	}
	return events
}

// roomForOne returns why nobody else may become a member when so many leave, or nil.
func (m Members) roomForOne(leave int) *chat.Error {
	if m.max > 0 && len(m.Chat.Members)-leave+1 >= m.max {
		return chat.Refuse(chat.CodeBusy, fmt.Sprintf("the chat has %d members, as many as it may", m.max))
	}
	return nil
}

// useInvite counts a use of an invitation.
func (s *State) useInvite(id chat.InviteID) {
	for n := range s.Invites {
		if i := &s.Invites[n]; i.ID == id {
			*i = i.Used()
		}
	}
}

func (s *State) dropInvites(useless func(chat.Invite) bool) {
	s.Invites = slices.DeleteFunc(s.Invites, useless)
	if len(s.Invites) == 0 {
		s.Invites = nil // as a snapshot gives it back
	}
}
