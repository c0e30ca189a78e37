package auth

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// The other cookies of a session. [Cookie] has its access token, which is good for
// minutes; with these two a browser gets the next.
const (
	RefreshCookie = "refresh_token"
	SessionCookie = "session_id"
)

// cookies returns those of a session. Their path covers /socket.io/, and scripts cannot
// read them.
func (a *Accounts) cookies(r *http.Request, s Session, secret string) []*http.Cookie {
	access := ownClaims{Type: tokenType, Session: s.ID, Name: s.User.Name, Email: s.User.Email, Picture: s.User.Picture}
	left := s.Expires.Sub(a.Now())
	return []*http.Cookie{
		NewCookie(r, Cookie, a.sign(access, s.User.ID, min(a.AccessTTL, left)), min(a.AccessTTL, left)),
		NewCookie(r, RefreshCookie, a.sign(ownClaims{Type: refreshType, Session: s.ID, Refresh: s.Refresh}, s.User.ID, left), left),
		NewCookie(r, SessionCookie, secret, left),
	}
}

// NewCookie returns a cookie as those of a session are.
func NewCookie(r *http.Request, name, value string, ttl time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(ttl / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: origin.Secure(r),
	}
}

// noCookies deletes all three.
func noCookies(r *http.Request) (all []*http.Cookie) {
	for _, name := range []string{Cookie, RefreshCookie, SessionCookie} {
		c := NewCookie(r, name, "", 0)
		c.MaxAge = -1
		all = append(all, c)
	}
	return all
}

// fromBrowser returns the session of which a request has both lasting cookies, and the
// secret and refresh token in them. There may be several of each name: see [MaxCookies].
func (a *Accounts) fromBrowser(h http.Header) (s Session, secret string, c ownClaims, ok bool) {
	r := http.Request{Header: h}
	for _, refresh := range firstCookies(r.CookiesNamed(RefreshCookie)) {
		c, err := a.parse(refresh.Value, refreshType)
		if err != nil {
			continue
		}
		s, live := a.session(c.Session)
		for _, own := range firstCookies(r.CookiesNamed(SessionCookie)) {
			if live && s.opens(own.Value) && string(s.User.ID) == c.Subject {
				return s, own.Value, c, true
			}
		}
	}
	return Session{}, "", ownClaims{}, false
}

func firstCookies(all []*http.Cookie) []*http.Cookie { return all[:min(len(all), MaxCookies)] }

// Begin signs a user in, who has proved who they are, and returns the cookies to set.
func (v SignIns) Begin(ctx context.Context, r *http.Request, u chat.User) ([]*http.Cookie, error) {
	return v.begin(ctx, r, u, outside{})
}

func (v SignIns) begin(ctx context.Context, r *http.Request, u chat.User, from outside) ([]*http.Cookie, error) {
	return v.beginUntil(ctx, r, u, from, time.Time{})
}

func (v SignIns) beginUntil(ctx context.Context, r *http.Request, u chat.User, from outside, until time.Time) ([]*http.Cookie, error) {
	if v.accounts == nil {
		return nil, errNoAccounts
	}
	if _, err := v.asKnown("sign-in", chat.SignIn{User: u}); err != nil {
		return nil, err
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	s, secret, err := v.accounts.begin(ctx, u, from, until, address, r.UserAgent())
	if err != nil {
		return nil, err
	}
	return v.accounts.cookies(r, s, secret), nil
}

var (
	errNoAccounts = chat.Refuse(chat.CodeNotFound, "this server keeps no sessions")
	errNoSession  = refuse("cookies", "there is no session to refresh, or it has ended")
)

// Refresh dates the session of a browser anew, and returns the cookies to set. In
// development mode there is nothing to do.
func (v SignIns) Refresh(r *http.Request) ([]*http.Cookie, error) {
	if v.Development() || v.accounts == nil {
		return nil, v.noSession()
	}
	s, secret, c, ok := v.accounts.fromBrowser(r.Header)
	if !ok {
		v.failures.add(r.RemoteAddr, errNoSession)
		return nil, errNoSession
	}
	if _, err := v.asKnown("cookies", s.signIn()); err != nil {
		return nil, err
	}
	fresh, ok, err := v.accounts.refresh(r.Context(), s.ID, c.Refresh)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		v.failures.add(r.RemoteAddr, errNoSession)
		return nil, errNoSession
	}
	return v.accounts.cookies(r, fresh, secret), nil
}

func (v SignIns) noSession() error {
	if v.Development() {
		return nil
	}
	return errNoSession
}

