package auth_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// disk is a Store in memory.
type disk struct {
	mu     sync.Mutex
	kept   map[string]string
	refuse error
}

func (d *disk) change(done func(error), change func()) {
	d.mu.Lock()
	if d.refuse == nil {
		change()
	}
	d.mu.Unlock()
	done(d.refuse)
}

func (d *disk) PutAccount(key string, value []byte, done func(error)) {
	d.change(done, func() { d.kept[key] = string(value) })
}

func (d *disk) DeleteAccount(key string, done func(error)) {
	d.change(done, func() { delete(d.kept, key) })
}

func (d *disk) EachAccount(yield func(string, []byte)) error {
	for key, value := range maps.All(d.kept) {
		yield(key, []byte(value))
	}
	return nil
}

// house is a server that people sign in to, in a bubble.
type house struct {
	*auth.Verifier
	t        *testing.T
	disk     *disk
	accounts *auth.Accounts
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, disk: &disk{kept: make(map[string]string)}}
	h.restart()
	return h
}

func (h *house) restart() {
	accounts, err := auth.OpenAccounts(auth.AccountOptions{Store: h.disk, SessionTTL: 24 * time.Hour, AccessTTL: time.Minute, MaxSignIns: 3})
	if err != nil {
		h.t.Fatal(err)
	}
	h.accounts = accounts
	h.Verifier = auth.New(auth.Options{Secret: secret, Accounts: accounts, Claims: auth.Claims{Admin: "role=admin"}})
}

// browser keeps cookies.
type browser struct {
	t      *testing.T
	jar    map[string]string
	dated  map[string]time.Time
	secure bool
}

func newBrowser(t *testing.T) *browser {
	return &browser{t: t, jar: make(map[string]string), dated: make(map[string]time.Time)}
}

func (b *browser) take(cookies []*http.Cookie) {
	b.t.Helper()
	for _, c := range cookies {
		if c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != b.secure || c.Domain != "" {
			b.t.Errorf("cookie %s", c)
		}
		b.jar[c.Name], b.dated[c.Name] = c.Value, time.Now().Add(time.Duration(c.MaxAge)*time.Second)
	}
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	for name, value := range b.jar {
		if time.Now().Before(b.dated[name]) {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	return r
}

func (h *house) signIn(u chat.User) *browser {
	h.t.Helper()
	b := newBrowser(h.t)
	cookies, err := h.Begin(h.t.Context(), b.request(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	b.take(cookies)
	return b
}

func (h *house) want(b *browser, request, socket bool) {
	h.t.Helper()
	if _, err := h.Request(b.request()); (err == nil) != request {
		h.t.Errorf("request: %v, want accepted = %v", err, request)
	}
	in, err := h.Socket(remote, b.request().Header, json.RawMessage(`{"user_id":"testtest"}`))
	if (err == nil) != socket {
		h.t.Errorf("handshake: %v, want accepted = %v", err, socket)
	}
	if err == nil && in.User != alice {
		h.t.Errorf("handshake of %+v", in.User)
	}
}

func (h *house) refresh(b *browser) error {
	h.t.Helper()
	cookies, err := h.Refresh(b.request())
	if err == nil {
		b.take(cookies)
	}
	return err
}

func inHouse(t *testing.T, f func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) { f(t, newHouse(t)) })
}

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
			"one for ever": {sign(secret, claims("exp", nil)), chat.CodeInvalid}, "another secret": {sign("another", claims()), chat.CodeUnauthenticated},
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
		if _, err := h.Logout(b.request()); err == nil {
			t.Error("a logout that is not on the disk was confirmed")
		}
		h.want(b, false, false)
	})
}
