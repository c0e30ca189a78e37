package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/outbound"
)

// memory is a Store.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (m *memory) PutAccount(key string, value []byte, done func(error)) {
	m.mu.Lock()
	if m.kept == nil {
		m.kept = make(map[string][]byte)
	}
	m.kept[key] = value
	m.mu.Unlock()
	done(nil)
}

func (m *memory) DeleteAccount(key string, done func(error)) {
	m.mu.Lock()
	delete(m.kept, key)
	m.mu.Unlock()
	done(nil)
}

func (m *memory) EachAccount(yield func(string, []byte)) error {
	for key, value := range m.kept {
		yield(key, value)
	}
	return nil
}

// An authority is a server of tools with its authorization server, which may misbehave.
type authority struct {
	*httptest.Server
	mu            sync.Mutex
	client        string // the name that it gives to clients
	padding       string // of tokens
	registrations int
	refreshes     int
	revoked       string
	codes         map[string]string // challenge of PKCE by code
	refreshToken  string            // that is good

	// Its descriptions of itself, by path. An empty one is not given.
	challenge, resource, issuer, authServer, authorize, token string
	refuse                                                    string // refreshes, with this error
}

func newAuthority(t *testing.T) *authority {
	a := &authority{codes: make(map[string]string), client: "client"}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	a.challenge = `Bearer resource_metadata="` + a.URL + `/meta", scope="read write"`
	a.resource, a.issuer, a.authServer, a.authorize, a.token = a.URL+"/mcp", a.URL, a.URL, a.URL+"/authorize", a.URL+"/token"
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	say := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch r.URL.Path {
	case "/mcp":
		w.Header().Set("WWW-Authenticate", a.challenge)
		w.WriteHeader(http.StatusUnauthorized)
	case "/meta":
		say(map[string]any{"resource": a.resource, "authorization_servers": []string{a.authServer}})
	case "/.well-known/oauth-authorization-server":
		say(map[string]any{
			"issuer": a.issuer, "authorization_endpoint": a.authorize, "token_endpoint": a.token, "registration_endpoint": a.URL + "/register", "revocation_endpoint": a.URL + "/revoke",
			"code_challenge_methods_supported": []string{"S256"}, "scopes_supported": []string{"read", "offline_access"}, "token_endpoint_auth_methods_supported": []string{"none", "client_secret_post"},
			"authorization_response_iss_parameter_supported": true,
		})
	case "/register":
		a.registrations++
		w.WriteHeader(http.StatusCreated)
		say(map[string]any{"client_id": a.client, "token_endpoint_auth_method": "none", "redirect_uris": []string{"http://x"}})
	case "/token":
		a.giveToken(w, r, say)
	case "/revoke":
		a.revoked = r.FormValue("token")
	default:
		http.NotFound(w, r)
	}
}

func (a *authority) giveToken(w http.ResponseWriter, r *http.Request, say func(any)) {
	refused := func(why string) {
		w.WriteHeader(http.StatusBadRequest)
		say(map[string]string{"error": why, "error_description": "a secret of the server"})
	}
	if r.FormValue("grant_type") == "refresh_token" {
		a.refreshes++
		if a.refuse != "" || r.FormValue("refresh_token") != a.refreshToken {
			refused(strings.TrimSpace(a.refuse + " "))
			return
		}
	} else {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if a.codes[r.FormValue("code")] != base64.RawURLEncoding.EncodeToString(sum[:]) || r.FormValue("resource") != a.URL+"/mcp" {
			refused("invalid_grant")
			return
		}
		delete(a.codes, r.FormValue("code"))
	}
	a.refreshToken = fmt.Sprint("refresh", a.refreshes)
	say(map[string]any{"access_token": fmt.Sprint("access", a.refreshes) + a.padding, "token_type": "Bearer", "expires_in": 3600, "refresh_token": a.refreshToken})
}

