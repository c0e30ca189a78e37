package auth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
)

// A Report says what a token means to a server.
type Report struct {
	Lines   [][2]string // names and values of what is in the token, whether it is good or not
	Refusal string      // why it is refused; empty if it is accepted
}

// Explain reports what a token means.
func (v *Verifier) Explain(token string) Report {
	var r Report
	claims := jwt.MapClaims{}
	t, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err == nil {
		r.add("algorithm", t.Header["alg"])
		r.add("key", t.Header["kid"])
		r.addClaims(claims, v.claims)
	}
	u, err := v.verify("", token)
	if err != nil {
		message := chat.AsError(err).Message
		r.Refusal = strings.TrimPrefix(strings.TrimPrefix(message, notSignedIn), ": ")
		return r
	}
	r.add("admin", fmt.Sprint(u.Admin))
	return r
}

// addClaims adds the claims that count, and then the names of the others.
func (r *Report) addClaims(claims jwt.MapClaims, c Claims) {
	r.add("user", find(claims, c.user()))
	r.add("name", find(claims, c.name()))
	r.add("email", find(claims, c.email()))
	r.add("issuer", claims["iss"])
	r.add("audience", claims["aud"])
	r.add("type", claims["token_type"])
	for _, at := range [][2]string{{"issued", "iat"}, {"not before", "nbf"}, {"expires", "exp"}} {
		if seconds, ok := claims[at[1]].(float64); ok {
			r.add(at[0], time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339))
		} else {
			r.add(at[0], claims[at[1]])
		}
	}
	var others []string
	for name := range claims {
		if !slices.Contains([]string{c.user(), c.name(), c.email(), "iss", "aud", "token_type", "iat", "nbf", "exp"}, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	if len(others) > 0 {
		r.add("others", strings.Join(others, ", "))
	}
}

// add adds a line unless the value is absent. Values are shown in one line, and
// without what could fool a terminal.
func (r *Report) add(name string, value any) {
	shown, isText := value.(string)
	switch {
	case value == nil:
		return
	case !isText, !chat.Printable(shown):
		encoded, err := json.Marshal(value)
		if err != nil {
			encoded = []byte("?")
		}
		shown = string(encoded)
	}
	r.Lines = append(r.Lines, [2]string{name, shown})
}
