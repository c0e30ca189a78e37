package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

const (
	secret = "a secret of the tests, 32 bytes!"
	remote = "192.0.2.7:1234"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	alice = chat.User{ID: "alice", Name: "Alice", Email: "alice@example.com", Picture: "https://example.com/a.png"}
	bob   = chat.User{ID: "bob"}
)

func options() auth.Options {
	return auth.Options{Secret: secret, Leeway: 10 * time.Second, Now: func() time.Time { return now }}
}

func verifier() *auth.Verifier { return auth.New(options()) }

func sign(t *testing.T, u chat.User) string {
	t.Helper()
	token, err := auth.Sign(options(), u, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signClaims signs what [auth.Sign] would not.
func signClaims(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for k, v := range header {
		token.Header[k] = v
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

// wantCode fails unless err is a refusal with the code.
func wantCode(t *testing.T, err error, want chat.Code) {
	t.Helper()
	var refusal *chat.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error is %v, want a *chat.Error", err)
	}
	if refusal.Code != want {
		t.Errorf("code = %q, want %q (%s)", refusal.Code, want, refusal.Message)
	}
	if strings.Contains(refusal.Message, secret) {
		t.Errorf("the message gives the secret away: %s", refusal.Message)
	}
}

func TestSocketTakesTheFirstCredential(t *testing.T) {
	a, b := sign(t, alice), sign(t, bob)
	tests := []struct {
		name    string
		headers http.Header
		connect string
		want    chat.User
	}{
		{"token of the CONNECT", nil, `{"token":"` + a + `"}`, alice},
		{"authorization header", headers("Authorization", "Bearer "+a), ``, alice},
		{"scheme in lower case", headers("Authorization", "bearer "+a), ``, alice},
		{"cookie", headers("Cookie", "theme=dark; access_token="+a), ``, alice},
		{"the assistant SPA: constant payload, cookie", headers("Cookie", "access_token="+a), `{"user_id":"testtest"}`, alice},
		{"recovered session", headers("Cookie", "access_token="+a), `{"user_id":"testtest","pid":"p","offset":"o"}`, alice},
		{"null token is none", headers("Cookie", "access_token="+a), `{"token":null}`, alice},
		{"CONNECT before header", headers("Authorization", "Bearer "+b), `{"token":"` + a + `"}`, alice},
		{"cookie behind the password of a proxy", headers("Authorization", "Basic YTpi", "Cookie", "access_token="+a), ``, alice},
		{"cookie behind a ticket of Windows", headers("Authorization", "Negotiate YTpi", "Cookie", "access_token="+a), ``, alice},
		{"header before cookie", headers("Authorization", "Bearer "+a, "Cookie", "access_token="+b), ``, alice},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := verifier().Socket(remote, tt.headers, json.RawMessage(tt.connect))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.User); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSocketRefuses(t *testing.T) {
	good := sign(t, alice)
	tests := []struct {
		name    string
		headers http.Header
		connect string
		want    chat.Code
	}{
		{"nothing", nil, ``, chat.CodeUnauthenticated},
		{"the SPA's constant is nobody", nil, `{"user_id":"testtest"}`, chat.CodeUnauthenticated},
		{"the header of development mode is nobody", headers("X-Parlor-User", "alice"), ``, chat.CodeUnauthenticated},
		{"a name in another case", nil, `{"Token":"` + good + `"}`, chat.CodeUnauthenticated},
		{"bad CONNECT before good header", headers("Authorization", "Bearer "+good), `{"token":"x"}`, chat.CodeUnauthenticated},
		{"empty CONNECT before good cookie", headers("Cookie", "access_token="+good), `{"token":""}`, chat.CodeUnauthenticated},
		{"number before good cookie", headers("Cookie", "access_token="+good), `{"token":7}`, chat.CodeUnauthenticated},
		{"bad header before good cookie", headers("Authorization", "Bearer x", "Cookie", "access_token="+good), ``, chat.CodeUnauthenticated},
		{"other scheme before good cookie", headers("Authorization", "Token YTpi", "Cookie", "access_token="+good), ``, chat.CodeUnauthenticated},
		{"password of a proxy", headers("Authorization", "Basic YTpi"), ``, chat.CodeUnauthenticated},
		{"password of a proxy before bad cookie", headers("Authorization", "Basic YTpi", "Cookie", "access_token=x"), ``, chat.CodeUnauthenticated},
		{"header without scheme", headers("Authorization", good), ``, chat.CodeUnauthenticated},
		{"two headers", headers("Authorization", "Bearer "+good, "Authorization", "Bearer "+good), ``, chat.CodeUnauthenticated},
		{"empty cookie", headers("Cookie", "access_token="), ``, chat.CodeUnauthenticated},
		{"payload is no object", headers("Cookie", "access_token="+good), `["x"]`, chat.CodeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifier().Socket(remote, tt.headers, json.RawMessage(tt.connect))
			wantCode(t, err, tt.want)
		})
	}
}

func TestTokens(t *testing.T) {
	long := strings.Repeat("é", 200)
	hs, key := jwt.SigningMethodHS256, []byte(secret)
	claims := func(kv ...any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "alice", "exp": now.Add(time.Minute).Unix()}
		for i := 0; i < len(kv); i += 2 {
			c[kv[i].(string)] = kv[i+1]
		}
		return c
	}
	tests := []struct {
		name  string
		token string
		want  chat.User // no id: refused
		says  string    // what the refusal mentions
	}{
		{"minimal", signClaims(t, hs, key, nil, jwt.MapClaims{"sub": "alice"}), chat.User{ID: "alice"}, ""},
		{"access token", signClaims(t, hs, key, nil, claims("token_type", "access", "name", "Al")), chat.User{ID: "alice", Name: "Al"}, ""},
		{"long claims", signClaims(t, hs, key, nil, claims("name", long, "email", long, "picture", strings.Repeat("p", 3000))), chat.User{ID: "alice", Name: long[:256]}, ""},
		{"unprintable name", signClaims(t, hs, key, nil, claims("name", "A\x00l\u202e")), chat.User{ID: "alice", Name: "Al"}, ""},
		{"name is no text", signClaims(t, hs, key, nil, claims("name", 7)), chat.User{ID: "alice"}, ""},

		{"a clock that is behind: exp", signClaims(t, hs, key, nil, claims("exp", now.Add(-9*time.Second).Unix())), chat.User{ID: "alice"}, ""},
		{"a clock that is ahead: nbf", signClaims(t, hs, key, nil, claims("nbf", now.Add(10*time.Second).Unix())), chat.User{ID: "alice"}, ""},
		{"a clock that is ahead: iat", signClaims(t, hs, key, nil, claims("iat", now.Add(10*time.Second).Unix())), chat.User{ID: "alice"}, ""},
		{"issued long ago", signClaims(t, hs, key, nil, claims("iat", 1)), chat.User{ID: "alice"}, ""},
		{"audience and issuer when none are expected", signClaims(t, hs, key, nil, claims("aud", "x", "iss", "y")), chat.User{ID: "alice"}, ""},

		{"issued in the future", signClaims(t, hs, key, nil, claims("iat", now.Add(11*time.Second).Unix())), chat.User{}, "future"},
		{"issued at no time", signClaims(t, hs, key, nil, claims("iat", "now")), chat.User{}, "not a valid token"},
		{"expired", signClaims(t, hs, key, nil, claims("exp", now.Add(-10*time.Second).Unix())), chat.User{}, "expired"},
		{"expired in 1970", signClaims(t, hs, key, nil, claims("exp", 0)), chat.User{}, "expired"},
		{"expiry is no number", signClaims(t, hs, key, nil, claims("exp", "tomorrow")), chat.User{}, "not a valid token"},
		{"not valid yet", signClaims(t, hs, key, nil, claims("nbf", now.Add(11*time.Second).Unix())), chat.User{}, "not valid yet"},
		{"refresh token", signClaims(t, hs, key, nil, claims("token_type", "refresh")), chat.User{}, "access token"},
		{"hand-off token", signClaims(t, hs, key, nil, claims("token_type", "temp")), chat.User{}, "access token"},
		{"type is null", signClaims(t, hs, key, nil, claims("token_type", nil)), chat.User{}, "access token"},
		{"no user", signClaims(t, hs, key, nil, jwt.MapClaims{"name": "Alice"}), chat.User{}, "sub"},
		{"user in another case", signClaims(t, hs, key, nil, jwt.MapClaims{"Sub": "alice"}), chat.User{}, "sub"},
		{"user is a number", signClaims(t, hs, key, nil, claims("sub", 7)), chat.User{}, "sub"},
		{"user too long", signClaims(t, hs, key, nil, claims("sub", strings.Repeat("a", 129))), chat.User{}, "128 bytes"},
		{"user unprintable", signClaims(t, hs, key, nil, claims("sub", "a\nb")), chat.User{}, "printable"},
		{"other secret", signClaims(t, hs, []byte("another"), nil, claims()), chat.User{}, "secret"},
		{"HS512", signClaims(t, jwt.SigningMethodHS512, key, nil, claims()), chat.User{}, "HS256"},
		{"unsigned", signClaims(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims()), chat.User{}, "HS256"},
		{"critical extension", signClaims(t, hs, key, map[string]any{"crit": []string{"x"}}, claims()), chat.User{}, "not a valid token"},
		{"too long", strings.Repeat("a", auth.MaxTokenLen+1), chat.User{}, "longer than"},
		{"not a token", "hello", chat.User{}, "not a valid token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+tt.token)
			got, err := verifier().Request(r)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
			if tt.want.ID != "" && err != nil {
				t.Fatal(err)
			}
			if tt.want.ID != "" {
				return
			}
			wantCode(t, err, chat.CodeUnauthenticated)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not mention %q", err, tt.says)
			}
		})
	}
}