// consent is what the page of the authorization server does: it returns the query with which
// the browser comes back.
func (a *authority) consent(t *testing.T, to string) url.Values {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil || u.Query().Get("code_challenge_method") != "S256" || u.Query().Get("resource") != a.URL+"/mcp" {
		t.Fatalf("the browser is sent to %s, %v", to, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	code := fmt.Sprint("code", len(a.codes))
	a.codes[code] = u.Query().Get("code_challenge")
	return url.Values{"code": {code}, "state": {u.Query().Get("state")}, "iss": {a.URL}}
}

func (a *authority) open(t *testing.T, store *memory, change ...func(*Options)) *Grants {
	t.Helper()
	o := Options{Store: store, Secret: []byte("a secret of the server"), Servers: map[string]Server{
		"own": {URL: a.URL + "/mcp", Members: true}, "all": {URL: a.URL + "/mcp"},
	}}
	for _, c := range change {
		c(&o)
	}
	g, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (a *authority) signIn(t *testing.T, g *Grants, server string, user chat.UserID) {
	t.Helper()
	to, _, err := g.Begin(t.Context(), server, user, "http://127.0.0.1/callback")
	if err != nil {
		t.Fatal(err)
	}
	if name, err := g.Complete(t.Context(), a.consent(t, to)); err != nil || name != server {
		t.Fatalf("signed in to %q, %v", name, err)
	}
}

func tokenOf(t *testing.T, g *Grants, server string, user chat.UserID, refused string) string {
	t.Helper()
	token, err := g.Token(t.Context(), server, user, refused)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A member signs in once. The grant outlives the server, is nobody else's, and is sealed; a
// refused token is renewed once for all who have it.
func TestMember(t *testing.T) {
	a, store := newAuthority(t), new(memory)
	g := a.open(t, store)
	a.signIn(t, g, "own", "alice")
	if got := tokenOf(t, g, "own", "alice", ""); got != "access0" {
		t.Errorf("alice has the token %q", got)
	}
	for _, other := range []id{{"own", "bob"}, {"own", ""}, {"all", "alice"}, {"all", ""}} {
		if got := tokenOf(t, g, other.Server, other.User, ""); got != "" || g.Has(other.Server, other.User) {
			t.Errorf("%+v has the token %q", other, got)
		}
	}
	for key, value := range store.kept {
		if text := key + string(value); strings.Contains(text, "access0") || strings.Contains(text, "refresh0") || strings.Contains(text, "alice") {
			t.Errorf("the store has %q", text)
		}
	}

	g = a.open(t, store)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if got := tokenOf(t, g, "own", "alice", "access0"); got != "access1" {
				t.Errorf("in the place of the refused token there is %q", got)
			}
		})
	}
	group.Wait()
	if a.refreshes != 1 {
		t.Errorf("refreshed %d times", a.refreshes)
	}
	g = a.open(t, store)
	if got := tokenOf(t, g, "own", "alice", ""); got != "access1" {
		t.Errorf("after a restart the token is %q", got)
	}
	if got := g.Accounts("alice"); len(got) != 1 || !got[0].SignedIn || g.Accounts("bob")[0].SignedIn {
		t.Errorf("alice sees %+v", got)
	}

	a.signIn(t, g, "own", "bob")
	if a.registrations != 1 {
		t.Errorf("registered %d times", a.registrations)
	}
	if err := g.Revoke(t.Context(), "own", "alice"); err != nil || a.revoked != "refresh1" {
		t.Errorf("revoked %q, %v", a.revoked, err)
	}
	if g.Has("own", "alice") || !g.Has("own", "bob") || a.open(t, store).Has("own", "alice") {
		t.Error("a grant that was revoked is there, or another one is not")
	}
}

// A grant that is good no more is dropped; one that cannot be refreshed at the moment is not.
func TestRefused(t *testing.T) {
	a, store := newAuthority(t), new(memory)
	g := a.open(t, store)
	a.signIn(t, g, "all", "")
	a.refuse = "temporarily_unavailable"
	_, err := g.Token(t.Context(), "all", "", "access0")
	if err == nil || strings.Contains(err.Error(), "secret") || !g.Has("all", "") {
		t.Errorf("got %v", err)
	}
	a.refuse, a.padding = "", strings.Repeat("x", maxToken)
	if _, err := g.Token(t.Context(), "all", "", "access0"); err == nil {
		t.Error("a token that is too long is taken")
	}
	a.refuse, a.padding = "invalid_grant", ""
	if got := tokenOf(t, g, "all", "", "access0"); got != "" || g.Has("all", "") || a.open(t, store).Has("all", "") {
		t.Errorf("got %q", got)
	}
}

// A token is for the URL for which it was granted, and sealed values are for the secret and
// for the place that they were sealed for.
func TestBound(t *testing.T) {
	a, store := newAuthority(t), new(memory)
	a.signIn(t, a.open(t, store), "own", "alice")
	moved := a.open(t, store, func(o *Options) { o.Servers["own"] = Server{URL: "https://other.example.com/mcp", Members: true} })
	if got := tokenOf(t, moved, "own", "alice", ""); got != "" {
		t.Errorf("another server gets %q", got)
	}
	if a.open(t, store, func(o *Options) { o.Secret = []byte("another") }).Has("own", "alice") {
		t.Error("another secret opens it")
	}
	for key, value := range store.kept {
		delete(store.kept, key)
		store.kept[id{"own", "mallory"}.key()] = value
	}
	if a.open(t, store).Has("own", "mallory") || a.open(t, store).Has("own", "alice") {
		t.Error("a grant was moved to somebody else")
	}
}

// A server cannot have this one sign in elsewhere than it should, nor ask what is private.
func TestHostileServers(t *testing.T) {
	for name, test := range map[string]struct {
		change func(a *authority)
		want   string
	}{
		"another resource":          {func(a *authority) { a.resource = "https://bank.example.com/mcp" }, "got metadata resource"},
		"another issuer":            {func(a *authority) { a.issuer = "https://bank.example.com" }, "does not match issuer"},
		"metadata in private":       {func(a *authority) { a.challenge = `Bearer resource_metadata="http://169.254.169.254/latest"` }, "cannot be used"},
		"metadata on loopback":      {func(a *authority) { a.challenge = `Bearer resource_metadata="http://localhost:1/meta"` }, "the address is private"},
		"authority on loopback":     {func(a *authority) { a.authServer = "http://[::1]:1" }, "the address is private"},
		"authority in private":      {func(a *authority) { a.authServer = "https://10.0.0.1" }, "cannot be used"},
		"a page that is a script":   {func(a *authority) { a.authorize = "javascript:alert(1)" }, "disallowed scheme"},
		"a page without encryption": {func(a *authority) { a.authorize = "http://example.com/authorize" }, "does not use HTTPS"},
		"no page":                   {func(a *authority) { a.authorize = "" }, "does not say where"},
		"too many scopes":           {func(a *authority) { a.challenge = `Bearer scope="` + strings.Repeat("read ", 1000) + `"` }, "too many scopes"},
		"a client with a long name": {func(a *authority) { a.client = strings.Repeat("x", maxClient+1) }, "cannot be used"},
		"a strange challenge":       {func(a *authority) { a.challenge = `Bearer resource_metadata="` }, "unterminated"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			test.change(a)
			to, _, err := a.open(t, new(memory)).Begin(t.Context(), "own", "alice", "http://127.0.0.1/callback")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(chat.AsError(err).Message, "nobody can sign in to own: ") || len(err.Error()) > 500 {
				t.Errorf("got %s, %v, want %q", to, err, test.want)
			}
			if a.registrations > 0 && a.client == "client" {
				t.Error("it was told a client")
			}
		})
	}
}

