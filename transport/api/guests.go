package api

import (
	"net/http"
	"time"

	"parlor/protocol/chat"
)

// Guests let people without an account in. Their errors are [*chat.Error]s.
type Guests interface {
	// Anonymous reports whether a request has no credential of any kind.
	Anonymous(r *http.Request) bool

	// NewGuest returns a guest for the room, and BeginGuest the cookies for one who has come.
	NewGuest(r *http.Request, room chat.RoomID, name string) (chat.User, error)
	BeginGuest(r *http.Request, u chat.User, until time.Time) ([]*http.Cookie, error)
}

// guestMay are the requests that guests may make. What they are answered is of their chat
// alone, which [Chats] and [Members] see to.
var guestMay = map[string]bool{
	"GET /auth/me": true, "GET /auth/sessions": true, "GET /model": true, "GET /usage": true, "GET /chat": true, "GET /chat/{chat_id}": true, "PATCH /chat/{chat_id}": true,
	"PATCH /chat/{chat_id}/mark": true, "GET /chat/{chat_id}/members": true, "DELETE /chat/{chat_id}/members/{user_id}": true, lookName: true, acceptName: true,
	"GET /chat/{chat_id}/messages": true, sayName: true, editName: true, "POST /chat/{chat_id}/messages/{message_id}/regenerate": true, "POST /chat/{chat_id}/stop": true, "POST /chat/{chat_id}/calls/{call_id}": true,
	uploadName: true, "GET /chat/{chat_id}/files": true, "GET /chat/{chat_id}/files/{fileid}": true, "DELETE /chat/{chat_id}/files/{fileid}": true,
	"GET /chat/{chat_id}/events": true, "GET /chat/{chat_id}/export": true,
}

var (
	errGuest   = chat.Refuse(chat.CodeForbidden, "guests may not do that: sign in")
	errNoName  = chat.Refuse(chat.CodeUnauthenticated, "not signed in: sign in, or send a name to come as a guest")
	errNoGuest = chat.Refuse(chat.CodeInvalid, "guests are off on this server")
)

// admit returns why the user may not make a request of the given name, or nil.
func admit(u chat.User, name string) error {
	if u.Only != "" && !guestMay[name] {
		return errGuest
	}
	return nil
}

// The requests that look at an invitation, and that accept one.
const (
	lookName   = "GET /invites/{token}"
	acceptName = "POST /invites/{token}"
)

// forGuests answers a request of users, and one of people without an account, if there are
// guests here.
func (a *API) forGuests(name string, ofUser endpoint, ofGuest func(*http.Request) (any, error)) http.HandlerFunc {
	users := a.serve(name, ofUser)
	if a.guests == nil {
		return users
	}
	guests := a.open(name, ofGuest)
	return func(w http.ResponseWriter, r *http.Request) {
		if a.guests.Anonymous(r) {
			guests(w, r)
		} else {
			users(w, r)
		}
	}
}

// lookAsGuest is for people who have not come yet, so they have no id.
func (a *memberArea) lookAsGuest(r *http.Request) (any, error) {
	room, _, _ := chat.CutInviteToken(r.PathValue("token"))
	return a.lookAtInvite(r, chat.User{ID: chat.GuestPrefix + "nobody", Only: room})
}

func (a *memberArea) acceptAsGuest(r *http.Request) (any, error) {
	if r.ContentLength == 0 {
		return nil, errNoName
	}
	var body struct {
		Name string `json:"name"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	token := r.PathValue("token")
	room, _, _ := chat.CutInviteToken(token)
	u, err := a.guests.NewGuest(r, room, body.Name)
	if err != nil {
		return nil, err
	}
	c, err := a.members.Accept(r.Context(), u, token)
	if err != nil {
		return nil, err
	}
	m := c.Member(u.ID)
	var until time.Time
	if m.Until > 0 {
		until = time.Unix(m.Until, 0)
	}
	cookies, err := a.guests.BeginGuest(r, u, until)
	return reply{wireAccepted{ID: c.ID, Role: m.Role, User: u.ID}, cookies, ""}, err
}
