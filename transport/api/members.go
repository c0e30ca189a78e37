package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// Members is the part of the server that says who is a member of a chat. Its methods have
// the errors of [Chats.Get], and those that their refusals name.
type Members interface {
	Invite(ctx context.Context, u chat.User, id chat.ID, o chat.Offer) (chat.Invitation, error)
	Invites(ctx context.Context, u chat.User, id chat.ID) ([]chat.Invite, error)
	Revoke(ctx context.Context, u chat.User, id chat.ID, invite chat.InviteID) error
	Accept(ctx context.Context, u chat.User, token string) (chat.Info, error)
	LookAtInvite(ctx context.Context, u chat.User, token string) (chat.Welcome, error)
	SetMember(ctx context.Context, u chat.User, id chat.ID, m chat.Member) (chat.Info, error)
	RemoveMember(ctx context.Context, u chat.User, id chat.ID, member chat.UserID) error
}

type (
	wireMembers struct {
		Members []chat.Member `json:"members"`
	}

	// A wireInvite is an invitation. Token and URL are told once, to who made it.
	wireInvite struct {
		ID      chat.InviteID   `json:"invite_id"`
		Token   string          `json:"token,omitempty"`
		URL     string          `json:"url,omitempty"`
		Role    chat.MemberRole `json:"role"`
		Expires *string         `json:"expires_at"` // null: never
		Uses    *int            `json:"uses"`       // that are left; null: any number
		By      chat.UserID     `json:"by"`
		Guests  bool            `json:"guests,omitempty"`
	}
	wireInvites struct {
		Invites []wireInvite `json:"invites"`
	}

	// A wireWelcome is what an invitation is to. ID and Has are told to a member.
	wireWelcome struct {
		Title   string          `json:"title"` // empty until there is one
		By      wirePerson      `json:"by"`
		Role    chat.MemberRole `json:"role"`
		Expires *string         `json:"expires_at"` // null: never
		People  int             `json:"people"`
		Model   string          `json:"model"` // that answers, as people are told its name
		ID      chat.ID         `json:"chat_id,omitempty"`
		Has     chat.MemberRole `json:"has,omitempty"`
	}

	wireAccepted struct {
		ID   chat.ID         `json:"chat_id"`
		Role chat.MemberRole `json:"role"`
		User chat.UserID     `json:"user_id,omitempty"` // that a guest is from now on
	}
)

// A memberArea answers about the members of chats, and takes in new ones.
type memberArea struct {
	*chatArea
	members Members
	guests  Guests // nil: there are none
}

func (a *memberArea) routes() map[string]endpoint {
	return map[string]endpoint{
		"GET /chat/{chat_id}/members": a.listMembers, "PUT /chat/{chat_id}/members/{user_id}": inChat(a.setMember), "DELETE /chat/{chat_id}/members/{user_id}": inChat(a.removeMember),
		"GET /chat/{chat_id}/invites": inChat(a.listInvites), "POST /chat/{chat_id}/invites": inChat(a.invite), "DELETE /chat/{chat_id}/invites/{invite_id}": inChat(a.revokeInvite),
	}
}

func (a *memberArea) listMembers(r *http.Request, u chat.User) (any, error) {
	c, err := a.chat(r, u)
	if err != nil {
		return nil, err
	}
	return wireMembers{orEmpty(c.Everybody())}, nil
}

func (a *memberArea) setMember(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var body struct {
		Role chat.MemberRole `json:"role"`
		Name string          `json:"name"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	member := chat.Member{ID: chat.UserID(r.PathValue("user_id")), Name: body.Name, Role: body.Role}
	c, err := a.members.SetMember(r.Context(), u, id, member)
	if err != nil {
		return nil, err
	}
	return wireMembers{orEmpty(c.Everybody())}, nil
}

func (a *memberArea) removeMember(r *http.Request, u chat.User, id chat.ID) (any, error) {
	if err := a.members.RemoveMember(r.Context(), u, id, chat.UserID(r.PathValue("user_id"))); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Member removed"}, nil
}

func (a *memberArea) invite(r *http.Request, u chat.User, id chat.ID) (any, error) {
	var body struct {
		Role      chat.MemberRole `json:"role"`
		ExpiresIn int             `json:"expires_in"` // seconds
		Uses      int             `json:"uses"`
		Guests    *bool           `json:"guests"` // nil: if there are guests here
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if limit := int(chat.MaxInviteTime / time.Second); body.ExpiresIn > limit || body.ExpiresIn < 0 {
		body.ExpiresIn = limit + 1 // which is refused
	}
	guests := a.guests != nil
	if body.Guests != nil {
		if *body.Guests && !guests {
			return nil, errNoGuest
		}
		guests = *body.Guests
	}
	made, err := a.members.Invite(r.Context(), u, id, chat.Offer{
		Role: body.Role, ExpiresIn: time.Duration(body.ExpiresIn) * time.Second, Uses: body.Uses, Guests: guests,
	})
	if err != nil {
		return nil, err
	}
	w := toWireInvite(made.Invite)
	w.Token, w.URL = made.Token, inviteURL(r, made.Token)
	return w, nil
}

func (a *memberArea) lookAtInvite(r *http.Request, u chat.User) (any, error) {
	found, err := a.members.LookAtInvite(r.Context(), u, r.PathValue("token"))
	if err != nil {
		return nil, err
	}
	i := toWireInvite(found.Invite)
	w := wireWelcome{
		Title: found.Chat.Title, By: wirePerson{found.By, found.Chat.Member(found.By).Name}, Role: i.Role, Expires: i.Expires,
		People: len(found.Chat.Everybody()), Model: a.modelOf(found.Chat, found.Chat.ModelID).DisplayName, Has: found.Has,
	}
	if found.Has != "" {
		w.ID = found.Chat.ID
	}
	return w, nil
}

func toWireInvite(i chat.Invite) wireInvite {
	w := wireInvite{ID: i.ID, Role: i.Role, By: i.By, Guests: i.Guests}
	if !i.Expires.IsZero() {
		at := chat.Timestamp(i.Expires)
		w.Expires = &at
	}
	if i.Uses > 0 {
		w.Uses = &i.Uses
	}
	return w
}

func (a *memberArea) listInvites(r *http.Request, u chat.User, id chat.ID) (any, error) {
	invites, err := a.members.Invites(r.Context(), u, id)
	if err != nil {
		return nil, err
	}
	list := wireInvites{Invites: []wireInvite{}}
	for _, i := range invites {
		list.Invites = append(list.Invites, toWireInvite(i))
	}
	return list, nil
}

func (a *memberArea) revokeInvite(r *http.Request, u chat.User, id chat.ID) (any, error) {
	if err := a.members.Revoke(r.Context(), u, id, chat.InviteID(r.PathValue("invite_id"))); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Invitation revoked"}, nil
}

func (a *memberArea) acceptInvite(r *http.Request, u chat.User) (any, error) {
	c, err := a.members.Accept(r.Context(), u, r.PathValue("token"))
	if err != nil {
		return nil, err
	}
	return wireAccepted{ID: c.ID, Role: c.RoleOf(u.ID)}, nil
}

// inviteURL returns the address at which the page accepts the invitation, as the one who
// asked for it reaches this server. The token is behind the #, which browsers send to
// nobody.
func inviteURL(r *http.Request, token string) string {
	scheme := "http"
	if origin.Secure(r) || r.Header.Get("X-Forwarded-Proto") == "https" { // also of a proxy that nobody named
		scheme = "https"
	}
	base, _, _ := strings.Cut(r.URL.Path, "/api/v1/")
	return scheme + "://" + r.Host + base + "/#i=" + token
}
