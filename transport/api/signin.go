package api

import (
	"context"
	"net/http"
	"strings"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// A SignIn lets users in and out. The cookies that it returns are to be set. Its errors
// are [*chat.Error]s.
type SignIn interface {
	// Exchange signs in the bearer of a temporary token, which is good once.
	Exchange(r *http.Request, temp string) ([]*http.Cookie, error)

	// Leave sends a browser to an identity provider, and ComeBack signs in the one that
	// comes from there; to is empty if it goes to the page of this server then. EndOutside
	// ends the sessions that the provider has ended, as its token says.
	Leave(r *http.Request) (to string, cookies []*http.Cookie, err error)
	ComeBack(r *http.Request) (to string, cookies []*http.Cookie, err error)
	EndOutside(r *http.Request, token string) error

	// Methods says how people can sign in.
	Methods() auth.Methods

	// Login signs in a user with a password.
	Login(r *http.Request, id chat.UserID, password string) ([]*http.Cookie, error)

	// Refresh dates the session of a browser anew, and Logout ends it.
	Refresh(r *http.Request) ([]*http.Cookie, error)
	Logout(r *http.Request) ([]*http.Cookie, error)

	// Sessions returns those of the user, the last used first. Current names the one that
	// a request belongs to; it is empty if that belongs to none.
	Sessions(u chat.UserID) []auth.Session
	Current(r *http.Request) string
	Revoke(ctx context.Context, u chat.UserID, session string) error
	RevokeAll(ctx context.Context, u chat.UserID, kept string) error
}

// A reply is an answer with cookies, or one that sends the browser to another address.
type reply struct {
	body    any
	cookies []*http.Cookie
	to      string // empty: it does not
}

// open answers requests of anybody, signed in or not.
func (a *API) open(name string, e func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if refusal := a.limit(chat.User{}, r, name); refusal != nil {
			a.refuse(w, r, refusal)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBodyBytes)
		a.finish(w, r)(e(r))
	}
}

// finish returns what answers with the result of an endpoint. An error may come with
// cookies: those that are of no use any more are deleted.
func (a *API) finish(w http.ResponseWriter, r *http.Request) func(answer any, err error) {
	return func(answer any, err error) {
		if with, ok := answer.(reply); ok {
			for _, c := range with.cookies {
				http.SetCookie(w, c)
			}
			if answer = with.body; err == nil && with.to != "" {
				w.Header().Set("Cache-Control", "no-store")
				http.Redirect(w, r, with.to, http.StatusSeeOther)
				return
			}
		}
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		a.answer(w, r, answer)
	}
}

// registerSignIn adds what needs no user yet.
func (a *API) registerSignIn(mux *http.ServeMux, prefix string) {
	if a.signIn.SignIn == nil {
		return
	}
	for name, e := range a.signIn.open() {
		method, path := splitRoute(name)
		mux.Handle(method+" "+prefix+path, a.protect(a.open(name, e)))
		mux.Handle(prefix+path, a.protect(methodNotAllowed([]string{method})))
	}
}

// A signInArea lets users in and out.
type signInArea struct {
	SignIn
	guests bool // are let in too
	allows func(r *http.Request, page string) (allowed bool, vary []string)
}

// open are the requests that need no user yet, and routes those of users.
func (a *signInArea) open() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /auth/validate-token": a.exchange, "POST /auth/refresh": a.refresh, "POST /auth/logout": a.logout, "GET /auth/methods": a.methods, "POST /auth/login": a.login,
		"GET /auth/oidc/login": a.leave, "GET /auth/oidc/callback": a.comeBack, "POST /auth/oidc/logout": a.endOutside,
		"GET /auth/google/login": a.leave, "GET /auth/google/callback": a.comeBack, // as the assistant SPA says
	}
}

func (a *signInArea) routes() map[string]endpoint {
	return map[string]endpoint{
		"GET /auth/sessions": a.listSessions, "DELETE /auth/sessions": a.revokeSessions, "DELETE /auth/sessions/{session_id}": a.revokeSession,
	}
}

