package commands

import (
	"context"
	"crypto/rand"

	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Invite makes an invitation to a chat. Its token is not kept, and cannot be had again.
func (c *Commands) Invite(ctx context.Context, u chat.User, id chat.ID, o chat.Offer) (chat.Invitation, error) {
	if refusal := o.Valid(); refusal != nil {
		return chat.Invitation{}, refusal
	}
	var random [20]byte
	rand.Read(random[:])
	secret := chat.MakeSecret(random)
	reply, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command {
		return &room.Invite{Caller: by, Offer: o, Secret: secret}
	})
	if err != nil {
		return chat.Invitation{}, err
	}
	return chat.Invitation{Invite: reply.Body.(room.Invited).Invite, Token: chat.InviteToken(id.Room(), secret)}, nil
}

// Invites returns the open invitations of a chat, oldest first.
func (c *Commands) Invites(ctx context.Context, u chat.User, id chat.ID) ([]chat.Invite, error) {
	body, err := asked[room.Invites](ctx, c, id.Room(), u, func(by room.Caller) room.Command { return &room.ListInvites{Caller: by} })
	return body.Invites, err
}

// Revoke ends an invitation.
func (c *Commands) Revoke(ctx context.Context, u chat.User, id chat.ID, invite chat.InviteID) error {
	_, err := c.ask(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.RevokeInvite{Caller: by, ID: invite} })
	return err
}

// Accept makes the user a member of the chat that the token is an invitation to.
func (c *Commands) Accept(ctx context.Context, u chat.User, token string) (chat.Info, error) {
	id, secret, ok := chat.CutInviteToken(token)
	if !ok {
		return chat.Info{}, conversation.ErrNoInvite
	}
	return c.changeMembers(ctx, id, u, func(by room.Caller) room.Command { return &room.Accept{Caller: by, Secret: secret} })
}

// LookAtInvite returns what the token is an invitation to, and changes nothing.
func (c *Commands) LookAtInvite(ctx context.Context, u chat.User, token string) (chat.Welcome, error) {
	id, secret, ok := chat.CutInviteToken(token)
	if !ok {
		return chat.Welcome{}, conversation.ErrNoInvite
	}
	body, err := asked[room.Welcomed](ctx, c, id, u, func(by room.Caller) room.Command { return &room.Accept{Caller: by, Secret: secret, Look: true} })
	return body.Welcome, err
}

// SetMember gives a user a role in a chat. See [conversation.Members.SetMember].
func (c *Commands) SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error) {
	return c.changeMembers(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.SetMember{Caller: by, Member: m} })
}

// RemoveMember takes a user's role away. What the user has open of the chat ends.
func (c *Commands) RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error {
	_, err := c.changeMembers(ctx, id.Room(), u, func(by room.Caller) room.Command { return &room.RemoveMember{Caller: by, Member: member} })
	return err
}

// Reassign gives to one user what another is in a chat.
func (c *Commands) Reassign(ctx context.Context, id chat.RoomID, from, to chat.UserID) error {
	_, err := c.ask(ctx, id, chat.User{}, func(by room.Caller) room.Command { return &room.Reassign{Caller: by, From: from, To: to} })
	return err
}

func (c *Commands) changeMembers(ctx context.Context, id chat.RoomID, u chat.User, command func(room.Caller) room.Command) (chat.Info, error) {
	body, err := asked[room.Listed](ctx, c, id, u, command)
	return body.Chat, err
}
