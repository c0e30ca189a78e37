package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

func TestAudienceAndIssuer(t *testing.T) {
	o := options()
	o.Issuer, o.Audience = "https://login.example.com", []string{"parlor", "chat"}
	v := auth.New(o)
	own, err := auth.Sign(o, alice, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Socket(remote, headers("Authorization", "Bearer "+own), nil); err != nil || got.User != alice {
		t.Errorf("a token of Sign: user %v, %v", got, err)
	}
	for _, tt := range []struct {
		iss, aud any
		says     string // empty: accepted
	}{
		{o.Issuer, "parlor", ""},
		{o.Issuer, []string{"other", "chat"}, ""},
		{o.Issuer, "Parlor", "(aud)"},
		{o.Issuer, []string{}, "(aud, iss)"},
		{o.Issuer, nil, "(aud, iss)"},
		{o.Issuer + "/", "parlor", "(iss)"},
		{nil, "parlor", "(aud, iss)"},
		{7, "parlor", "not a valid token"},
	} {
		claims := jwt.MapClaims{"sub": "alice"}
		for name, value := range map[string]any{"iss": tt.iss, "aud": tt.aud} {
			if value != nil {
				claims[name] = value
			}
		}
		token := signClaims(t, jwt.SigningMethodHS256, []byte(secret), nil, claims)
		_, err := v.Socket(remote, headers("Authorization", "Bearer "+token), nil)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("iss %v, aud %v: error %v, want %q", tt.iss, tt.aud, err, tt.says)
		}
	}
}

// A page of a sibling domain can set a cookie of the same name, and browsers may
// send it before ours.
func TestAnyValidCookieCounts(t *testing.T) {
	good := "access_token=" + sign(t, alice)
	bad := func(n int) string { return strings.Repeat("access_token=x; ", n) }
	for _, tt := range []struct {
		cookies []string // headers
		ok      bool
	}{
		{[]string{bad(1) + good}, true},
		{[]string{"access_token=; " + good}, true},
		{[]string{good + "; access_token=x"}, true},
		{[]string{bad(1), good}, true},
		{[]string{bad(auth.MaxCookies-1) + good}, true},
		{[]string{bad(auth.MaxCookies) + good}, false},
		{[]string{bad(2)}, false},
	} {
		h := http.Header{"Cookie": tt.cookies}
		got, err := verifier().Socket(remote, h, nil)
		if ok := err == nil && got.User == alice; ok != tt.ok {
			t.Errorf("%.80q: user %v, %v, want accepted = %v", tt.cookies, got, err, tt.ok)
		}
		if !tt.ok {
			wantCode(t, err, chat.CodeUnauthenticated)
		}
	}
}

// Each address and reason is logged once a minute, not more than so many in all,
// and nothing of the credential is.
func TestFailuresAreLogged(t *testing.T) {
	var text bytes.Buffer
	clock, o := now, options()
	o.Now = func() time.Time { return clock }
	o.Logger = slog.New(slog.NewTextHandler(&text, nil))
	v := auth.New(o)
	fail := func(address, token string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address + ":1"
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if _, err := v.Request(r); err == nil {
			t.Fatal("accepted")
		}
	}
	lines := func() []string {
		defer text.Reset()
		return strings.Split(strings.TrimSpace(text.String()), "\n")
	}

	forged := signClaims(t, jwt.SigningMethodHS256, []byte("another"), nil, jwt.MapClaims{"sub": "mallory"})
	for range 3 {
		fail("192.0.2.1", forged)
		fail("192.0.2.1", "")
		if _, err := v.Socket("[2001:db8::1]:5", nil, json.RawMessage(`{"token":"`+forged+`"}`)); err == nil {
			t.Fatal("accepted")
		}
	}
	got := lines()
	if len(got) != 3 || !strings.Contains(got[0], `level=WARN msg="sign-in failed" remote=192.0.2.1 why="Authorization header: the token was not`) ||
		!strings.Contains(got[1], "level=INFO") || !strings.Contains(got[2], "remote=2001:db8::1 why=") {
		t.Errorf("logged\n%s", strings.Join(got, "\n"))
	}
	if all := strings.Join(got, ""); strings.Contains(all, forged[:8]) || strings.Contains(all, "mallory") {
		t.Errorf("the log shows the token: %s", all)
	}

	clock = clock.Add(time.Minute)
	for i := range 10 * auth.MaxFailuresLogged {
		fail(fmt.Sprintf("10.0.0.%d", i), "x")
	}
	got = lines()
	if !strings.Contains(got[0], `msg="more sign-ins failed" count=6`) || len(got) != 1+auth.MaxFailuresLogged {
		t.Errorf("%d records, the first is %s", len(got), got[0])
	}
	v.Close()
	if got = lines(); len(got) != 1 || !strings.Contains(got[0], "more sign-ins failed\" count=540") {
		t.Errorf("at the end %q", got)
	}
}
