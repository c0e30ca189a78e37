// Package auth says who a client is.
//
//	Socket.IO CONNECT   auth.token, else Authorization: Bearer, else cookie access_token ┐
//	HTTP request                    Authorization: Bearer, else cookie access_token ┴→ chat.SignIn
//
// A credential is a JWT, of whoever has a key that this server trusts, the token of a
// session that this server keeps, or an API key: see [Accounts]. A CONNECT may also bring
// the two lasting cookies of a session alone.
//
// The first credential that is present decides. If it is bad the client is
// refused, and the next one is not tried: a client that sends a token must not
// be taken for the user of its cookie. Cookies are the exception: several may
// have the same name, and a page of a sibling domain can put its own before ours.
// The first valid one counts.
//
// Sign-ins that fail are logged, see [Options.Logger]. A sign-in ends when its token
// expires, and whoever is connected is told so: see [Verifier.Watch].
//
// # Development mode
//
// Without any way to sign in tokens cannot be verified and are ignored. A client
// is the user that it says it is, or a guest, and an administrator.
//
//	Socket.IO CONNECT   auth.user_id, else a fresh guest per connection
//	HTTP request        header X-Parlor-User, else "guest"
//
// The caller must serve this mode on loopback only. In production auth.user_id
// is ignored: the assistant SPA sends a constant there.
package auth

import (
	"cmp"
	"crypto"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/limit"
	"parlor/transport/requests"
)

// Where credentials are looked for.
const (
	// Cookie is the name of the cookie that holds the token.
	Cookie = "access_token"
	// UserHeader names the user of an HTTP request in development mode.
	UserHeader = "X-Parlor-User"
	// Guest is the user of an HTTP request in development mode that names none.
	Guest chat.UserID = "guest"
)

// MaxCookies limits how many cookies of the name [Cookie] are tried.
const MaxCookies = 8

const guestSuffixLen = 6 // of 5 bits each

var errNoCredential = chat.Refuse(chat.CodeUnauthenticated, notSignedIn+"no token in auth.token, the Authorization header or the cookie "+Cookie)

var errReadOnly = chat.Refuse(chat.CodeForbidden, "this API key may only read")

// Options configure a [Verifier]. The zero value means development mode.
type Options struct {
	// Secret is a key that tokens are signed with (HS256). Keys are public keys whose
	// private ones sign tokens, see [ParseKeys]; and JWKSURL is where an identity
	// provider publishes such keys. Without any of them it is development mode.
	Secret  string
	Keys    []crypto.PublicKey
	JWKSURL string

	// JWKSRefresh is the age at which the keys of JWKSURL are fetched again, and
	// JWKSPause the least time between two fetches. Zero means an hour and 10 seconds.
	JWKSRefresh, JWKSPause time.Duration

	// HTTPClient fetches those keys. Nil means one that follows no redirect to an
	// address that is not safe.
	HTTPClient *http.Client

	// Algorithms are the only ones that tokens may be signed with. Empty means HS256
	// for the secret, and all that fit for public keys.
	Algorithms []string

	// Leeway is how much the clocks of this server and of the one that signs
	// tokens may differ. It holds for exp, nbf and iat.
	Leeway time.Duration

	// Issuer and Audience are what tokens must have in iss, and one of them in
	// aud. Empty means that the claim is not looked at.
	Issuer   string
	Audience []string

	// Claims say which claims hold what is known of a user.
	Claims Claims

	// LinkIssuers are those issuers that are trusted to verify addresses: Issuer, that of
	// Provider, or both. Users who come from them with the same address are one person.
	LinkIssuers []string

	// Admins are administrators, whatever their tokens say.
	Admins []chat.UserID

	// Accounts are those who sign in here. Nil means that nobody can.
	Accounts *Accounts

	// Passwords means that they sign in with passwords of this server, each of which may be
	// tried LoginRate times in a minute, zero meaning 10.
	Passwords bool
	LoginRate int

	// Guests means that people without an account may come by an invitation, GuestRate in a
	// minute from one address, zero meaning 10.
	Guests    bool
	GuestRate int

	// Provider is an identity provider that they may sign in with. It needs Accounts.
	// Without an issuer there is none.
	Provider ProviderOptions

	// Logger gets records of failed sign-ins, with the client's address, why,
	// and no part of the credential. In a minute there is one record for an
	// address and a reason, and [MaxFailuresLogged] in all. Nil discards them.
	Logger *slog.Logger

	// Now is the clock that token lifetimes are measured by. Nil means
	// time.Now.
	Now func() time.Time
}

