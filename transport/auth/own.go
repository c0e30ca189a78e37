package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
)

// ownKey is the kid of tokens that this server signs for its sessions, with a secret of
// its own. No other key verifies them, and the secret verifies no others.
const ownKey = "parlor"

// The kinds of tokens, as token_type says them.
const (
	refreshType = "refresh"
	tempType    = "temp"
)

// tempTTL is how long the token that hands a sign-in over to a page is good, once.
const tempTTL = 5 * time.Minute

// maxTempTTL is how long one of somebody else may be good. Which were used is forgotten
// when the server ends.
const maxTempTTL = 10 * time.Minute

// ownClaims are those of the tokens of a session.
type ownClaims struct {
	Type    string `json:"token_type"`
	Session string `json:"sid,omitempty"`
	Refresh int    `json:"ref,omitempty"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	Picture string `json:"picture,omitempty"`
	Admin   bool   `json:"admin,omitempty"`

	Login   *login   `json:"login,omitempty"`   // of a browser that is away to sign in
	Outside *outside `json:"outside,omitempty"` // of one that is handed over
	jwt.RegisteredClaims
}

// sign signs claims that are good from now on for ttl.
func (a *Accounts) sign(c ownClaims, u chat.UserID, ttl time.Duration) string {
	now := a.Now()
	c.ID = rand.Text() // so that no two tokens are the same
	c.Subject, c.IssuedAt, c.ExpiresAt = string(u), jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(ttl))
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = ownKey
	text, err := token.SignedString(a.secret)
	if err != nil {
		panic("auth: sign a token: " + err.Error()) // claims of text and numbers always encode
	}
	return text
}

// isOwn reports whether a token says that this server has signed it.
func isOwn(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Key string `json:"kid"`
	}
	return err == nil && json.Unmarshal(text, &header) == nil && header.Key == ownKey
}

// parse verifies a token of that type that this server has signed.
func (a *Accounts) parse(token, kind string) (c ownClaims, err error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(a.Now), jwt.WithStrictDecoding(), jwt.WithExpirationRequired())
	_, err = parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return a.secret, nil })
	if err == nil && c.Type != kind {
		err = jwt.ErrTokenInvalidClaims
	}
	return c, err
}

// verifyOwn returns what the access token of a session proves: the session must not
// have ended.
func (v *Verifier) verifyOwn(where, token string) (chat.SignIn, error) {
	c, err := v.accounts.parse(token, tokenType)
	if err != nil {
		return chat.SignIn{}, refuse(where, v.complaint(err))
	}
	s, ok := v.accounts.session(c.Session)
	if !ok || string(s.User.ID) != c.Subject {
		return chat.SignIn{}, refuse(where, "its session has ended")
	}
	return v.asKnown(where, s.signIn())
}

// used are tokens that are good once, until they expire.
type used struct {
	mu     sync.Mutex
	tokens map[string]time.Time // when they expire, by digest
}

// take reports whether the token was not taken before.
func (u *used) take(token string, now, expires time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for old, at := range u.tokens {
		if !now.Before(at) {
			delete(u.tokens, old)
		}
	}
	if u.tokens == nil {
		u.tokens = make(map[string]time.Time)
	}
	d := digest(token)
	if _, taken := u.tokens[d]; taken {
		return false
	}
	u.tokens[d] = expires
	return true
}
