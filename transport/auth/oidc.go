package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// Limits of a sign-in with a provider.
const (
	providerTimeout = 10 * time.Second
	loginTTL        = 10 * time.Minute // between leaving for the provider and coming back
	loginCookie     = "parlor_login"
	loginType       = "login"
)

// ProviderOptions configure sign-in with an OpenID Connect provider.
type ProviderOptions struct {
	Issuer, ClientID, ClientSecret string

	RedirectURL string   // where the provider sends browsers back to. Empty: worked out from each request
	ReturnURL   string   // where browsers go then, with a temp_token. Empty: the page of this server, signed in
	Allow       []string // verified addresses, or @domains. Empty: everybody whom the provider knows

	Client *http.Client // asks the provider. Nil means one that stays secure
	Logger *slog.Logger // nil discards
}

// A provider is an OpenID Connect provider that people sign in with: the authorization
// code flow with PKCE, state and nonce.
//
// A cookie that this server has signed holds what has to be known again when the browser
// comes back. So nothing is kept for those who never come back.
type provider struct {
	ProviderOptions
	accounts *Accounts

	mu    sync.Mutex
	known *oidc.Provider // nil until its configuration has been read
}

func newProvider(o ProviderOptions, a *Accounts) *provider {
	o.Client = cmp.Or(o.Client, &http.Client{Timeout: providerTimeout, CheckRedirect: staySecure})
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &provider{ProviderOptions: o, accounts: a}
}

var errProvider = chat.Refuse(chat.CodeProviderError, "the identity provider does not answer as it should at the moment")

// discover reads the configuration of the provider, once.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	known, err := oidc.NewProvider(oidc.ClientContext(ctx, p.Client), p.Issuer)
	if err != nil {
		p.Logger.Error("the configuration of oidc-issuer cannot be read", "err", err)
		return nil, errProvider
	}
	p.known = known
	return known, nil
}

func (p *provider) config(r *http.Request, known *oidc.Provider) oauth2.Config {
	return oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: known.Endpoint(),
		RedirectURL: cmp.Or(p.RedirectURL, callbackURL(r)), Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}

// callbackURL is beside the path of the request, which is …/login or …/callback.
func callbackURL(r *http.Request) string {
	scheme := "http"
	if origin.Secure(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.Path[:strings.LastIndex(r.URL.Path, "/")] + "/callback"
}

// leave returns where to send a browser to sign in, and the cookie that it comes back with.
func (p *provider) leave(r *http.Request) (to string, cookies []*http.Cookie, err error) {
	known, err := p.discover(r.Context())
	if err != nil {
		return "", nil, err
	}
	l := ownClaims{Type: loginType, Login: &login{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}}
	config := p.config(r, known)
	to = config.AuthCodeURL(l.Login.State, oidc.Nonce(l.Login.Nonce), oauth2.S256ChallengeOption(l.Login.Verifier))
	return to, []*http.Cookie{NewCookie(r, loginCookie, p.accounts.sign(l, "", loginTTL), loginTTL)}, nil
}

// login is what has to be known again when a browser comes back from the provider.
type login struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// comeBack returns the claims of the user whom the provider has sent back.
func (p *provider) comeBack(r *http.Request) (jwt.MapClaims, error) {
	const where = "the identity provider"
	query := r.URL.Query()
	l, ok := p.loginOf(r, query.Get("state"))
	switch {
	case !ok:
		return nil, refuse(where, "this browser has not begun a sign-in, or too long ago: begin again")
	case query.Has("error"):
		return nil, refuse(where, "it says "+cut(printable(query.Get("error")), maxAgentLen))
	case query.Get("code") == "":
		return nil, refuse(where, "it has sent no code")
	}
	known, err := p.discover(r.Context())
	if err != nil {
		return nil, err
	}
	config := p.config(r, known)
	ctx := oidc.ClientContext(r.Context(), p.Client)
	tokens, err := config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(l.Verifier))
	if err != nil {
		p.Logger.Warn("the identity provider refused a code", "err", withoutBody(err))
		return nil, refuse(where, "it did not confirm the sign-in")
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := known.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.accounts.Now}).Verify(ctx, raw)
	if err != nil || id.Nonce != l.Nonce {
		p.Logger.Warn("the identity provider sent an ID token that is not good", "err", err)
		return nil, refuse(where, "its answer is not good")
	}
	claims := jwt.MapClaims{}
	if err := id.Claims(&claims); err != nil {
		return nil, refuse(where, "its answer cannot be read")
	}
	p.addInfo(ctx, known, tokens, claims)
	return claims, nil
}