// A sign-in comes back from the authorization server that was asked, once, in time, and in
// the browser in which it has begun. Otherwise it is refused.
func TestComingBack(t *testing.T) {
	a := newAuthority(t)
	g := a.open(t, new(memory))
	begin := func() url.Values {
		to, _, err := g.Begin(t.Context(), "own", "alice", "http://127.0.0.1/callback")
		if err != nil {
			t.Fatal(err)
		}
		return a.consent(t, to)
	}
	for name, change := range map[string]func(url.Values){
		"another issuer":  func(q url.Values) { q.Set("iss", "https://bank.example.com") },
		"no issuer":       func(q url.Values) { q.Del("iss") },
		"another state":   func(q url.Values) { q.Set("state", "guessed") },
		"no code":         func(q url.Values) { q.Del("code") },
		"another code":    func(q url.Values) { q.Set("code", "stolen") },
		"an error":        func(q url.Values) { q.Set("error", "access_denied\x1b[31m") },
		"another's error": func(q url.Values) { q.Set("error", "x"); q.Set("iss", "y") },
	} {
		q := begin()
		change(q)
		if _, err := g.Complete(t.Context(), q); err == nil || strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "a secret of the server") {
			t.Errorf("%s: got %v", name, err)
		}
		if g.Has("own", "alice") {
			t.Fatalf("%s: alice is signed in", name)
		}
	}
	a.padding = strings.Repeat("x", maxToken)
	if _, err := g.Complete(t.Context(), begin()); err == nil || g.Has("own", "alice") {
		t.Errorf("a long token: %v", err)
	}
	a.padding = ""
	q := begin()
	g.mu.Lock()
	g.logins[q.Get("state")].until = time.Now().Add(-time.Second)
	g.mu.Unlock()
	if _, err := g.Complete(t.Context(), q); chat.AsError(err).Code != chat.CodeExpired {
		t.Errorf("too late: %v", err)
	}
	q = begin()
	for i := range 2 {
		if _, err := g.Complete(t.Context(), q); (err == nil) != (i == 0) {
			t.Errorf("time %d: %v", i, err)
		}
	}
}

