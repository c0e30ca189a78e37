package auth_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"parlor/transport/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A publisher publishes keys, by their names.
type publisher struct {
	*httptest.Server
	fetches atomic.Int32
	mu      sync.Mutex
	body    string
	status  int
}

func publish(t *testing.T) *publisher {
	p := &publisher{status: 200}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		w.WriteHeader(p.status)
		fmt.Fprint(w, p.body)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) set(status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.body = status, body
}

func jwks(t *testing.T, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func public(kid, alg string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}
}

// remoteWorld is a verifier of tokens whose keys a provider publishes.
type remoteWorld struct {
	*publisher
	v   *auth.Verifier
	now time.Time
	log bytes.Buffer
}

func newRemoteWorld(t *testing.T) *remoteWorld {
	w := &remoteWorld{publisher: publish(t), now: now}
	o := options()
	o.Secret, o.JWKSURL, o.Now = "", w.URL, func() time.Time { return w.now }
	o.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	o.HTTPClient = w.Client()
	w.v = auth.New(o)
	t.Cleanup(w.v.Close)
	return w
}

func (w *remoteWorld) try(t *testing.T, kid, alg string) string {
	t.Helper()
	var header map[string]any
	if kid != "" {
		header = map[string]any{"kid": kid}
	}
	s := signers()[alg]
	return accepts(t, w.v, signClaims(t, s.method, s.Signer, header, jwt.MapClaims{"sub": "alice"}))
}

func (w *remoteWorld) wantFetches(t *testing.T, when string, want int32) {
	t.Helper()
	if got := w.fetches.Load(); got != want {
		t.Errorf("%s: %d fetches, want %d", when, got, want)
	}
}

func TestKeysAreFetchedRotatedAndKept(t *testing.T) {
	w := newRemoteWorld(t)
	a, b := public("a", "", signers()["ES256"].Public()), public("b", "RS256", signers()["RS256"].Public())
	w.set(200, jwks(t, a))
	w.wantFetches(t, "before anybody asks", 0)
	wantRefused(t, "the first token", w.try(t, "a", "ES256"), "")
	wantRefused(t, "without kid", w.try(t, "", "ES256"), "")
	wantRefused(t, "another kid", w.try(t, "b", "ES256"), "(kid)")
	wantRefused(t, "the kid of another key", w.try(t, "a", "RS256"), "(kid)")
	w.wantFetches(t, "within the pause", 1)

	w.set(200, jwks(t, a, b))
	w.now = w.now.Add(10 * time.Second)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { wantRefused(t, "a rotated key", w.try(t, "b", "RS256"), "") })
	}
	all.Wait()
	w.wantFetches(t, "of 50 that come at once", 2)
	wantRefused(t, "a key is for one algorithm", w.try(t, "b", "PS256"), "(kid)")

	for _, outage := range []struct {
		status int
		body   string
	}{{500, ""}, {200, "<html>"}, {200, `{}`}, {200, `{"keys":[]}`}, {200, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`}} {
		w.set(outage.status, outage.body)
		w.now = w.now.Add(2 * time.Hour)
		before := w.fetches.Load()
		wantRefused(t, "unknown during an outage", w.try(t, "c", "ES256"), "(kid)")
		wantRefused(t, "known during an outage", w.try(t, "a", "ES256"), "")
		w.wantFetches(t, "in an outage", before+1)
	}
	if !strings.Contains(w.log.String(), "level=ERROR") || !strings.Contains(w.log.String(), "known=2") {
		t.Errorf("logged %s", &w.log)
	}

	w.set(200, jwks(t, b))
	w.now = w.now.Add(2 * time.Hour)
	wantRefused(t, "waits for the fetch", w.try(t, "c", "ES256"), "(kid)")
	wantRefused(t, "withdrawn", w.try(t, "a", "ES256"), "(kid)")
	wantRefused(t, "still there", w.try(t, "b", "RS256"), "")
}

// After a restart the keys from before count while the provider is away, and only then.
func TestKeysOutliveARestart(t *testing.T) {
	w := newRemoteWorld(t)
	d := &disk{kept: make(map[string]string)}
	restart := func() {
		accounts, err := auth.OpenAccounts(auth.AccountOptions{Store: d})
		if err != nil {
			t.Fatal(err)
		}
		o := options()
		o.Secret, o.JWKSURL, o.HTTPClient, o.Accounts, o.Now = "", w.URL, w.Client(), accounts, func() time.Time { return w.now }
		w.v = auth.New(o)
		t.Cleanup(w.v.Close)
	}
	a, b := public("a", "", signers()["ES256"].Public()), public("b", "", signers()["RS256"].Public())
	restart()
	w.set(200, jwks(t, a))
	wantRefused(t, "at first", w.try(t, "a", "ES256"), "")
	w.set(500, "")
	restart()
	wantRefused(t, "while the provider is away", w.try(t, "a", "ES256"), "")
	wantRefused(t, "and at once after that", w.try(t, "a", "ES256"), "")
	w.set(200, jwks(t, b))
	restart()
	wantRefused(t, "withdrawn meanwhile", w.try(t, "a", "ES256"), "(kid)")
	wantRefused(t, "the new one", w.try(t, "b", "RS256"), "")
}

// Published secrets, and keys for encryption, are not used.
func TestUnfitKeysAreLeftOut(t *testing.T) {
	w := newRemoteWorld(t)
	enc := public("e", "", signers()["ES256"].Public())
	enc.Use = "enc"
	set := jwks(t, enc, public("r", "", signers()["RS256"].Public()))
	set = strings.Replace(set, `{"keys":[`, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"h"},{"kty":"new","kid":"n"},7,`, 1)
	w.set(200, set)
	wantRefused(t, "good", w.try(t, "r", "RS256"), "")
	wantRefused(t, "for encryption", w.try(t, "e", "ES256"), "(kid)")
	for _, key := range []string{"secret", "c2VjcmV0"} {
		token := signClaims(t, jwt.SigningMethodHS256, []byte(key), map[string]any{"kid": "h"}, jwt.MapClaims{"sub": "mallory"})
		wantRefused(t, "a published secret", accepts(t, w.v, token), "one of this server's keys")
	}
}

func TestKeysURL(t *testing.T) {
	for url, want := range map[string]bool{
		"https://id.example.com/jwks": true, "http://localhost:9/x": true, "http://127.0.0.1/x": true, "http://[::1]:1/x": true,
		"http://id.example.com/jwks": false, "ftp://127.0.0.1/x": false, "id.example.com": false, "https://me:pw@id.example.com": false, "https://": false, "http://127.0.0.1.evil.example/": false,
	} {
		if err := auth.CheckKeysURL(url); (err == nil) != want {
			t.Errorf("%s: %v, want accepted = %v", url, err, want)
		}
	}
}

// A provider that leads to an address in the clear is not followed.
func TestRedirectsStaySecure(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://id.example.com/jwks", http.StatusFound))
	defer server.Close()
	var log bytes.Buffer
	o := options()
	o.Secret, o.JWKSURL, o.Logger = "", server.URL, slog.New(slog.NewTextHandler(&log, nil))
	v := auth.New(o)
	defer v.Close()
	s := signers()["ES256"]
	wantRefused(t, "redirected", accepts(t, v, signClaims(t, s.method, s.Signer, nil, jwt.MapClaims{"sub": "alice"})), "(kid)")
	if !strings.Contains(log.String(), "must begin with https") {
		t.Errorf("logged %s", &log)
	}
	http.DefaultClient.CloseIdleConnections()
}