// Logout ends the session of a browser, with whatever else is connected with it, and
// returns the cookies that delete the session's.
func (v SignIns) Logout(r *http.Request) ([]*http.Cookie, error) {
	if v.accounts == nil {
		return noCookies(r), nil
	}
	id := ""
	if s, _, _, ok := v.accounts.fromBrowser(r.Header); ok {
		id = s.ID
	} else if in, err := v.fromHeaders(r.Header); err == nil {
		id = in.Session
	}
	if s, ok := v.accounts.session(id); ok {
		if err := v.accounts.Revoke(r.Context(), s.User.ID, s.ID); err != nil {
			return noCookies(r), err
		}
	}
	return noCookies(r), nil
}

// Exchange signs in the bearer of a temporary token, which is good once: one that this
// server has handed to a page, or one with the token_type "temp" from who signs tokens.
func (v SignIns) Exchange(r *http.Request, temp string) ([]*http.Cookie, error) {
	if temp == "" {
		return nil, chat.Refuse(chat.CodeInvalid, "temp_token is missing")
	}
	if v.Development() || len(temp) > MaxTokenLen {
		return nil, chat.Refuse(chat.CodeInvalid, "temp_token is not a token that this server accepts")
	}
	u, from, expires, err := v.tempUser(temp)
	if err == nil && !v.used.take(temp, v.now(), expires) {
		err = refuse("temp_token", "it was used before")
	}
	if err != nil {
		v.failures.add(r.RemoteAddr, err)
		return nil, err
	}
	return v.begin(r.Context(), r, u, from)
}

// Handover returns a temporary token for a user who has signed in.
func (v SignIns) Handover(u chat.User) string { return v.handover(u, outside{}) }

func (v SignIns) handover(u chat.User, from outside) string {
	return v.accounts.sign(ownClaims{
		Type: tempType, Outside: &from, Name: u.Name, Email: u.Email, Picture: u.Picture, Admin: u.Admin,
	}, u.ID, tempTTL)
}

// tempUser returns the user of a temporary token.
func (v SignIns) tempUser(temp string) (u chat.User, from outside, expires time.Time, err error) {
	if !isOwn(temp) || v.accounts == nil {
		claims := jwt.MapClaims{}
		if _, err := v.parser.ParseWithClaims(temp, claims, v.keyFor); err != nil {
			return u, from, expires, refuse("temp_token", v.complaint(err))
		}
		if claims["token_type"] != tempType || claims["exp"] == nil {
			return u, from, expires, chat.Refuse(chat.CodeInvalid, "temp_token is not a temporary token that expires")
		}
		in, err := v.signIn("temp_token", claims)
		if err == nil && in.Expires.Sub(v.now()) > maxTempTTL+v.leeway {
			err = chat.Refuse(chat.CodeInvalid, "temp_token is good for longer than "+maxTempTTL.String())
		}
		if err == nil {
			err = v.recognise("temp_token", v.issuer, in.ID, claims)
		}
		return in.User, from, in.Expires, err
	}
	c, err := v.accounts.parse(temp, tempType)
	switch {
	case err == jwt.ErrTokenInvalidClaims:
		return u, from, expires, chat.Refuse(chat.CodeInvalid, "temp_token is not a temporary token")
	case err != nil:
		return u, from, expires, refuse("temp_token", v.complaint(err))
	}
	if c.Outside != nil {
		from = *c.Outside
	}
	return chat.User{ID: chat.UserID(c.Subject), Name: c.Name, Email: c.Email, Picture: c.Picture, Admin: c.Admin}, from, c.ExpiresAt.Time, nil
}

// Sessions returns those of a user, the last used first.
func (v SignIns) Sessions(u chat.UserID) []Session {
	if v.accounts == nil {
		return nil
	}
	return v.accounts.Sessions(u)
}

// Current returns the id of the session that a request belongs to, or "".
func (v SignIns) Current(r *http.Request) string {
	if v.Development() {
		return ""
	}
	in, _ := v.fromHeaders(r.Header) // whoever asks has signed in already
	return in.Session
}

// Revoke ends a session of the user, and RevokeAll all of them but one.
func (v SignIns) Revoke(ctx context.Context, u chat.UserID, session string) error {
	if v.accounts == nil {
		return errNoAccounts
	}
	return v.accounts.Revoke(ctx, u, session)
}

// RevokeAll ends all sessions of the user but the one that is kept.
func (v SignIns) RevokeAll(ctx context.Context, u chat.UserID, kept string) error {
	if v.accounts == nil {
		return nil
	}
	return v.accounts.RevokeAll(ctx, u, kept)
}
