package oauth

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"parlor/protocol/chat"
)

// A login is a sign-in that has begun. It is good once.
type login struct {
	id
	found
	server   Server
	client   client
	verifier string // of PKCE
	until    time.Time
}

func (l *login) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: l.client.ID, ClientSecret: l.client.Secret, RedirectURL: l.client.Redirect, Scopes: l.scopes,
		Endpoint: oauth2.Endpoint{AuthURL: l.AuthorizationEndpoint, TokenURL: l.TokenEndpoint, AuthStyle: l.client.Style},
	}
}

var (
	errNoServer     = chat.Refuse(chat.CodeNotFound, "there is no such server of tools, or nobody signs in to it")
	errTokenTooLong = chat.Refuse(chat.CodeProviderError, "its authorization server gave a token that is too long")
	errNoLogin      = chat.Refuse(chat.CodeExpired, "no such sign-in is under way here, or it has begun too long ago: begin again")
)

// server returns a server that such a user signs in to.
func (g *Grants) server(i id) (Server, error) {
	s, known := g.Servers[i.Server]
	if !known || s.Members != (i.User != "") {
		return s, errNoServer
	}
	return s, nil
}

// Begin returns where a person signs in to a server, and the state with which Complete knows
// the sign-in again. The user is empty if it is the operator. The browser comes back to
// redirect.
func (g *Grants) Begin(ctx context.Context, server string, user chat.UserID, redirect string) (to, state string, err error) {
	l := &login{id: id{server, user}, verifier: oauth2.GenerateVerifier()}
	if l.server, err = g.server(l.id); err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	c := g.client(l.server)
	defer c.CloseIdleConnections()
	if l.found, err = discover(ctx, c, l.server); err != nil {
		return "", "", named(server, err)
	}
	if l.client, err = g.clientAt(ctx, c, l.server, l.found, redirect); err != nil {
		return "", "", named(server, err)
	}
	state, l.until = rand.Text(), time.Now().Add(loginTTL)
	g.await(state, l)
	return l.config().AuthCodeURL(state, oauth2.S256ChallengeOption(l.verifier), resource(l.server)), state, nil
}

func resource(s Server) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam("resource", s.URL) }

// await keeps a login. The oldest ones make room for it.
func (g *Grants) await(state string, l *login) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, own := time.Now(), 0
	g.newest = append(g.newest, state)
	g.logins[state] = l
	for i := len(g.newest) - 1; i >= 0; i-- {
		other := g.logins[g.newest[i]]
		if other != nil && other.User == l.User {
			own++
		}
		if other == nil || now.After(other.until) || len(g.newest)-i > maxLogins || other.User == l.User && own > maxPerUser {
			delete(g.logins, g.newest[i])
			g.newest = slices.Delete(g.newest, i, i+1)
		}
	}
}

// take returns a login, which nobody can take again.
func (g *Grants) take(state string) (*login, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.logins[state]
	delete(g.logins, state)
	if l == nil || time.Now().After(l.until) {
		return nil, errNoLogin
	}
	return l, nil
}

// Complete ends a sign-in with what the authorization server has sent the browser back with.
// It returns the name of the server.
func (g *Grants) Complete(ctx context.Context, query url.Values) (server string, err error) {
	l, err := g.take(query.Get("state"))
	if err != nil {
		return "", err
	}
	if err := l.check(query); err != nil {
		return "", named(l.Server, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	c := g.client(l.server)
	defer c.CloseIdleConnections()
	token, err := l.config().Exchange(with(ctx, c), query.Get("code"), oauth2.VerifierOption(l.verifier), resource(l.server))
	if err != nil {
		g.Logger.Warn("an authorization server has refused a code", "server", l.Server, "err", withoutBody(err))
		return "", named(l.Server, told("its authorization server did not confirm the sign-in: %s", withoutBody(err)))
	}
	if token.Type() != "Bearer" {
		return "", named(l.Server, told("its authorization server gave a token of another type, %s", token.TokenType))
	}
	if max(len(token.AccessToken), len(token.RefreshToken)) > maxToken {
		return "", named(l.Server, errTokenTooLong)
	}
	one := grant{
		id: l.id, Resource: l.server.URL, Issuer: l.Issuer, Client: l.client, TokenURL: l.TokenEndpoint, RevokeURL: l.RevocationEndpoint, Scopes: l.scopes,
		Since: time.Now(), Access: token.AccessToken, Refresh: token.RefreshToken, Expires: token.Expiry,
	}
	if err := g.replace(ctx, one); err != nil {
		return "", err
	}
	g.Logger.Info("signed in to a server of tools", "server", l.Server, "user", l.User)
	g.Changed(l.Server, l.User)
	return l.Server, nil
}

// replace puts a grant in the place of the one that was there, which may be in use.
func (g *Grants) replace(ctx context.Context, one grant) error {
	g.replacing.Lock()
	defer g.replacing.Unlock()
	before, done, err := g.own(ctx, one.id)
	if err != nil {
		return err
	}
	if before != nil {
		defer done()
	}
	if err := g.keep(ctx, one); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[one.id] = hold(one)
	return nil
}

// check returns what is wrong with what came back. A code of another authorization server
// than the one that was asked is not given away (RFC 9207).
func (l *login) check(query url.Values) error {
	issuer := query.Get("iss")
	switch {
	case issuer != "" && issuer != l.Issuer, issuer == "" && l.AuthorizationResponseIssParameterSupported:
		return told("the answer came from %q, and not from its authorization server %s", issuer, l.Issuer)
	case query.Has("error"):
		return told("its authorization server says: %s %s", query.Get("error"), query.Get("error_description"))
	case query.Get("code") == "":
		return told("its authorization server has sent no code")
	}
	return nil
}

// named says which server an error is about.
func named(server string, err error) error {
	if refusal := chat.AsError(err); refusal.Code == chat.CodeProviderError {
		return chat.Refuse(refusal.Code, fmt.Sprintf("nobody can sign in to %s: %s", server, refusal.Message))
	}
	return err
}

func with(ctx context.Context, c *http.Client) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c)
}