// A Verifier turns credentials into users. It may be used from any goroutine.
type Verifier struct {
	own        atomic.Pointer[ownKeys]
	remote     *remoteKeys // nil: there are none
	algorithms string      // that are accepted, for people
	claims     Claims
	admins     map[chat.UserID]bool
	parser     *jwt.Parser
	failures   failures
	now        func() time.Time
	leeway     time.Duration
	watches    watches
	accounts   *Accounts // nil: nobody signs in here
	used       used      // temporary tokens
	provider   *provider // nil: there is none
	passwords  bool
	tries      limit.Tries

	guests     bool
	guestTries limit.Tries

	issuer      string
	linkIssuers []string
}

// New returns a Verifier. It has to be closed.
func New(o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	v := &Verifier{
		algorithms: strings.Join(o.algorithms(), ", "), claims: o.Claims,
		admins: make(map[chat.UserID]bool), parser: newParser(o), failures: failures{log: o.Logger, now: o.Now},
		now: o.Now, leeway: o.Leeway, accounts: o.Accounts, passwords: o.Passwords, tries: limit.Tries{PerMinute: cmp.Or(o.LoginRate, 10)},
		guests: o.Guests, guestTries: limit.Tries{PerMinute: cmp.Or(o.GuestRate, 10)},
		issuer: o.Issuer, linkIssuers: o.LinkIssuers,
	}
	if v.accounts != nil {
		v.accounts.ended = v.watches.endSession
		if o.Provider.Issuer != "" {
			o.Provider.Logger = o.Logger
			v.provider = newProvider(o.Provider, v.accounts)
		}
	}
	v.own.Store(&ownKeys{[]byte(o.Secret), o.Keys})
	for _, id := range o.Admins {
		v.admins[id] = true
	}
	if o.JWKSURL != "" {
		v.remote = newRemoteKeys(o)
	}
	return v
}

// Close ends the fetches of keys, and logs how many failed sign-ins were left out.
func (v *Verifier) Close() {
	v.failures.close()
	if v.remote != nil {
		v.remote.close()
	}
}

// Development reports whether the server is in development mode, in which users
// are believed without proof.
func (v *Verifier) Development() bool {
	return v.own.Load().none() && v.remote == nil && v.provider == nil && !v.passwords
}

// Socket returns the user behind a Socket.IO CONNECT: remote is the client's
// address, h are the headers of the handshake request, auth is the payload of the
// CONNECT, nil if it had none.
//
// Its errors are a [*chat.Error]: [chat.CodeUnauthenticated], or
// [chat.CodeInvalid] for a payload or user id that is malformed.
func (v *Verifier) Socket(remote string, h http.Header, auth json.RawMessage) (chat.SignIn, error) {
	in, err := noGuests(v.socket(h, auth))
	if err != nil {
		v.failures.add(remote, err)
	}
	return in, err
}

func (v *Verifier) socket(h http.Header, auth json.RawMessage) (chat.SignIn, error) {
	fields, err := connectFields(auth)
	if err != nil {
		return chat.SignIn{}, err
	}
	if v.Development() {
		u, err := claimedUser(fields["user_id"])
		return chat.SignIn{User: u}, err
	}
	if token := fields["token"]; present(token) {
		return v.connectToken(token)
	}
	in, err := v.fromHeaders(h)
	if err == nil || len(authorization(h)) > 0 || v.accounts == nil {
		return in, err
	}
	// A browser forgets the access token after minutes, and a page does not ask for another
	// before its socket connects again.
	if s, _, c, ok := v.accounts.fromBrowser(h); ok && s.mayRefresh(c.Refresh, v.now()) {
		return v.asKnown("cookies", s.signIn())
	}
	return chat.SignIn{}, err
}

// Token returns the user whose token a client sends on a connection that is open, with
// the errors of [Verifier.Socket]. In development mode it returns nobody.
func (v *Verifier) Token(remote, token string) (chat.SignIn, error) {
	return noGuests(v.token(remote, token))
}

