package auth_test

import (
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/origin"
)

// A browser that has lost its access token can still open a socket, and gets another token
// by a refresh, for as long as the session lives: that is a day after each refresh.
func TestSessionLives(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		b := h.signIn(alice)
		h.want(b, true, true)
		for range 3 {
			time.Sleep(23 * time.Hour)
			h.want(b, false, true)
			old := maps.Clone(b.jar)
			if err := h.refresh(b); err != nil {
				t.Fatal(err)
			}
			if b.jar["access_token"] == old["access_token"] || b.jar["refresh_token"] == old["refresh_token"] || b.jar["session_id"] != old["session_id"] {
				t.Error("tokens must be new, and the session the same")
			}
			h.want(b, true, true)
			h.restart()
			h.want(b, true, true)
		}
		time.Sleep(24 * time.Hour)
		h.want(b, false, false)
		if err := h.refresh(b); err == nil {
			t.Error("an expired session was refreshed")
		}
		h.signIn(alice)
		if len(h.disk.kept) != 2 {
			t.Errorf("%d records, want the secret and one session", len(h.disk.kept))
		}
	})
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(h *house, b *browser) error{
		"logout": func(h *house, b *browser) error {
			cookies, err := h.Logout(b.request())
			for _, c := range cookies {
				if c.MaxAge >= 0 || c.Value != "" {
					t.Errorf("cookie %s is not deleted", c)
				}
			}
			return err
		},
		"logout without the access token": func(h *house, b *browser) error {
			r := b.request()
			r.Header.Set("Cookie", "refresh_token="+b.jar["refresh_token"]+"; session_id="+b.jar["session_id"])
			_, err := h.Logout(r)
			return err
		},
		"revoked": func(h *house, _ *browser) error {
			return h.Revoke(h.t.Context(), alice.ID, h.Sessions(alice.ID)[0].ID)
		},
		"all revoked": func(h *house, _ *browser) error { return h.RevokeAll(h.t.Context(), alice.ID, "") },
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.t = t
				b := h.signIn(alice)
				b.t = t
				in, err := h.Socket(remote, b.request().Header, nil)
				if err != nil {
					t.Fatal(err)
				}
				var ended, after atomic.Int32
				h.Watch(in, func() { ended.Add(1) })
				begun := time.Now()
				if err := end(h, b); err != nil {
					t.Fatal(err)
				}
				h.Watch(in, func() { after.Add(1) }) // a handshake that was under way
				synctest.Wait()
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if ended.Load() != 1 || after.Load() != 1 || time.Since(begun) > time.Second {
					t.Errorf("ended %d and %d times after %v", ended.Load(), after.Load(), time.Since(begun))
				}
				h.want(b, false, false)
				if err := h.refresh(b); err == nil || chat.AsError(err).Code != chat.CodeUnauthenticated {
					t.Errorf("refresh: %v", err)
				}
				h.restart()
				h.want(b, false, false)
				if len(h.Sessions(alice.ID)) != 0 {
					t.Error("it is still listed")
				}
			})
		})
	}
}

// A live connection goes on when its session is refreshed, and ends with it.
func TestConnectionLivesWithItsSession(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		b := h.signIn(alice)
		in, err := h.Socket(remote, b.request().Header, nil)
		if err != nil {
			t.Fatal(err)
		}
		var ended atomic.Int32
		h.Watch(in, func() { ended.Add(1) })
		for range 3 {
			time.Sleep(20 * time.Hour)
			if err := h.refresh(b); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24*time.Hour - time.Second)
		synctest.Wait()
		if ended.Load() != 0 {
			t.Error("ended within the life of its session")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if ended.Load() != 1 {
			t.Errorf("ended %d times", ended.Load())
		}
	})
}

// Tabs that refresh at once all succeed. Who comes with an old token much later has a copy
// of it: the session ends.
func TestRefreshTokenIsNotUsedTwice(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		b := h.signIn(alice)
		copied := &browser{t: t, jar: maps.Clone(b.jar), dated: maps.Clone(b.dated)}
		for range 5 {
			tab := &browser{t: t, jar: maps.Clone(copied.jar), dated: maps.Clone(copied.dated)}
			if err := h.refresh(tab); err != nil {
				t.Fatal(err)
			}
			b = tab
		}
		if err := h.refresh(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if _, err := h.Socket(remote, copied.request().Header, nil); err != nil {
			t.Log("the access token is good on its own for its minute")
		}
		time.Sleep(time.Hour)
		h.want(copied, false, false)
		h.want(b, false, true)
		if err := h.refresh(copied); err == nil {
			t.Error("an old token was accepted")
		}
		h.want(b, false, false)
	})
}

// Cookies of two sessions do not go together, and other tokens are none.
func TestCookiesBelongTogether(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		a, b := h.signIn(alice), h.signIn(bob)
		time.Sleep(2 * time.Minute)
		mixed := newBrowser(t)
		mixed.jar, mixed.dated = map[string]string{"refresh_token": a.jar["refresh_token"], "session_id": b.jar["session_id"]}, a.dated
		h.want(mixed, false, false)
		for _, jar := range []map[string]string{
			{"session_id": a.jar["session_id"]}, {"refresh_token": a.jar["refresh_token"]},
			{"refresh_token": a.jar["access_token"], "session_id": a.jar["session_id"]},
			{"refresh_token": signClaims(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"kid": "parlor"}, jwt.MapClaims{"sub": "alice", "token_type": "refresh", "exp": time.Now().Add(time.Hour).Unix()}), "session_id": a.jar["session_id"]},
			{"access_token": a.jar["refresh_token"]},
		} {
			mixed.jar, mixed.dated = jar, map[string]time.Time{"session_id": time.Now().Add(time.Hour), "refresh_token": time.Now().Add(time.Hour), "access_token": time.Now().Add(time.Hour)}
			h.want(mixed, false, false)
		}
		// A page of a sibling domain has put its own before.
		r := a.request()
		cookies := r.Header.Get("Cookie")
		r.Header.Set("Cookie", "session_id=x; refresh_token=y; "+cookies)
		if in, err := h.Socket(remote, r.Header, nil); err != nil || in.User != alice {
			t.Errorf("behind others: %v, %v", in.User, err)
		}
		for key, value := range h.disk.kept {
			for _, secret := range a.jar {
				if strings.Contains(key+value, secret) {
					t.Errorf("a secret of a cookie is kept as it is: %s", key)
				}
			}
		}
	})
}

