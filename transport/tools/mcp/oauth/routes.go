package oauth

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/api"
	"parlor/transport/origin"
)

type (
	handler     = func(http.ResponseWriter, *http.Request, chat.SignIn) error
	openHandler = func(http.ResponseWriter, *http.Request) error
)

// callback is where browsers come back to, below the prefix of the API.
const callback = "/tools/callback"

var errOff = chat.Refuse(chat.CodeNotFound, "there are no servers of tools that members sign in to")

// Routes are what members ask for, by "METHOD /path". Nil Grants refuse everything.
func (g *Grants) Routes() map[string]handler {
	routes := map[string]handler{
		"GET /tools/accounts":                 g.listAccounts,
		"GET /tools/accounts/{server}/login":  g.leave,
		"POST /tools/accounts/{server}/login": g.leave,
		"DELETE /tools/accounts/{server}":     g.revokeOwn,
	}
	if g == nil {
		for name := range routes {
			routes[name] = func(http.ResponseWriter, *http.Request, chat.SignIn) error { return errOff }
		}
	}
	return routes
}

// OpenRoutes are those that a browser asks for which need not say who it is.
func (g *Grants) OpenRoutes() map[string]openHandler {
	if g == nil {
		return map[string]openHandler{"GET " + callback: func(http.ResponseWriter, *http.Request) error { return errOff }}
	}
	return map[string]openHandler{"GET " + callback: g.comeBack}
}

func (g *Grants) listAccounts(w http.ResponseWriter, _ *http.Request, in chat.SignIn) error {
	return api.Answer(w, map[string]any{"accounts": g.Accounts(in.ID)})
}

// leave sends the browser to where its user signs in: by a redirect of a link, or by the
// address in the answer to a POST. A cookie binds the sign-in to the browser, so that
// nobody can have somebody else finish it.
func (g *Grants) leave(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	switch {
	case in.ReadOnly:
		return chat.Refuse(chat.CodeForbidden, "this API key may only read")
	case r.Header.Get("Sec-Fetch-Site") == "cross-site":
		return chat.Refuse(chat.CodeForbidden, "a sign-in begins with a page of this server")
	}
	to, state, err := g.Begin(r.Context(), r.PathValue("server"), in.ID, redirectOf(r))
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, state, loginTTL))
	if r.Method == http.MethodGet {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return api.Answer(w, map[string]any{"url": to})
}

// cookieName begins the name of a cookie, which ends with a part of the state: several
// sign-ins of one browser may be under way.
const cookieName = "parlor_tools_"

func cookie(r *http.Request, state string, ttl time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName + state[:min(len(state), 6)], Value: state, Path: "/", MaxAge: int(ttl / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: origin.Secure(r),
	}
}

// redirectOf returns where the browser comes back to, as it has named this server.
func redirectOf(r *http.Request) string {
	scheme := "http"
	if origin.Secure(r) {
		scheme = "https"
	}
	prefix, _, _ := strings.Cut(r.URL.Path, "/tools/")
	return scheme + "://" + r.Host + prefix + callback
}

// comeBack ends a sign-in. It answers people, in words.
func (g *Grants) comeBack(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if !began(r, query) {
		return chat.Refuse(chat.CodeForbidden, "this browser has not begun a sign-in to a server of tools, or too long ago: begin again")
	}
	done := cookie(r, query.Get("state"), 0)
	done.Value, done.MaxAge = "", -1
	http.SetCookie(w, done)
	server, err := g.Complete(r.Context(), query)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write([]byte("You are signed in to " + server + ". You can close this page, and ask again.\n"))
	return nil
}

// began reports whether the browser has begun the sign-in.
func began(r *http.Request, query url.Values) bool {
	state := query.Get("state")
	if state == "" {
		return false
	}
	for _, c := range r.CookiesNamed(cookie(r, state, 0).Name) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(state)) == 1 {
			return true
		}
	}
	return false
}

func (g *Grants) revokeOwn(w http.ResponseWriter, r *http.Request, in chat.SignIn) error {
	if err := g.Revoke(r.Context(), r.PathValue("server"), in.ID); err != nil {
		return err
	}
	return api.Answer(w, map[string]any{"message": "Signed out"})
}
