package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"parlor/protocol/chat"
	"parlor/transport/durable"
)

// Token returns a token for requests to the server on behalf of a user, or of the operator
// if the user is empty. It is empty if nobody has signed in, or has to do so again. Refused
// is a token that the server has refused, for which another one is got.
func (g *Grants) Token(ctx context.Context, server string, user chat.UserID, refused string) (string, error) {
	h, done, err := g.own(ctx, id{server, user})
	if h == nil || err != nil {
		return "", err
	}
	defer done()
	expired := !h.Expires.IsZero() && time.Until(h.Expires) < early
	if h.Access != refused && !expired {
		return h.Access, nil
	}
	if h.Refresh == "" {
		if refused == "" {
			return "", nil
		}
		g.forget(h)
		return "", nil
	}
	return g.refresh(ctx, h)
}

// Has reports whether somebody has signed in.
func (g *Grants) Has(server string, user chat.UserID) bool { return g.find(id{server, user}) != nil }

// Latest returns the user who has signed in to a server last, or "".
func (g *Grants) Latest(server string) (user chat.UserID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var since time.Time
	for i, h := range g.all {
		if i.Server == server && h.Resource == g.Servers[server].URL && h.Since.After(since) {
			user, since = i.User, h.Since
		}
	}
	return user
}

// own returns a grant, which nobody else uses until done is called. It returns nil if there
// is none.
func (g *Grants) own(ctx context.Context, i id) (h *held, done func(), err error) {
	for {
		h := g.find(i)
		if h == nil {
			return nil, nil, nil
		}
		select {
		case h.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if g.find(i) == h {
			return h, func() { <-h.turn }, nil
		}
		<-h.turn // it was replaced, or revoked, meanwhile
	}
}

// find returns a grant, unless it is for another server than the one of that name now.
func (g *Grants) find(i id) *held {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.all[i]
	if h == nil || h.Resource != g.Servers[i.Server].URL || g.Servers[i.Server].Members != (i.User != "") {
		return nil
	}
	return h
}

// refresh gets another token, and keeps it before it is used: the old one may be good no
// more. The caller has the turn.
func (g *Grants) refresh(ctx context.Context, h *held) (string, error) {
	// A caller that gives up must not lose what the authorization server gives only once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	c := g.client(g.Servers[h.Server])
	defer c.CloseIdleConnections()
	config := &oauth2.Config{
		ClientID: h.Client.ID, ClientSecret: h.Client.Secret, Endpoint: oauth2.Endpoint{TokenURL: h.TokenURL, AuthStyle: h.Client.Style},
	}
	token, err := config.TokenSource(with(ctx, c), &oauth2.Token{RefreshToken: h.Refresh}).Token()
	refusal, refused := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case refused && (refusal.ErrorCode == "invalid_grant" || refusal.ErrorCode == "invalid_client"):
		g.Logger.Warn("a sign-in to a server of tools is good no more", "server", h.Server, "user", h.User, "err", withoutBody(err))
		g.forget(h)
		return "", nil
	case err != nil:
		g.Logger.Warn("a token cannot be refreshed", "server", h.Server, "user", h.User, "err", withoutBody(err))
		return "", told("the authorization server of %s does not give a new token at the moment", h.Server)
	}
	if max(len(token.AccessToken), len(token.RefreshToken)) > maxToken {
		return "", errTokenTooLong
	}
	one := h.grant
	one.Access, one.Refresh, one.Expires = token.AccessToken, token.RefreshToken, token.Expiry
	if err := g.keep(ctx, one); err != nil {
		g.Logger.Error("a refreshed token cannot be stored", "server", h.Server, "user", h.User, "err", err)
	}
	g.mu.Lock()
	h.grant = one
	g.mu.Unlock()
	return one.Access, nil
}

// forget drops a grant that is good no more.
func (g *Grants) forget(h *held) {
	g.mu.Lock()
	if g.all[h.id] == h {
		delete(g.all, h.id)
	}
	g.mu.Unlock()
	g.Store.DeleteAccount(h.key(), func(err error) {
		if err != nil {
			g.Logger.Error("a sign-in that is good no more cannot be deleted", "err", err)
		}
	})
}

// Revoke drops a grant, and tells the authorization server so.
func (g *Grants) Revoke(ctx context.Context, server string, user chat.UserID) error {
	i := id{server, user}
	h, done, err := g.own(ctx, i)
	switch {
	case err != nil:
		return err
	case h == nil:
		return chat.Refuse(chat.CodeNotFound, "nobody has signed in there")
	}
	defer done()
	if err := durable.Wait(ctx, func(done func(error)) { g.Store.DeleteAccount(i.key(), done) }); err != nil {
		return err
	}
	g.mu.Lock()
	one := h.grant
	if g.all[i] == h {
		delete(g.all, i)
	}
	g.mu.Unlock()
	g.Changed(server, user)
	if s, known := g.Servers[server]; known && one.RevokeURL != "" && s.URL == one.Resource {
		c := g.client(s)
		defer c.CloseIdleConnections()
		if err := revoke(ctx, c, one); err != nil {
			g.Logger.Warn("an authorization server was not told that a sign-in was revoked", "server", server, "err", withoutBody(err))
		}
	}
	return nil
}

// An Account is what a member may know of a server that members sign in to.
type Account struct {
	Server   string     `json:"server"`
	SignedIn bool       `json:"signed_in"`
	Since    *time.Time `json:"since"`
	Scopes   []string   `json:"scopes"`
}

// Accounts returns those of a member, sorted by name.
func (g *Grants) Accounts(user chat.UserID) []Account {
	list := []Account{}
	for name, s := range g.Servers {
		if !s.Members {
			continue
		}
		one := Account{Server: name, Scopes: []string{}}
		if h := g.find(id{name, user}); h != nil {
			g.mu.Lock()
			since := h.Since.UTC().Truncate(time.Second)
			one.SignedIn, one.Since, one.Scopes = true, &since, append(one.Scopes, h.Scopes...)
			g.mu.Unlock()
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Account) int { return strings.Compare(a.Server, b.Server) })
	return list
}

// withoutBody leaves out of an error what the other side has sent: that may hold tokens.
func withoutBody(err error) string {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refusal.Response != nil {
		return strings.TrimSpace(refusal.Response.Status + " " + refusal.ErrorCode)
	}
	return chat.AsError(told("%w", err)).Message
}
