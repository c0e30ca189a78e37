package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// withPasswords makes the house one that people sign in to with passwords.
func (h *house) withPasswords() {
	h.restart()
	h.Verifier = auth.New(auth.Options{Accounts: h.accounts, Passwords: true, LoginRate: 5})
}

func (h *house) do(c auth.Command) auth.Result {
	h.t.Helper()
	r, err := h.accounts.Do(h.t.Context(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func from(address string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = address + ":1"
	return r
}

func codeOf(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}

func TestPasswords(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		made := h.do(auth.Command{Action: "user add", User: "alice", Name: "Alice", Admin: true}).Secret
		h.do(auth.Command{Action: "user add", User: "bob", Password: "bob's password"})
		h.withPasswords() // after a restart
		if h.Development() {
			t.Error("a server with passwords is in development mode")
		}
		n := 0
		try := func(id chat.UserID, password string) chat.Code {
			n++
			_, err := h.Login(from(fmt.Sprint("192.0.2.", n)), id, password)
			time.Sleep(time.Minute)
			return codeOf(err)
		}
		for _, tt := range []struct {
			id       chat.UserID
			password string
			want     chat.Code
		}{
			{"alice", made, ""}, {"bob", "bob's password", ""}, {"bob", "bob's passwor", "unauthenticated"}, {"bob", "", "unauthenticated"},
			{"Bob", "bob's password", "unauthenticated"}, {"nobody", "", "unauthenticated"}, {"nobody", made, "unauthenticated"}, {"", "", "unauthenticated"},
			{"bob", strings.Repeat("x", 1<<16), "unauthenticated"},
		} {
			if got := try(tt.id, tt.password); got != tt.want {
				t.Errorf("%s with %.20q: %q, want %q", tt.id, tt.password, got, tt.want)
			}
		}
		if in, err := h.Socket(remote, h.login("alice", made).request().Header, nil); err != nil || !in.Admin || in.Name != "Alice" {
			t.Errorf("alice: %+v, %v", in, err)
		}
		for key, value := range h.disk.kept {
			if strings.Contains(value, made) || strings.Contains(value, "bob's") {
				t.Errorf("%s holds a password", key)
			}
		}

		// A new password, and no password any more.
		b := h.login("bob", "bob's password")
		h.do(auth.Command{Action: "user passwd", User: "bob", Password: "another one"})
		if _, err := h.Request(b.request()); err == nil {
			t.Error("the old password's session goes on")
		}
		if try("bob", "bob's password") == "" || try("bob", "another one") != "" {
			t.Error("the password was not changed")
		}
		if got := h.do(auth.Command{Action: "user list"}).Users; len(got) != 2 || got[0].Hash != "*" {
			t.Errorf("listed %+v", got)
		}
	})
}

func (h *house) login(id chat.UserID, password string) *browser {
	h.t.Helper()
	cookies, err := h.Login(from("198.51.100.1"), id, password)
	if err != nil {
		h.t.Fatal(err)
	}
	b := newBrowser(h.t)
	b.take(cookies)
	return b
}

func TestCommandsRefuse(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.do(auth.Command{Action: "user add", User: "alice"})
		for says, c := range map[string]auth.Command{
			"already":          {Action: "user add", User: "alice"},
			"8 characters":     {Action: "user add", User: "bob", Password: "short"},
			"longer than 256":  {Action: "user add", User: "bob", Password: strings.Repeat("x", 257)},
			"printable":        {Action: "user add", User: "b\tb"},
			"no user \"bob\"":  {Action: "user passwd", User: "bob"},
			"no user \"eve\"":  {Action: "user enable", User: "eve"},
			"read, write or e": {Action: "key add", User: "alice", Scope: "all"},
			"must not be empt": {Action: "key add", Scope: "read"},
			"no such key":      {Action: "key revoke", Key: "x"},
			"no command":       {Action: "user drop"},
		} {
			if _, err := h.accounts.Do(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %v, want %q", c, err, says)
			}
		}
	})
}

// Tries are limited for a user, from wherever they come, and for an address, whoever is tried.
func TestTriesAreLimited(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		made := h.do(auth.Command{Action: "user add", User: "alice"}).Secret
		h.withPasswords()
		count := func(try func(i int) (chat.UserID, string)) (refused int) {
			for i := range 20 {
				id, address := try(i)
				if _, err := h.Login(from(address), id, "wrong"); codeOf(err) == chat.CodeRateLimited {
					refused++
					if after := chat.AsError(err).RetryAfter; after < 1 || after > 60 {
						t.Errorf("retry after %d s", after)
					}
				}
			}
			return refused
		}
		if got := count(func(i int) (chat.UserID, string) { return "alice", fmt.Sprint("192.0.2.", i) }); got != 15 {
			t.Errorf("one user: %d of 20 refused, want 15", got)
		}
		if got := count(func(i int) (chat.UserID, string) { return chat.UserID(fmt.Sprint("u", i)), "203.0.113.1" }); got != 15 {
			t.Errorf("one address: %d of 20 refused, want 15", got)
		}
		if _, err := h.Login(from("198.51.100.9"), "alice", made); codeOf(err) != chat.CodeRateLimited {
			t.Errorf("the right one among them: %v", err)
		}
		time.Sleep(12 * time.Second)
		if _, err := h.Login(from("198.51.100.9"), "alice", made); err != nil {
			t.Errorf("after a while: %v", err)
		}
	})
}