func (v *Verifier) token(remote, token string) (chat.SignIn, error) {
	if v.Development() {
		return chat.SignIn{}, nil
	}
	in, err := v.verify("token", token)
	if err != nil {
		v.failures.add(remote, err)
	}
	return in, err
}

// Request returns the user behind an HTTP request, with the errors of
// [Verifier.Socket].
func (v *Verifier) Request(r *http.Request) (chat.User, error) {
	in, err := v.SignIn(r)
	return in.User, err
}

// SignIn is Request for an answer that goes on for long: it also returns until when the
// user may be answered, see [Verifier.Watch].
func (v *Verifier) SignIn(r *http.Request) (chat.SignIn, error) {
	in, err := noGuests(v.request(r))
	if err != nil {
		v.failures.add(r.RemoteAddr, err)
	}
	return in, err
}

// SignInToRead is SignIn for a request that may be one to read whatever its method is. The
// caller refuses changes if the SignIn is ReadOnly.
func (v *Verifier) SignInToRead(r *http.Request) (chat.SignIn, error) {
	in, err := noGuests(v.sender(r))
	if err != nil {
		v.failures.add(r.RemoteAddr, err)
	}
	return in, err
}

func (v *Verifier) request(r *http.Request) (chat.SignIn, error) {
	in, err := v.sender(r)
	if err == nil && in.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead {
		err = errReadOnly
	}
	return in, err
}

func (v *Verifier) sender(r *http.Request) (in chat.SignIn, err error) {
	if v.Development() {
		in.User, err = headerUser(r.Header)
	} else {
		in, err = v.fromHeaders(r.Header)
	}
	if err == nil {
		requests.Note(r.Context(), "user", string(in.ID))
	}
	return in, err
}

// connectFields splits the payload of a CONNECT. It keeps the exact names:
// unmarshalling into a struct would also take "Token" for "token".
func connectFields(auth json.RawMessage) (map[string]json.RawMessage, error) {
	if !present(auth) {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(auth, &fields); err != nil {
		return nil, chat.Refuse(chat.CodeInvalid, "the auth payload of a CONNECT must be a JSON object")
	}
	return fields, nil
}

// present reports whether a client gave a value. JavaScript clients send null if
// they have none.
func present(v json.RawMessage) bool { return len(v) > 0 && string(v) != "null" }

func (v *Verifier) connectToken(raw json.RawMessage) (chat.SignIn, error) {
	var token string
	if err := json.Unmarshal(raw, &token); err != nil {
		return chat.SignIn{}, refuse("auth.token", "it must be a string")
	}
	return v.verify("auth.token", token)
}

func (v *Verifier) fromHeaders(h http.Header) (chat.SignIn, error) {
	if values := authorization(h); len(values) > 0 {
		token, err := bearer(values)
		if err != nil {
			return chat.SignIn{}, err
		}
		return v.verify("Authorization header", token)
	}
	cookies := (&http.Request{Header: h}).CookiesNamed(Cookie)
	if len(cookies) == 0 {
		return chat.SignIn{}, errNoCredential
	}
	return v.fromCookies(firstCookies(cookies))
}

// fromCookies returns the user of the first cookie that is valid, or what is wrong
// with the first.
func (v *Verifier) fromCookies(cookies []*http.Cookie) (chat.SignIn, error) {
	var first error
	for _, c := range cookies {
		u, err := v.verify("cookie "+Cookie, c.Value)
		if err == nil {
			return u, nil
		}
		first = cmp.Or(first, err)
	}
	return chat.SignIn{}, first
}

// authorization returns the Authorization headers, unless there is one and it is of a scheme
// that browsers send by themselves (RFC 7617, 7616, 4559): it is meant for a proxy in front
// that asks for a password, and says nothing of the user here.
func authorization(h http.Header) []string {
	values := h.Values("Authorization")
	if len(values) == 1 {
		scheme, _, _ := strings.Cut(values[0], " ")
		switch strings.ToLower(scheme) {
		case "basic", "digest", "negotiate", "ntlm":
			return nil
		}
	}
	return values
}

// bearer returns the token of an Authorization header (RFC 6750 §2.1).
func bearer(values []string) (string, error) {
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", refuse("Authorization header", `it must be given once, as "Bearer TOKEN"`)
	}
	return strings.TrimSpace(token), nil
}
