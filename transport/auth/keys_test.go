package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// signer is a private key for each kind of algorithm. They are made once: RSA is slow.
type signer struct {
	crypto.Signer
	method jwt.SigningMethod
}

var signers = sync.OnceValue(func() map[string]signer {
	all := make(map[string]signer)
	add := func(method jwt.SigningMethod, key crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		all[method.Alg()] = signer{key, method}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	add(jwt.SigningMethodRS256, key, err)
	add(jwt.SigningMethodPS256, key, err)
	for method, curve := range map[jwt.SigningMethod]elliptic.Curve{
		jwt.SigningMethodES256: elliptic.P256(), jwt.SigningMethodES384: elliptic.P384(), jwt.SigningMethodES512: elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(method, key, err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	add(jwt.SigningMethodEdDSA, edKey, err)
	return all
})

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// keyOptions have the keys of a PEM file and nothing else.
func keyOptions(t *testing.T, algs ...string) auth.Options {
	t.Helper()
	var text []byte
	for _, alg := range algs {
		text = append(text, publicPEM(t, signers()[alg].Public())...)
	}
	keys, err := auth.ParseKeys(text)
	if err != nil || len(keys) != len(algs) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	o := options()
	o.Secret, o.Keys = "", keys
	return o
}

// accepts returns "" if the token is accepted, and otherwise why it is not.
func accepts(t *testing.T, v *auth.Verifier, token string) string {
	t.Helper()
	_, err := v.Socket(remote, headers("Authorization", "Bearer "+token), nil)
	if err == nil {
		return ""
	}
	wantCode(t, err, chat.CodeUnauthenticated)
	return err.Error()
}

func wantRefused(t *testing.T, name, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("%s: refused with %q, want %q", name, got, want)
	}
}

func TestKeysOfAFile(t *testing.T) {
	all := []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"}
	v := auth.New(keyOptions(t, all...))
	defer v.Close()
	claims := jwt.MapClaims{"sub": "alice", "exp": now.Add(time.Minute).Unix()}
	for _, alg := range append(all, "PS256") {
		s := signers()[alg]
		token := signClaims(t, s.method, s.Signer, nil, claims)
		wantRefused(t, alg, accepts(t, v, token), "")
		wantRefused(t, alg+" changed", accepts(t, v, token[:len(token)-8]+"AAAAAAAA"), "one of this server's keys")
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "another key", accepts(t, v, signClaims(t, jwt.SigningMethodES256, other, nil, claims)), "one of this server's keys")
	expired := jwt.MapClaims{"sub": "alice", "exp": now.Add(-time.Minute).Unix()}
	wantRefused(t, "expired", accepts(t, v, signClaims(t, jwt.SigningMethodES256, signers()["ES256"].Signer, nil, expired)), "expired")
}

// A server with a public key must not take the text of that key, which everybody has,
// for a secret. Nor may one kind of key be used for the algorithm of another.
func TestKeyConfusion(t *testing.T) {
	claims := jwt.MapClaims{"sub": "mallory"}
	public := publicPEM(t, signers()["RS256"].Public())
	der, _ := x509.MarshalPKIXPublicKey(signers()["RS256"].Public())
	only, both := keyOptions(t, "RS256", "ES256", "EdDSA"), keyOptions(t, "RS256", "ES256", "EdDSA")
	both.Secret = secret
	for _, o := range []auth.Options{only, both} {
		v := auth.New(o)
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
			for _, key := range [][]byte{public, []byte(strings.TrimSpace(string(public))), der, {}} {
				wantRefused(t, method.Alg()+" of a public key", accepts(t, v, signClaims(t, method, key, nil, claims)), "signed")
			}
		}
		wantRefused(t, "none", accepts(t, v, signClaims(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims)), "signed")
		wantRefused(t, "ES384 where there is P-256 only", accepts(t, v, signClaims(t, jwt.SigningMethodES384, signers()["ES384"].Signer, nil, claims)), "does not know")
		v.Close()
	}
	v := auth.New(both)
	wantRefused(t, "the secret itself", accepts(t, v, signClaims(t, jwt.SigningMethodHS256, []byte(secret), nil, claims)), "")
}

func TestAlgorithmsArePinned(t *testing.T) {
	o := keyOptions(t, "RS256", "ES256")
	o.Secret = secret
	o.Algorithms = []string{"PS256", "HS512"}
	if err := o.CheckAlgorithms(); err != nil {
		t.Fatal(err)
	}
	v := auth.New(o)
	claims := jwt.MapClaims{"sub": "alice"}
	for alg, want := range map[string]string{"RS256": "(PS256, HS512)", "PS256": "", "ES256": "signed"} {
		wantRefused(t, alg, accepts(t, v, signClaims(t, signers()[alg].method, signers()[alg].Signer, nil, claims)), want)
	}
	wantRefused(t, "HS256", accepts(t, v, signClaims(t, jwt.SigningMethodHS256, []byte(secret), nil, claims)), "signed")
	own, err := auth.Sign(o, alice, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "a token of Sign", accepts(t, v, own), "")

	for name, o := range map[string]auth.Options{
		"none": {Secret: secret, Algorithms: []string{"none"}}, "no key": {Secret: secret, Algorithms: []string{"RS256"}},
		"no secret": {JWKSURL: "https://x", Algorithms: []string{"HS256"}}, "in lower case": {Secret: secret, Algorithms: []string{"hs256"}},
	} {
		if o.CheckAlgorithms() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseKeys(t *testing.T) {
	good := string(publicPEM(t, signers()["ES256"].Public()))
	private, _ := x509.MarshalPKCS8PrivateKey(signers()["ES256"].Signer)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("the runtime makes no such key: ", err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for says, text := range map[string]string{
		"not a PEM file":  "",
		"PEM file":        good + "and more",
		"public key, as":  good + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"cannot be read":  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
		"not a public":    string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")})),
		"fewer than 2048": string(publicPEM(t, small.Public())),
		"of no kind":      string(publicPEM(t, p224.Public())),
	} {
		if keys, err := auth.ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d keys, error %v, want %q", len(keys), err, says)
		}
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(signers()["RS256"].Public().(*rsa.PublicKey))})
	if keys, err := auth.ParseKeys(slices.Concat([]byte(good), pkcs1)); err != nil || len(keys) != 2 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestClaims(t *testing.T) {
	o := options()
	o.Claims = auth.Claims{User: "https://example.com/uid", Name: "profile.nick", Email: "profile.mail", Admin: "realm_access.roles=boss"}
	o.Admins = []chat.UserID{"root"}
	v := auth.New(o)
	const uid = "https://example.com/uid"
	for _, tt := range []struct {
		claims jwt.MapClaims
		want   chat.User
	}{
		{jwt.MapClaims{uid: "u1", "sub": "x", "profile": map[string]any{"nick": "Al", "mail": "a@b.c"}}, chat.User{ID: "u1", Name: "Al", Email: "a@b.c"}},
		{jwt.MapClaims{uid: "u1", "profile.nick": "exact", "profile": map[string]any{"nick": "Al"}}, chat.User{ID: "u1", Name: "exact"}},
		{jwt.MapClaims{uid: "u1", "realm_access": map[string]any{"roles": []string{"user", "boss"}}}, chat.User{ID: "u1", Admin: true}},
		{jwt.MapClaims{uid: "u1", "realm_access": map[string]any{"roles": "boss"}}, chat.User{ID: "u1", Admin: true}},
		{jwt.MapClaims{uid: "u1", "realm_access": map[string]any{"roles": "bossy"}, "roles": "boss", "role": "admin"}, chat.User{ID: "u1"}},
		{jwt.MapClaims{uid: "u1", "realm_access": []string{"boss"}, "profile": "boss"}, chat.User{ID: "u1"}},
		{jwt.MapClaims{uid: "root"}, chat.User{ID: "root", Admin: true}},
		{jwt.MapClaims{"sub": "u1"}, chat.User{}},
	} {
		token := signClaims(t, jwt.SigningMethodHS256, []byte(secret), nil, tt.claims)
		got, err := v.Socket(remote, headers("Authorization", "Bearer "+token), nil)
		if got.User != tt.want || (err == nil) != (tt.want.ID != "") {
			t.Errorf("%v: user %+v, %v, want %+v", tt.claims, got, err, tt.want)
		}
	}
	o = options()
	o.Claims.Admin = "role=admin"
	own, err := auth.Sign(o, chat.User{ID: "ann", Admin: true}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := auth.New(o).Socket(remote, headers("Authorization", "Bearer "+own), nil); err != nil || !got.Admin {
		t.Errorf("an administrator's token: %+v, %v", got, err)
	}
	if got, err := verifier().Socket(remote, headers("Authorization", "Bearer "+own), nil); err != nil || got.Admin {
		t.Errorf("where no claim makes administrators: %+v, %v", got, err)
	}
}

func TestExplain(t *testing.T) {
	v := auth.New(keyOptions(t, "ES256"))
	claims := jwt.MapClaims{"sub": "alice", "exp": now.Add(-time.Minute).Unix(), "aud": []string{"a"}, "name": "A\x1b[31m", "x": 1}
	token := signClaims(t, jwt.SigningMethodES256, signers()["ES256"].Signer, map[string]any{"kid": "k1"}, claims)
	r := v.Explain(token)
	if want := "the token has expired"; r.Refusal != want {
		t.Errorf("refused because %q, want %q", r.Refusal, want)
	}
	for _, line := range [][2]string{
		{"algorithm", "ES256"}, {"key", "k1"}, {"user", "alice"}, {"expires", "2026-01-02T03:03:05Z"}, {"audience", `["a"]`}, {"others", "x"}, {"name", `"A\u001b[31m"`},
	} {
		if !slices.Contains(r.Lines, line) {
			t.Errorf("no line %q in %q", line, r.Lines)
		}
	}
	if r := v.Explain("hello"); r.Refusal != "it is not a valid token" || len(r.Lines) > 0 {
		t.Errorf("nonsense: %+v", r)
	}
}