// Those who begin and never come back fill no memory, and keep nobody else from it.
func TestLoginsAreBounded(t *testing.T) {
	g := &Grants{logins: make(map[string]*login)}
	until := time.Now().Add(loginTTL)
	for i := range 5 * maxLogins {
		g.await(fmt.Sprint("bob", i), &login{id: id{"own", "bob"}, until: until})
		g.await(fmt.Sprint("other", i), &login{id: id{"own", chat.UserID(fmt.Sprint(i))}, until: until})
	}
	bobs := 0
	for _, l := range g.logins {
		if l.User == "bob" {
			bobs++
		}
	}
	if bobs > maxPerUser || len(g.logins) > maxLogins || len(g.newest) != len(g.logins) {
		t.Errorf("%d logins, %d of bob, %d in order", len(g.logins), bobs, len(g.newest))
	}
	if _, err := g.take(fmt.Sprint("bob", 5*maxLogins-1)); err != nil {
		t.Error("the last one is not there")
	}
}

// The browser that comes back must be the one that has begun.
func TestBrowser(t *testing.T) {
	a := newAuthority(t)
	g := a.open(t, new(memory), func(o *Options) { o.Targets = outbound.Targets{} })
	leave := func(method string, h http.Header) (*http.Response, error) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "http://parlor.example.com/base/api/v1/tools/accounts/own/login", nil)
		r.SetPathValue("server", "own")
		r.Header = h
		err := g.leave(w, r, chat.SignIn{User: chat.User{ID: "alice"}})
		return w.Result(), err
	}
	if _, err := leave("GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}); err == nil {
		t.Error("a page of another site begins a sign-in")
	}
	left, err := leave("GET", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	to := left.Header.Get("Location")
	u, _ := url.Parse(to)
	if got := u.Query().Get("redirect_uri"); got != "http://parlor.example.com/base/api/v1/tools/callback" {
		t.Errorf("it comes back to %s", got)
	}
	query := a.consent(t, to).Encode()
	back := func(cookies []*http.Cookie) error {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://parlor.example.com/base/api/v1/tools/callback?"+query, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return g.comeBack(w, r)
	}
	other, err := leave("POST", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	for name, cookies := range map[string][]*http.Cookie{"no": nil, "another": other.Cookies()} {
		if err := back(cookies); chat.AsError(err).Code != chat.CodeForbidden || g.Has("own", "alice") {
			t.Errorf("with %s cookie: %v", name, err)
		}
	}
	if err := back(left.Cookies()); err != nil || !g.Has("own", "alice") {
		t.Errorf("got %v", err)
	}
}

// A grant that is revoked while it is refreshed does not come back.
func TestRevokedMeanwhile(t *testing.T) {
	a, store := newAuthority(t), new(memory)
	g := a.open(t, store)
	for range 20 {
		a.signIn(t, g, "own", "alice")
		access := tokenOf(t, g, "own", "alice", "")
		var group sync.WaitGroup
		group.Go(func() { _, _ = g.Token(context.Background(), "own", "alice", access) })
		group.Go(func() { _ = g.Revoke(context.Background(), "own", "alice") })
		group.Wait()
		if g.Has("own", "alice") || a.open(t, store).Has("own", "alice") {
			t.Fatal("it came back")
		}
	}
}
