package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"parlor/protocol/chat"
)

var (
	errGuests    = chat.Refuse(chat.CodeForbidden, "this is not for guests: sign in")
	errNoGuests  = chat.Refuse(chat.CodeUnauthenticated, notSignedIn+"this server has no guests")
	errGuestName = chat.Refuse(chat.CodeInvalid, "name must be printable and not empty, and at most 64 characters")
)

// maxGuestName is how long the name may be that a guest chooses, in characters.
const maxGuestName = 64

// Anonymous reports whether a request has no credential of any kind, good or bad.
func (v SignIns) Anonymous(r *http.Request) bool {
	for _, name := range []string{Cookie, RefreshCookie, SessionCookie} {
		if len(r.CookiesNamed(name)) > 0 {
			return false
		}
	}
	return !v.Development() && len(authorization(r.Header)) == 0
}

// NewGuest returns a guest with a new id for the room, before they come. Tries are limited
// for each address.
func (v SignIns) NewGuest(r *http.Request, room chat.RoomID, name string) (chat.User, error) {
	if !v.guests || v.accounts == nil {
		return chat.User{}, errNoGuests
	}
	if name = chat.OneLine(name); name == "" || chat.Cut(name, maxGuestName) != name || !chat.Printable(name) {
		return chat.User{}, errGuestName
	}
	id := chat.UserID(chat.GuestPrefix + strings.ToLower(rand.Text()[:16]))
	if refusal := v.guestTries.Take(id, r.RemoteAddr); refusal != nil {
		v.failures.add(r.RemoteAddr, refusal)
		return chat.User{}, refusal
	}
	return chat.User{ID: id, Name: name, Only: room}, nil
}

// BeginGuest signs in a guest who has come, and returns the cookies to set. The session ends
// at until at the latest, if that is not zero.
func (v SignIns) BeginGuest(r *http.Request, u chat.User, until time.Time) ([]*http.Cookie, error) {
	if u.Only == "" || !u.ID.IsGuest() {
		return nil, errors.New("auth: not a guest")
	}
	return v.beginUntil(r.Context(), r, u, outside{}, until)
}

// EndGuest ends the sessions of a guest who has left, or was removed.
func (a *Accounts) EndGuest(u chat.UserID) {
	if err := a.RevokeAll(context.Background(), u, ""); err != nil {
		a.Logger.Error("the session of a guest who is gone stays on the disk", "user", u, "err", err)
	}
}

// Guests returns the guests who have a session.
func (a *Accounts) Guests() (all []chat.User) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		if s.Only != "" {
			all = append(all, s.signIn().User)
		}
	}
	return all
}

// WithGuests is a Verifier that lets guests in too. What it protects has to see to it that
// they come no further than into their chat.
type WithGuests struct{ *Verifier }

// Request is that of [Verifier].
func (v WithGuests) Request(r *http.Request) (chat.User, error) {
	in, err := v.SignIn(r)
	return in.User, err
}

// SignIn is that of [Verifier].
func (v WithGuests) SignIn(r *http.Request) (chat.SignIn, error) {
	in, err := v.request(r)
	if err != nil {
		v.failures.add(r.RemoteAddr, err)
	}
	return in, err
}

// Socket is that of [Verifier].
func (v WithGuests) Socket(remote string, h http.Header, auth json.RawMessage) (chat.SignIn, error) {
	in, err := v.socket(h, auth)
	if err != nil {
		v.failures.add(remote, err)
	}
	return in, err
}

// Token is that of [Verifier].
func (v WithGuests) Token(remote, token string) (chat.SignIn, error) { return v.token(remote, token) }

// noGuests refuses guests.
func noGuests(in chat.SignIn, err error) (chat.SignIn, error) {
	if err == nil && in.Only != "" {
		return chat.SignIn{}, errGuests
	}
	return in, err
}