// exchange refuses links: somebody could have others follow one that signs them in as
// himself.
func (a *signInArea) exchange(r *http.Request) (any, error) {
	site, page := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if allowed, _ := a.allows(r, page); r.Header.Get("Sec-Fetch-Mode") == "navigate" || site == "cross-site" && !allowed {
		return nil, chat.Refuse(chat.CodeForbidden, "a page exchanges its temporary token by a request of its own, not by a link")
	}
	cookies, err := a.SignIn.Exchange(r, r.URL.Query().Get("temp_token"))
	return reply{map[string]string{"status": "success"}, cookies, ""}, err
}

func (a *signInArea) login(r *http.Request) (any, error) {
	var body struct {
		ID       chat.UserID `json:"user_id"`
		Password string      `json:"password"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	cookies, err := a.SignIn.Login(r, body.ID, body.Password)
	return reply{map[string]string{"status": "success"}, cookies, ""}, err
}

// wireMethods also says whether an invitation lets somebody in without an account.
type wireMethods struct {
	auth.Methods
	Guests bool `json:"guests"`
}

func (a *signInArea) methods(*http.Request) (any, error) {
	return wireMethods{a.SignIn.Methods(), a.guests}, nil
}

func (a *signInArea) leave(r *http.Request) (any, error) {
	to, cookies, err := a.SignIn.Leave(r)
	return reply{nil, cookies, to}, err
}

// comeBack leads to the page, which is above the API.
func (a *signInArea) comeBack(r *http.Request) (any, error) {
	to, cookies, err := a.SignIn.ComeBack(r)
	if to == "" {
		base, _, _ := strings.Cut(r.URL.Path, "/api/v1/")
		to = base + "/"
	}
	return reply{nil, cookies, to}, err
}

// endOutside answers a provider.
func (a *signInArea) endOutside(r *http.Request) (any, error) {
	if err := a.SignIn.EndOutside(r, r.PostFormValue("logout_token")); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Sessions ended"}, nil
}

func (a *signInArea) refresh(r *http.Request) (any, error) {
	cookies, err := a.SignIn.Refresh(r)
	return reply{map[string]string{"status": "success"}, cookies, ""}, err
}

func (a *signInArea) logout(r *http.Request) (any, error) {
	cookies, err := a.SignIn.Logout(r)
	return reply{map[string]string{"message": "Logged out successfully"}, cookies, ""}, err
}

type (
	wireSession struct {
		ID      string `json:"session_id"`
		Created string `json:"created_at"`
		Seen    string `json:"last_seen_at"`
		Expires string `json:"expires_at"`
		Address string `json:"address"`
		Agent   string `json:"user_agent"`
		Current bool   `json:"current"`
	}
	wireSessions struct {
		Sessions []wireSession `json:"sessions"`
	}
)

func (a *signInArea) listSessions(r *http.Request, u chat.User) (any, error) {
	list, current := wireSessions{[]wireSession{}}, a.SignIn.Current(r)
	for _, s := range a.SignIn.Sessions(u.ID) {
		list.Sessions = append(list.Sessions, wireSession{
			ID: s.ID, Created: chat.Timestamp(s.Created), Seen: chat.Timestamp(s.Seen), Expires: chat.Timestamp(s.Expires),
			Address: s.Address, Agent: s.Agent, Current: s.ID == current,
		})
	}
	return list, nil
}

func (a *signInArea) revokeSession(r *http.Request, u chat.User) (any, error) {
	if err := a.SignIn.Revoke(r.Context(), u.ID, r.PathValue("session_id")); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Session ended"}, nil
}

// revokeSessions ends all sessions of the user but the one that asks for it.
func (a *signInArea) revokeSessions(r *http.Request, u chat.User) (any, error) {
	if err := a.SignIn.RevokeAll(r.Context(), u.ID, a.SignIn.Current(r)); err != nil {
		return nil, err
	}
	return map[string]string{"message": "All other sessions ended"}, nil
}
