package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"parlor/protocol/chat"
)

// found is what was found out about how to sign in to a server.
type found struct {
	*oauthex.AuthServerMeta
	scopes []string // that the server wants
}

// discover finds out how to sign in to a server.
func discover(ctx context.Context, c *http.Client, s Server) (found, error) {
	challenges, err := challenge(ctx, c, s.URL)
	if err != nil {
		return found{}, err
	}
	resource, err := resourceOf(ctx, c, s.URL, param(challenges, "resource_metadata"))
	if err != nil {
		return found{}, err
	}
	issuer := resource.AuthorizationServers[0]
	meta, err := auth.GetAuthServerMetadata(ctx, issuer, c)
	switch {
	case err != nil:
		return found{}, told("its authorization server cannot be used: %w", err)
	case meta == nil && resource.Resource != "":
		return found{}, told("its authorization server %s tells nothing of itself", issuer)
	case meta == nil: // as in the version of 2025-03-26
		meta = &oauthex.AuthServerMeta{
			Issuer: issuer, AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token", RegistrationEndpoint: issuer + "/register",
		}
	}
	if meta.AuthorizationEndpoint == "" || meta.TokenEndpoint == "" {
		return found{}, told("its authorization server %s does not say where to sign in", issuer)
	}
	f := found{AuthServerMeta: meta, scopes: slices.Clone(s.Scopes)}
	if len(f.scopes) == 0 {
		f.scopes = strings.Fields(param(challenges, "scope"))
	}
	if len(f.scopes) == 0 {
		f.scopes = slices.Clone(resource.ScopesSupported)
	}
	if len(strings.Join(f.scopes, " ")) > maxScopes {
		return found{}, told("it wants too many scopes: an operator has to name some in oauth.scopes")
	}
	const offline = "offline_access" // for which there is something to refresh with
	if slices.Contains(meta.ScopesSupported, offline) && !slices.Contains(f.scopes, offline) {
		f.scopes = append(f.scopes, offline)
	}
	return f, nil
}

// challenge asks the server for something without a token, and returns what it wants. A
// server that wants nothing now may do so for its tools.
func challenge(ctx context.Context, c *http.Client, server string) ([]oauthex.Challenge, error) {
	const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server, strings.NewReader(ping))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := c.Do(req)
	if err != nil {
		return nil, told("it cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return nil, nil
	}
	challenges, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate"))
	if err != nil {
		return nil, told("it does not say in a way that can be understood how to sign in: %w", err)
	}
	return challenges, nil
}

func param(challenges []oauthex.Challenge, name string) string {
	for _, c := range challenges {
		if value := c.Params[name]; c.Scheme == "bearer" && value != "" {
			return value
		}
	}
	return ""
}

// resourceOf returns what the server tells of itself: where it says, or else at the usual
// places. A server that tells nothing is its own authorization server, and the result has no
// resource then.
func resourceOf(ctx context.Context, c *http.Client, server, named string) (*oauthex.ProtectedResourceMetadata, error) {
	if named != "" {
		meta, err := oauthex.GetProtectedResourceMetadata(ctx, named, server, c)
		if err == nil && len(meta.AuthorizationServers) == 0 {
			err = errors.New("it names no authorization server")
		}
		if err != nil {
			return nil, told("what it tells of itself cannot be used: %w", err)
		}
		return meta, nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	const wellKnown = "/.well-known/oauth-protected-resource"
	for _, place := range []struct{ at, about string }{{origin + wellKnown + "/" + strings.TrimLeft(u.Path, "/"), server}, {origin + wellKnown, origin}} {
		meta, err := oauthex.GetProtectedResourceMetadata(ctx, place.at, place.about, c)
		if err == nil && len(meta.AuthorizationServers) > 0 {
			return meta, nil
		}
	}
	return &oauthex.ProtectedResourceMetadata{AuthorizationServers: []string{origin}}, nil
}

// clientAt returns the client that this server is to the authorization server.
func (g *Grants) clientAt(ctx context.Context, c *http.Client, s Server, f found, redirect string) (client, error) {
	one := client{ID: s.ClientID, Secret: s.ClientSecret, Redirect: redirect, Style: styleOf(f.TokenEndpointAuthMethodsSupported)}
	switch {
	case one.ID != "":
		return one, nil
	case f.RegistrationEndpoint == "":
		return one, told("its authorization server registers no clients: an operator has to, and to name the client in oauth.client_id")
	}
	if known, found := g.registered(s.URL, f.Issuer, redirect); found {
		return known, nil
	}
	answer, err := oauthex.RegisterClient(ctx, f.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		RedirectURIs: []string{redirect}, ClientName: "parlor", GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		TokenEndpointAuthMethod: method(f.TokenEndpointAuthMethodsSupported), Scope: strings.Join(f.scopes, " "), ApplicationType: kindOf(redirect),
	}, c)
	if err != nil {
		return one, told("its authorization server does not register this client: %w", err)
	}
	one.ID, one.Secret = answer.ClientID, answer.ClientSecret
	if max(len(one.ID), len(one.Secret)) > maxClient {
		return one, told("its authorization server registers this client under a name that cannot be used")
	}
	if m := answer.TokenEndpointAuthMethod; m != "" {
		one.Style = styleOf([]string{m})
	}
	return one, nil
}

// styleOf returns how a client says who it is, where these ways are supported.
func styleOf(methods []string) oauth2.AuthStyle {
	switch {
	case slices.Contains(methods, "client_secret_post"), len(methods) == 1 && methods[0] == "none":
		return oauth2.AuthStyleInParams
	case slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleAutoDetect
}

// registered returns a client that the authorization server has registered before.
func (g *Grants) registered(resource, issuer, redirect string) (client, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.all {
		if h.Resource == resource && h.Issuer == issuer && h.Client.Redirect == redirect {
			return h.Client, true
		}
	}
	return client{}, false
}

// method returns the way in which a client that registers itself will prove who it is. One
// that has no secret has nothing to lose.
func method(supported []string) string {
	for _, m := range []string{"none", "client_secret_post", "client_secret_basic"} {
		if slices.Contains(supported, m) {
			return m
		}
	}
	return "client_secret_basic" // the default of RFC 8414
}

// kindOf returns the type of application for a redirect: only native ones come back to the
// loopback.
func kindOf(redirect string) string {
	u, err := url.Parse(redirect)
	if err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1") {
		return "native"
	}
	return "web"
}

// revoke tells the authorization server that a grant is not needed any more (RFC 7009).
func revoke(ctx context.Context, c *http.Client, one grant) error {
	form := url.Values{"token": {one.Access}, "token_type_hint": {"access_token"}, "client_id": {one.Client.ID}}
	if one.Refresh != "" { // with which the others go
		form.Set("token", one.Refresh)
		form.Set("token_type_hint", "refresh_token")
	}
	if one.Client.Secret != "" && one.Client.Style != oauth2.AuthStyleInHeader {
		form.Set("client_secret", one.Client.Secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, one.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if one.Client.Secret != "" && one.Client.Style == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(one.Client.ID), url.QueryEscape(one.Client.Secret))
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}

// told is an error that people are told. What others have said in it is cut.
func told(format string, args ...any) error {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, fmt.Errorf(format, args...).Error())
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return chat.Refuse(chat.CodeProviderError, text)
}
