package auth

import (
	"cmp"
	"fmt"
	"slices"
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
	MaxNameLen    = chat.MaxNameLen
	MaxEmailLen   = 320 // RFC 3696: 64 + @ + 255
	MaxPictureLen = 2 << 10
)

// tokenType is the only value that the claim token_type may have, if there is
// one. Refresh and hand-off tokens have other values: they may be signed with the
// same key, and must not be accepted here.
const tokenType = "access"

// Claims say what the claims of tokens mean. A name may lead into an object, as in
// realm_access.roles. A claim of exactly that name comes first.
type Claims struct {
	User    string // empty: sub
	Name    string // empty: name
	Email   string // empty: email
	Picture string // empty: picture
	Admin   string // as in role=admin: administrators have that value there, alone or in a list. Empty: no claim makes one
}

func (c Claims) user() string    { return cmp.Or(c.User, "sub") }
func (c Claims) name() string    { return cmp.Or(c.Name, "name") }
func (c Claims) email() string   { return cmp.Or(c.Email, "email") }
func (c Claims) picture() string { return cmp.Or(c.Picture, "picture") }

// admin reports whether the claims are those of an administrator.
func (c Claims) admin(claims jwt.MapClaims) bool {
	name, value, ok := strings.Cut(c.Admin, "=")
	if !ok {
		return false
	}
	switch has := find(claims, name).(type) {
	case []any:
		return slices.ContainsFunc(has, func(one any) bool { return one == any(value) })
	case bool:
		return value == fmt.Sprint(has)
	default:
		return has == any(value)
	}
}

// find returns the claim of that name, or what the name leads to.
func find(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok {
		return v
	}
	head, rest, ok := strings.Cut(name, ".")
	if within, isObject := claims[head].(map[string]any); ok && isObject {
		return find(within, rest)
	}
	return nil
}

func (v *Verifier) signIn(where string, claims jwt.MapClaims) (chat.SignIn, error) {
	// jwt takes an exp of 0 for no exp, but it is a time in 1970.
	if claims["exp"] == 0.0 {
		return chat.SignIn{}, refuse(where, v.complaint(jwt.ErrTokenExpired))
	}
	id, _ := find(claims, v.claims.user()).(string)
	if fault := UserFault(chat.User{ID: chat.UserID(id)}); fault != "" {
		return chat.SignIn{}, refuse(where, "the token's user ("+v.claims.user()+") "+fault)
	}
	var expires time.Time
	if at, err := claims.GetExpirationTime(); err == nil && at != nil {
		expires = at.Add(v.leeway)
	}
	return chat.SignIn{Expires: expires, User: chat.User{
		ID:      chat.UserID(id),
		Name:    cut(text(claims, v.claims.name()), MaxNameLen),
		Email:   atMost(text(claims, v.claims.email()), MaxEmailLen),
		Picture: atMost(text(claims, v.claims.picture()), MaxPictureLen),
		Admin:   v.claims.admin(claims),
	}}, nil
}

// text returns a claim that is a string, without its unprintable characters.
func text(claims jwt.MapClaims, name string) string {
	s, _ := find(claims, name).(string)
	return printable(s)
}

func printable(s string) string {
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
