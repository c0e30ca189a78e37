package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/transport/auth"
)

// TestRefusedEverywhere tries every kind of bad token on every way in, beside the good one
// that shows that the way is open.
func TestRefusedEverywhere(t *testing.T) {
	w := newRemoteWorld(t)
	w.set(200, jwks(t, public("known", "", signers()["ES256"].Public())))
	o := options()
	o.JWKSURL, o.HTTPClient, o.Issuer, o.Audience = w.URL, w.Client(), "https://id.example.com", []string{"parlor"}
	v := auth.New(o)
	defer v.Close()

	claims := func(kv ...any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "alice", "iss": o.Issuer, "aud": "parlor", "exp": now.Add(time.Minute).Unix()}
		for i := 0; i < len(kv); i += 2 {
			if c[kv[i].(string)] = kv[i+1]; kv[i+1] == nil {
				delete(c, kv[i].(string))
			}
		}
		return c
	}
	es := func(kid string, c jwt.MapClaims) string {
		return signClaims(t, jwt.SigningMethodES256, signers()["ES256"].Signer, map[string]any{"kid": kid}, c)
	}
	hs := func(key []byte, c jwt.MapClaims) string { return signClaims(t, jwt.SigningMethodHS256, key, nil, c) }
	good := map[string]string{"good, of the provider": es("known", claims()), "good, of the secret": hs([]byte(secret), claims())}
	bad := map[string]string{
		"nonsense": "x.y.z", "changed": es("known", claims())[:80] + "AAAA",
		"expired": es("known", claims("exp", now.Add(-time.Minute).Unix())), "expired, of the secret": hs([]byte(secret), claims("exp", now.Add(-time.Minute).Unix())),
		"not yet valid": es("known", claims("nbf", now.Add(time.Minute).Unix())), "issued in the future": es("known", claims("iat", now.Add(time.Minute).Unix())),
		"wrong issuer": es("known", claims("iss", "https://evil.example.com")), "no issuer": es("known", claims("iss", nil)),
		"other audience": es("known", claims("aud", "other")), "no audience": es("known", claims("aud", nil)),
		"alg none":    signClaims(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": "known"}, claims()),
		"confusion":   signClaims(t, jwt.SigningMethodHS256, publicPEM(t, signers()["ES256"].Public()), map[string]any{"kid": "known"}, claims()),
		"unknown kid": es("unknown", claims()), "another's key": signClaims(t, jwt.SigningMethodRS256, signers()["RS256"].Signer, map[string]any{"kid": "known"}, claims()),
		"another secret": hs([]byte("another secret of the tests, 32b"), claims()), "no user": es("known", claims("sub", nil)),
		"of this server's sessions": signClaims(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "parlor"}, claims("alg", "x", "iss", nil)),
		"made-up API key":           "pk_abcdefghijkl_ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
	for way, try := range map[string]func(token string) error{
		"auth.token": func(token string) error {
			connect, _ := json.Marshal(map[string]string{"token": token})
			_, err := v.Socket(remote, nil, connect)
			return err
		},
		"header of a socket": func(token string) error {
			_, err := v.Socket(remote, headers("Authorization", "Bearer "+token), nil)
			return err
		},
		"cookie of a socket": func(token string) error {
			_, err := v.Socket(remote, headers("Cookie", "access_token="+token), nil)
			return err
		},
		"renewal": func(token string) error { _, err := v.Token(remote, token); return err },
		"header of a request": func(token string) error {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := v.Request(r)
			return err
		},
		"cookie of a request": func(token string) error {
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(&http.Cookie{Name: "access_token", Value: token})
			_, err := v.Request(r)
			return err
		},
	} {
		for name, token := range good {
			if err := try(token); err != nil {
				t.Errorf("%s, %s: %v", way, name, err)
			}
		}
		for name, token := range bad {
			if err := try(token); codeOf(err) != "unauthenticated" {
				t.Errorf("%s, %s: %v, want that it is refused", way, name, err)
			}
		}
	}
}
