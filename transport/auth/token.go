package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
)

// Limits of what is taken from a token, in bytes. A longer name is shortened. A
// longer address or picture is left out, since a part of it would mean something
// else.
const (
	MaxTokenLen   = 8 << 10
	MaxNameLen    = 256
	MaxEmailLen   = 320 // RFC 3696: 64 + @ + 255
	MaxPictureLen = 2 << 10
)

// tokenType is the only value that the claim token_type may have, if there is
// one. Refresh and hand-off tokens have other values: they may be signed with the
// same key, and must not be accepted here.
const tokenType = "access"

var errCritical = errors.New("unknown critical header")

// ErrNoSecret is returned by [Sign] when there is nothing to sign with.
var ErrNoSecret = errors.New("auth: no secret to sign with")

func newParser(o Options) *jwt.Parser {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithTimeFunc(o.Now),
		jwt.WithLeeway(o.Leeway),
		jwt.WithIssuedAt(), // refuses an iat in the future
		jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if len(o.Audience) > 0 {
		options = append(options, jwt.WithAudience(o.Audience...))
	}
	return jwt.NewParser(options...)
}

// Sign returns an access token for u that is valid for ttl from now on, for a
// [Verifier] with the same Options.
func Sign(o Options, u chat.User, ttl time.Duration) (string, error) {
	if o.Secret == "" {
		return "", ErrNoSecret
	}
	if fault := u.ID.Fault(); fault != "" {
		return "", errors.New("the user id " + fault)
	}
	if ttl <= 0 {
		return "", fmt.Errorf("a token cannot be valid for %v", ttl)
	}
	now := time.Now()
	if o.Now != nil {
		now = o.Now()
	}
	claims := jwt.MapClaims{
		"sub":        string(u.ID),
		"token_type": tokenType,
		"iat":        now.Unix(),
		"exp":        now.Add(ttl).Unix(),
	}
	if len(o.Audience) > 0 {
		claims["aud"] = o.Audience[0] // one that is accepted is enough
	}
	for claim, value := range map[string]string{"iss": o.Issuer, "name": u.Name, "email": u.Email, "picture": u.Picture} {
		if value != "" {
			claims[claim] = value
		}
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(o.Secret))
}

// verify returns the user that token names. Errors use where to say which of the
// client's credentials was bad.
func (v *Verifier) verify(where, token string) (chat.User, error) {
	switch {
	case token == "":
		return chat.User{}, refuse(where, "it is empty")
	case len(token) > MaxTokenLen:
		return chat.User{}, refuse(where, fmt.Sprintf("it is longer than %d bytes", MaxTokenLen))
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.keyFor); err != nil {
		return chat.User{}, refuse(where, complaint(err))
	}
	return userOf(where, claims)
}

// keyFor refuses tokens with critical extensions. A recipient must not accept a
// token whose critical extensions it does not know (RFC 7515 §4.1.11), and jwt
// does not check that.
func (v *Verifier) keyFor(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	return v.key, nil
}

// complaint says why a token was refused. It does not use the parser's own text,
// which quotes parts of the token.
func complaint(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is from the future (iat): one of the clocks is wrong"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token is for another audience (aud)"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "the token is from another issuer (iss)"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "the token does not say for whom it is or where it is from (aud, iss), and this server wants to know"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the token was not signed with this server's secret (HS256)"
	}
	return "it is not a valid token"
}

func userOf(where string, claims jwt.MapClaims) (chat.User, error) {
	if kind, ok := claims["token_type"]; ok && kind != tokenType {
		return chat.User{}, refuse(where, "the token is not an access token")
	}
	// jwt takes an exp of 0 for no exp, but it is a time in 1970.
	if claims["exp"] == 0.0 {
		return chat.User{}, refuse(where, complaint(jwt.ErrTokenExpired))
	}
	id, _ := claims["sub"].(string)
	if fault := chat.UserID(id).Fault(); fault != "" {
		return chat.User{}, refuse(where, "the token's user (sub) "+fault)
	}
	return chat.User{
		ID:      chat.UserID(id),
		Name:    cut(text(claims, "name"), MaxNameLen),
		Email:   atMost(text(claims, "email"), MaxEmailLen),
		Picture: atMost(text(claims, "picture"), MaxPictureLen),
	}, nil
}

// text returns a claim that is a string, without its unprintable characters.
func text(claims jwt.MapClaims, name string) string {
	s, _ := claims[name].(string)
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func atMost(s string, limit int) string {
	if len(s) > limit {
		return ""
	}
	return s
}

// notSignedIn begins what clients are told.
const notSignedIn = "not signed in: "

func refuse(where, why string) error {
	return chat.Refuse(chat.CodeUnauthenticated, notSignedIn+where+": "+why)
}
