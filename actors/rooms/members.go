package rooms

import (
	"context"
	"crypto/rand"

	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Members returns the owner and the members of a chat that the user may read.
func (r *Rooms) Members(_ context.Context, u chat.User, id chat.RoomID) ([]chat.Member, error) {
	info, err := r.info(u, id)
	return info.Everybody(), err
}

// Invite makes an invitation to a chat. Its token is not kept, and cannot be had again.
func (r *Rooms) Invite(ctx context.Context, u chat.User, id chat.ID, o chat.Offer) (chat.Invitation, error) {
	if refusal := o.Valid(); refusal != nil {
		return chat.Invitation{}, refusal
	}
	var random [20]byte
	rand.Read(random[:])
	secret := chat.MakeSecret(random)
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Invite{Caller: c, Offer: o, Secret: secret}
	})
	if err != nil {
		return chat.Invitation{}, err
	}
	return chat.Invitation{Invite: reply.Body.(room.Invited).Invite, Token: chat.InviteToken(id.Room(), secret)}, nil
}

// Invites returns the open invitations of a chat, oldest first.
func (r *Rooms) Invites(ctx context.Context, u chat.User, id chat.ID) ([]chat.Invite, error) {
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.ListInvites{Caller: c} })
	if err != nil {
		return nil, err
	}
	return reply.Body.(room.Invites).Invites, nil
}

// Revoke ends an invitation.
func (r *Rooms) Revoke(ctx context.Context, u chat.User, id chat.ID, invite chat.InviteID) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.RevokeInvite{Caller: c, ID: invite} })
	return err
}

// Accept makes the user a member of the chat that the token is an invitation to.
func (r *Rooms) Accept(ctx context.Context, u chat.User, token string) (chat.Info, error) {
	id, secret, ok := chat.CutInviteToken(token)
	if !ok {
		return chat.Info{}, conversation.ErrNoInvite
	}
	return r.changeMembers(ctx, id, u, func(c room.Caller) room.Command { return &room.Accept{Caller: c, Secret: secret} })
}

// LookAtInvite returns what the token is an invitation to, and changes nothing.
func (r *Rooms) LookAtInvite(ctx context.Context, u chat.User, token string) (chat.Welcome, error) {
	id, secret, ok := chat.CutInviteToken(token)
	if !ok {
		return chat.Welcome{}, conversation.ErrNoInvite
	}
	reply, err := r.ask(ctx, id, u, func(c room.Caller) room.Command { return &room.Accept{Caller: c, Secret: secret, Look: true} })
	if err != nil {
		return chat.Welcome{}, err
	}
	return reply.Body.(room.Welcomed).Welcome, nil
}

// SetMember gives a user a role in a chat. See [conversation.Moment.SetMember].
func (r *Rooms) SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error) {
	return r.changeMembers(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.SetMember{Caller: c, Member: m} })
}

// RemoveMember takes a user's role away. What the user has open of the chat ends.
func (r *Rooms) RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error {
	_, err := r.changeMembers(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.RemoveMember{Caller: c, Member: member} })
	return err
}

func (r *Rooms) changeMembers(ctx context.Context, id chat.RoomID, u chat.User, command func(room.Caller) room.Command) (chat.Info, error) {
	reply, err := r.ask(ctx, id, u, command)
	if err != nil {
		return chat.Info{}, err
	}
	return reply.Body.(room.Listed).Chat, nil
}