// A user who is disabled is out at once, in whatever way they came in, and stays out.
func TestDisabled(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		token, err := auth.Sign(auth.Options{Secret: secret}, alice, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		key := h.do(auth.Command{Action: "key add", User: "alice", Scope: "write"}).Secret
		b, temp := h.signIn(alice), h.Handover(alice)
		ways := map[string]http.Header{"token": headers("Authorization", "Bearer "+token), "key": headers("Authorization", "Bearer "+key), "cookies": b.request().Header}
		var ended atomic.Int32
		for name, way := range ways {
			in, err := h.Socket(remote, way, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			h.Watch(in, func() { ended.Add(1) })
		}
		h.do(auth.Command{Action: "user disable", User: "alice"})
		synctest.Wait()
		if ended.Load() != 3 {
			t.Errorf("%d of 3 connections ended", ended.Load())
		}
		for range 2 {
			for name, way := range ways {
				if _, err := h.Socket(remote, way, nil); codeOf(err) != chat.CodeUnauthenticated {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := h.Exchange(from("192.0.2.1"), temp); err == nil {
				t.Error("was handed over")
			}
			if err := h.refresh(b); err == nil {
				t.Error("was refreshed")
			}
			temp = h.Handover(alice)
			h.restart()
		}
		h.do(auth.Command{Action: "user enable", User: "alice"})
		if _, err := h.Socket(remote, ways["token"], nil); err != nil {
			t.Errorf("enabled again: %v", err)
		}
	})
}

func TestAPIKeys(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		write := h.do(auth.Command{Action: "key add", User: "alice", Scope: "write"}).Secret
		read := h.do(auth.Command{Action: "key add", User: "alice", Scope: "read", TTL: time.Hour}).Secret
		h.restart()
		request := func(method, key string) chat.Code {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set("Authorization", "Bearer "+key)
			u, err := h.Request(r)
			if err == nil && u.ID != "alice" {
				t.Errorf("user %+v", u)
			}
			return codeOf(err)
		}
		for _, tt := range []struct {
			method, key string
			want        chat.Code
		}{
			{"GET", write, ""}, {"POST", write, ""}, {"GET", read, ""}, {"HEAD", read, ""},
			{"POST", read, chat.CodeForbidden}, {"DELETE", read, chat.CodeForbidden}, {"PATCH", read, chat.CodeForbidden}, {"PUT", read, chat.CodeForbidden},
			{"GET", write[:len(write)-1], chat.CodeUnauthenticated}, {"GET", write + "x", chat.CodeUnauthenticated}, {"GET", "pk_", chat.CodeUnauthenticated},
			{"GET", write[:16] + read[16:], chat.CodeUnauthenticated},
		} {
			if got := request(tt.method, tt.key); got != tt.want {
				t.Errorf("%s with %s: %q, want %q", tt.method, tt.key, got, tt.want)
			}
		}
		post := httptest.NewRequest("POST", "/", nil)
		post.Header.Set("Authorization", "Bearer "+read)
		if in, err := h.SignInToRead(post); err != nil || in.ID != "alice" || !in.ReadOnly {
			t.Errorf("a POST that may be one to read: %+v, %v", in, err)
		}
		in, err := h.Socket(remote, nil, json.RawMessage(`{"token":"`+read+`"}`))
		if err != nil || !in.ReadOnly || in.Admin {
			t.Errorf("a socket: %+v, %v", in, err)
		}
		var ended, expired atomic.Int32
		h.Watch(in, func() { expired.Add(1) })
		other, err := h.Socket(remote, nil, json.RawMessage(`{"token":"`+write+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		h.Watch(other, func() { ended.Add(1) })
		keys := h.do(auth.Command{Action: "key list"}).Keys
		if len(keys) != 2 || keys[0].Digest != "" {
			t.Fatalf("listed %+v", keys)
		}
		for key, value := range h.disk.kept {
			if strings.Contains(key+value, write) || strings.Contains(key+value, read) {
				t.Errorf("%s holds a key", key)
			}
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(write, "pk_"), "_")
		h.do(auth.Command{Action: "key revoke", Key: id})
		synctest.Wait()
		if ended.Load() != 1 || expired.Load() != 0 || request("GET", write) != chat.CodeUnauthenticated {
			t.Errorf("revoked: ended %d, other %d", ended.Load(), expired.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if expired.Load() != 1 || request("GET", read) != chat.CodeUnauthenticated {
			t.Errorf("expired: ended %d", expired.Load())
		}
		h.restart()
		if len(h.do(auth.Command{Action: "key list"}).Keys) != 1 {
			t.Error("the revoked key is back")
		}
	})
}