func TestSignExpires(t *testing.T) {
	token := sign(t, alice)
	for offset, want := range map[time.Duration]bool{0: true, time.Hour + 9*time.Second: true, time.Hour + 10*time.Second: false} {
		o := options()
		o.Now = func() time.Time { return now.Add(offset) }
		v := auth.New(o)
		got, err := v.Socket(remote, headers("Authorization", "Bearer "+token), nil)
		if ok := err == nil && got.User == alice; ok != want {
			t.Errorf("after %v: user %v, error %v, want accepted = %v", offset, got, err, want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	if _, err := auth.Sign(auth.Options{}, alice, time.Hour); !errors.Is(err, auth.ErrNoSecret) {
		t.Errorf("without a secret: error %v, want %v", err, auth.ErrNoSecret)
	}
	if token, err := auth.Sign(options(), chat.User{ID: "a\tb"}, time.Hour); err == nil {
		t.Errorf("for an unprintable user: token %q, want an error", token)
	}
	if token, err := auth.Sign(options(), alice, 0); err == nil {
		t.Errorf("for no time at all: token %q, want an error", token)
	}
}

func TestDevelopmentSocket(t *testing.T) {
	v := auth.New(auth.Options{})
	if !v.Development() || verifier().Development() {
		t.Fatal("development mode must be on without a secret, and only then")
	}
	tests := []struct {
		connect string
		want    chat.UserID
		code    chat.Code
	}{
		{`{"user_id":"alice"}`, "alice", ""},
		{`{"user_id":"Zoë Smith","token":"ignored"}`, "Zoë Smith", ""},
		{`{"user_id":"` + strings.Repeat("a", 128) + `"}`, chat.UserID(strings.Repeat("a", 128)), ""},
		{`{"user_id":"` + strings.Repeat("a", 129) + `"}`, "", chat.CodeInvalid},
		{`{"user_id":""}`, "", chat.CodeInvalid},
		{`{"user_id":" alice"}`, "", chat.CodeInvalid},
		{`{"user_id":"a\u0000"}`, "", chat.CodeInvalid},
		{`{"user_id":7}`, "", chat.CodeInvalid},
		{`{"user_id":{}}`, "", chat.CodeInvalid},
		{`"alice"`, "", chat.CodeInvalid},
	}
	for _, tt := range tests {
		got, err := v.Socket(remote, headers("Authorization", "Bearer ignored"), json.RawMessage(tt.connect))
		if tt.code != "" {
			wantCode(t, err, tt.code)
			continue
		}
		if err != nil || got.ID != tt.want {
			t.Errorf("Socket(%s) = %q, %v, want %q", tt.connect, got.ID, err, tt.want)
		}
	}
}

func TestDevelopmentGuestsDiffer(t *testing.T) {
	v, seen := auth.New(auth.Options{}), map[chat.UserID]bool{}
	for _, connect := range []string{``, `null`, `{}`, `{"user_id":null}`} {
		u, err := v.Socket(remote, nil, json.RawMessage(connect))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(u.ID), "guest-") || len(u.ID) != len("guest-xxxxxx") {
			t.Errorf("guest is named %q, want guest-xxxxxx", u.ID)
		}
		seen[u.ID] = true
	}
	if len(seen) != 4 {
		t.Errorf("4 connections got %d names", len(seen))
	}
}

func TestDevelopmentRequest(t *testing.T) {
	v := auth.New(auth.Options{})
	r := httptest.NewRequest("GET", "/", nil)
	if u, err := v.Request(r); err != nil || u.ID != "guest" {
		t.Errorf("nobody is %q, %v, want guest", u.ID, err)
	}
	r.Header.Set("X-Parlor-User", "alice")
	if u, err := v.Request(r); err != nil || u.ID != "alice" {
		t.Errorf("alice is %q, %v", u.ID, err)
	}
	r.Header.Add("X-Parlor-User", "bob")
	_, err := v.Request(r)
	wantCode(t, err, chat.CodeInvalid)
	r.Header.Set("X-Parlor-User", "")
	_, err = v.Request(r)
	wantCode(t, err, chat.CodeInvalid)
}

// FuzzToken checks that nothing but the token that was signed is accepted, not
// even a variation of it, and that nothing makes the verifier panic.
func FuzzToken(f *testing.F) {
	good, err := auth.Sign(options(), alice, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		"", ".", "..", "...", "a.b.c", good[1:], good[:len(good)-1],
		"eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2],
		"eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2],
		"e30." + parts[1] + "." + parts[2],
		parts[0] + ".e30." + parts[2],
		parts[0] + "." + parts[1] + ".",
		parts[0] + "." + parts[2] + "." + parts[1],
		"bnVsbA.bnVsbA.bnVsbA",
	} {
		f.Add(seed)
	}
	v := verifier()
	f.Fuzz(func(t *testing.T, token string) {
		if strings.Contains(token, good) {
			t.Skip("the one that may be accepted")
		}
		payload, err := json.Marshal(map[string]string{"token": token})
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range []struct {
			h       http.Header
			connect json.RawMessage
		}{
			{nil, payload},
			{headers("Authorization", "Bearer "+token), nil},
			{headers("Authorization", token), nil},
			{headers("Cookie", "access_token="+token), nil},
			{nil, json.RawMessage(token)},
		} {
			if u, err := v.Socket(remote, try.h, try.connect); err == nil {
				t.Fatalf("accepted %q in %v %s as %q", token, try.h, try.connect, u.ID)
			}
		}
	})
}