func TestOldestSessionEnds(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		var all []*browser
		for range 5 {
			all = append(all, h.signIn(alice))
			time.Sleep(time.Second)
		}
		for i, b := range all {
			h.want(b, i >= 2, i >= 2)
		}
		if got := len(h.Sessions(alice.ID)); got != 3 {
			t.Errorf("%d sessions, want 3", got)
		}
	})
}

func TestExchange(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		claims := func(kv ...any) jwt.MapClaims {
			c := jwt.MapClaims{"sub": "alice", "name": alice.Name, "email": alice.Email, "picture": alice.Picture, "token_type": "temp", "exp": time.Now().Add(5 * time.Minute).Unix()}
			for i := 0; i < len(kv); i += 2 {
				if c[kv[i].(string)] = kv[i+1]; kv[i+1] == nil {
					delete(c, kv[i].(string))
				}
			}
			return c
		}
		sign := func(key string, c jwt.MapClaims) string {
			return signClaims(t, jwt.SigningMethodHS256, []byte(key), nil, c)
		}
		for name, temp := range map[string]string{"own": h.Handover(alice), "of another who has the secret": sign(secret, claims())} {
			b := newBrowser(t)
			cookies, err := h.Exchange(b.request(), temp)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			b.take(cookies)
			h.want(b, true, true)
			if _, err := h.Exchange(b.request(), temp); err == nil || chat.AsError(err).Code != chat.CodeUnauthenticated {
				t.Errorf("%s, once more: %v", name, err)
			}
		}
		late := h.Handover(alice)
		for name, try := range map[string]struct {
			temp string
			code chat.Code
		}{
			"missing": {"", chat.CodeInvalid}, "an access token": {sign(secret, claims("token_type", "access")), chat.CodeInvalid},
			"one for an hour": {sign(secret, claims("exp", time.Now().Add(time.Hour).Unix())), chat.CodeInvalid}, "one for ever": {sign(secret, claims("exp", nil)), chat.CodeInvalid}, "another secret": {sign("another", claims()), chat.CodeUnauthenticated},
			"expired": {sign(secret, claims("exp", time.Now().Add(-time.Minute).Unix())), chat.CodeUnauthenticated}, "nonsense": {"x", chat.CodeUnauthenticated},
			"an own access token": {h.signIn(alice).jar["access_token"], chat.CodeInvalid},
		} {
			_, err := h.Exchange(httptest.NewRequest("GET", "/", nil), try.temp)
			if err == nil || chat.AsError(err).Code != try.code {
				t.Errorf("%s: %v, want %s", name, err, try.code)
			}
		}
		time.Sleep(5 * time.Minute)
		if _, err := h.Exchange(httptest.NewRequest("GET", "/", nil), late); err == nil {
			t.Error("a late one was accepted")
		}
	})
}

// With TLS, also that of a trusted proxy, browsers send the cookies with TLS only.
func TestCookiesAreSecureWithTLS(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		b := newBrowser(t)
		b.secure = true
		r := b.request()
		r.TLS = new(tls.ConnectionState)
		cookies, err := h.Begin(t.Context(), r, alice)
		if err != nil || len(cookies) != 3 {
			t.Fatalf("%d cookies, %v", len(cookies), err)
		}
		b.take(cookies)
		proxies, err := origin.ParseProxies([]string{"192.0.2.1"})
		if err != nil {
			t.Fatal(err)
		}
		r = b.request()
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("X-Forwarded-Proto", "https")
		proxies.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cookies, err = h.Refresh(r)
		})).ServeHTTP(httptest.NewRecorder(), r)
		if err != nil || len(cookies) != 3 {
			t.Fatalf("%d cookies, %v", len(cookies), err)
		}
		b.take(cookies)
	})
}

func TestDiskRefuses(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		b := h.signIn(alice)
		h.disk.refuse = errors.New("disk full")
		if _, err := h.Begin(t.Context(), b.request(), bob); chat.AsError(err).Code != chat.CodeStorageUnavailable || strings.Contains(chat.AsError(err).Message, "full") {
			t.Errorf("sign in: %v", err)
		}
		if len(h.Sessions(bob.ID)) != 0 {
			t.Error("a session that is not on the disk is listed")
		}
		if err := h.refresh(b); codeOf(err) != chat.CodeStorageUnavailable {
			t.Errorf("refresh: %v", err)
		}
		time.Sleep(time.Hour)
		h.disk.refuse = nil
		if err := h.refresh(b); err != nil {
			t.Errorf("a refresh after one that the disk refused: %v", err)
		}
		h.disk.refuse = errors.New("disk full")
		if _, err := h.Logout(b.request()); err == nil {
			t.Error("a logout that is not on the disk was confirmed")
		}
		h.want(b, false, false)
	})
}