// addInfo adds to the claims of an ID token those that the provider tells only when it is
// asked. It may tell less, but not of another user.
func (p *provider) addInfo(ctx context.Context, known *oidc.Provider, tokens *oauth2.Token, claims jwt.MapClaims) {
	if known.UserInfoEndpoint() == "" {
		return
	}
	info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	more := jwt.MapClaims{}
	if err == nil && info.Subject == claims["sub"] {
		err = info.Claims(&more)
	}
	if err != nil {
		p.Logger.Warn("the identity provider does not tell of a user", "err", withoutBody(err))
		return
	}
	// email_verified is about the address that it came with.
	switch had, ok := claims["email"]; {
	case ok && had != more["email"]:
		delete(more, "email_verified")
	case !ok && more["email"] != nil:
		delete(claims, "email_verified")
	}
	for name, value := range more {
		if _, known := claims[name]; !known {
			claims[name] = value
		}
	}
}

// withoutBody leaves out what the provider has sent: that may hold tokens.
func withoutBody(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\nResponse:")
	return cut(printable(text), maxAgentLen)
}

// loginOf returns the login with that state that this browser has begun.
func (p *provider) loginOf(r *http.Request, state string) (l login, ok bool) {
	for _, c := range firstCookies(r.CookiesNamed(loginCookie)) {
		claims, err := p.accounts.parse(c.Value, loginType)
		if err == nil && claims.Login != nil && state != "" && subtle.ConstantTimeCompare([]byte(claims.Login.State), []byte(state)) == 1 {
			return *claims.Login, true
		}
	}
	return login{}, false
}

// allows reports whether somebody with that address may sign in.
func (p *provider) allows(email string, verified bool) bool {
	if len(p.Allow) == 0 {
		return true
	}
	at := strings.LastIndex(email, "@")
	return verified && at > 0 && slices.ContainsFunc(p.Allow, func(a string) bool {
		return strings.EqualFold(a, email) || strings.EqualFold(a, email[at:])
	})
}

// Leave begins a sign-in with the provider: it returns where to send the browser.
func (v SignIns) Leave(r *http.Request) (to string, cookies []*http.Cookie, err error) {
	if v.provider == nil {
		return "", nil, errNoProvider
	}
	return v.provider.leave(r)
}

var errNoProvider = chat.Refuse(chat.CodeNotFound, "this server has no identity provider to sign in with")

// ComeBack ends a sign-in with the provider: it returns where to send the browser, and
// the cookies to set. To is empty if that is the page of this server.
func (v SignIns) ComeBack(r *http.Request) (to string, cookies []*http.Cookie, err error) {
	if v.provider == nil {
		return "", nil, errNoProvider
	}
	defer func() {
		if err != nil {
			v.failures.add(r.RemoteAddr, err)
		}
	}()
	claims, err := v.provider.comeBack(r)
	if err != nil {
		return "", nil, err
	}
	verified := fmt.Sprint(claims["email_verified"]) // some providers say it as text, and some do not say it
	if verified == "false" {
		delete(claims, v.claims.email()) // it may be anybody's
	}
	in, err := v.signIn("the identity provider", claims)
	if err != nil {
		return "", nil, err
	}
	if !v.provider.allows(in.Email, verified == "true") {
		return "", nil, refuse("the identity provider", "its user has no verified address that may sign in here")
	}
	if err := v.recognise("the identity provider", v.provider.Issuer, in.ID, claims); err != nil {
		return "", nil, err
	}
	done := NewCookie(r, loginCookie, "", 0)
	done.MaxAge = -1
	subject, _ := claims["sub"].(string)
	outer, _ := claims["sid"].(string)
	from := outside{Subject: subject, Session: outer}
	if to = v.provider.ReturnURL; to != "" {
		return to + "?" + url.Values{"temp_token": {v.handover(in.User, from)}}.Encode(), []*http.Cookie{done}, nil
	}
	cookies, err = v.begin(r.Context(), r, in.User, from)
	return "", append(cookies, done), err
}

// logoutEvent is what makes a token one by which a provider ends sessions.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// EndOutside ends the sessions that a provider has ended on its side, as its logout token
// says (OpenID Connect Back-Channel Logout).
func (v SignIns) EndOutside(r *http.Request, token string) error {
	if v.provider == nil {
		return errNoProvider
	}
	known, err := v.provider.discover(r.Context())
	if err != nil {
		return err
	}
	checked, err := known.Verifier(&oidc.Config{ClientID: v.provider.ClientID, Now: v.now, SkipExpiryCheck: true}).
		Verify(oidc.ClientContext(r.Context(), v.provider.Client), token)
	var claims struct {
		Session string                     `json:"sid"`
		Nonce   string                     `json:"nonce"`
		Events  map[string]json.RawMessage `json:"events"`
	}
	if err == nil {
		err = checked.Claims(&claims)
	}
	if err != nil || claims.Events[logoutEvent] == nil || claims.Nonce != "" || checked.Subject+claims.Session == "" || v.now().Sub(checked.IssuedAt) > loginTTL {
		refusal := chat.Refuse(chat.CodeInvalid, "the logout token is not good")
		v.failures.add(r.RemoteAddr, refusal)
		return refusal
	}
	return v.accounts.revokeOutside(r.Context(), outside{checked.Subject, claims.Session})
}
