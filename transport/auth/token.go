package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
)

// ErrNoSecret is returned by [Sign] when there is nothing to sign with.
var ErrNoSecret = errors.New("auth: no secret to sign with")

func newParser(o Options) *jwt.Parser {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(o.algorithms()),
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
	if fault := UserFault(chat.User{ID: u.ID}); fault != "" {
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
		o.Claims.user(): string(u.ID),
		"token_type":    tokenType,
		"iat":           now.Unix(),
		"exp":           now.Add(ttl).Unix(),
	}
	if len(o.Audience) > 0 {
		claims["aud"] = o.Audience[0] // one that is accepted is enough
	}
	if name, value, ok := strings.Cut(o.Claims.Admin, "="); ok && u.Admin {
		claims[name] = value
	}
	for claim, value := range map[string]string{
		"iss": o.Issuer, o.Claims.name(): u.Name, o.Claims.email(): u.Email, o.Claims.picture(): u.Picture,
	} {
		if value != "" {
			claims[claim] = value
		}
	}
	return jwt.NewWithClaims(o.signingMethod(), claims).SignedString([]byte(o.Secret))
}

// signingMethod is the first of the accepted algorithms that a secret is for.
func (o Options) signingMethod() jwt.SigningMethod {
	for _, alg := range o.Algorithms {
		if slices.Contains(secretAlgorithms, alg) {
			return jwt.GetSigningMethod(alg)
		}
	}
	return jwt.SigningMethodHS256
}

// verify returns the user that token names, who may use chats. Errors use where to say
// which of the client's credentials was bad.
func (v *Verifier) verify(where, token string) (chat.SignIn, error) {
	in, err := v.verifyAny(where, token)
	if err == nil && in.EmitOnly {
		return chat.SignIn{}, errEmitOnly
	}
	return in, err
}

// verifyAny is verify for tokens of any kind.
func (v *Verifier) verifyAny(where, token string) (chat.SignIn, error) {
	switch {
	case token == "":
		return chat.SignIn{}, refuse(where, "it is empty")
	case len(token) > MaxTokenLen:
		return chat.SignIn{}, refuse(where, fmt.Sprintf("it is longer than %d bytes", MaxTokenLen))
	}
	if strings.HasPrefix(token, keyPrefix) {
		return v.verifyKey(where, token)
	}
	if v.accounts != nil && isOwn(token) {
		return v.verifyOwn(where, token)
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.keyFor); err != nil {
		return chat.SignIn{}, refuse(where, v.complaint(err))
	}
	if kind, ok := claims["token_type"]; ok && kind != tokenType {
		return chat.SignIn{}, refuse(where, "the token is not an access token")
	}
	in, err := v.signIn(where, claims)
	if err == nil {
		err = v.recognise(where, v.issuer, in.ID, claims)
	}
	if err != nil {
		return chat.SignIn{}, err
	}
	return v.asKnown(where, in)
}

// complaint says why a token was refused. It does not use the parser's own text,
// which quotes parts of the token.
func (v *Verifier) complaint(err error) string {
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
	case err == jwt.ErrTokenInvalidClaims:
		return "the token is not of the kind that is wanted here"
	case errors.Is(err, errUnknownKey):
		return "the token is signed with a key that this server does not know (kid)"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && len(v.own.Load().public) == 0 && v.remote == nil:
		return "the token was not signed with this server's secret (" + v.algorithms + ")"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the token was not signed with one of this server's keys (" + v.algorithms + ")"
	}
	return "it is not a valid token"
}

// notSignedIn begins what clients are told.
const notSignedIn = "not signed in: "

func refuse(where, why string) error {
	return chat.Refuse(chat.CodeUnauthenticated, notSignedIn+where+": "+why)
}
