package auth_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

const theRoom chat.RoomID = "rf74rhscgm3uacyrl3izqi7fb"

func (h *house) withGuests() {
	h.restart()
	h.Verifier = auth.New(auth.Options{Secret: secret, Accounts: h.accounts, Guests: true, GuestRate: 3})
}

func (h *house) guest(until time.Time) (chat.User, *browser) {
	h.t.Helper()
	u, err := h.NewGuest(from("192.0.2.1"), theRoom, " Gast\n")
	if err != nil {
		h.t.Fatal(err)
	}
	b := newBrowser(h.t)
	cookies, err := h.BeginGuest(b.request(), u, until)
	if err != nil {
		h.t.Fatal(err)
	}
	b.take(cookies)
	return u, b
}

// A guest is let in by what asks for guests, and by nothing else; for as long as the
// invitation is good, however often the session is refreshed; and no more when the guest is gone.
func TestGuestSessions(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if _, err := h.NewGuest(from("192.0.2.1"), theRoom, "Gast"); codeOf(err) != chat.CodeUnauthenticated {
			t.Errorf("guests are off: %v", err)
		}
		h.withGuests()
		u, b := h.guest(time.Now().Add(30 * time.Hour))
		let := func() bool {
			t.Helper()
			in, err := auth.WithGuests{Verifier: h.Verifier}.SignIn(b.request())
			if err == nil && (in.ID != u.ID || in.Name != "Gast" || in.Only != theRoom || in.Admin || in.Guest) {
				t.Errorf("let in %+v", in.User)
			}
			if _, err := h.Request(b.request()); err == nil {
				t.Error("a guest was let in where nobody asked for guests")
			}
			if _, err := h.Socket(remote, b.request().Header, nil); err == nil {
				t.Error("a guest's socket was let in where nobody asked for guests")
			}
			return err == nil
		}
		if !let() {
			t.Error("not let in")
		}
		in, err := auth.WithGuests{Verifier: h.Verifier}.Socket(remote, b.request().Header, nil)
		if err != nil {
			t.Fatal(err)
		}
		var cut atomic.Int32
		h.Watch(in, func() { cut.Add(1) })
		time.Sleep(20 * time.Hour)
		h.withGuests() // it is still known whose guest it is
		if err := h.refresh(b); err != nil || !let() {
			t.Errorf("refreshed: %v", err)
		}
		time.Sleep(11 * time.Hour)
		if err := h.refresh(b); err == nil || let() {
			t.Error("the session outlives the invitation")
		}

		_, b = h.guest(time.Time{})
		in, _ = auth.WithGuests{Verifier: h.Verifier}.SignIn(b.request())
		cut.Store(0)
		h.Watch(in, func() { cut.Add(1) })
		h.accounts.EndGuest(in.ID)
		synctest.Wait()
		if _, err := (auth.WithGuests{Verifier: h.Verifier}).SignIn(b.request()); err == nil || cut.Load() != 1 {
			t.Errorf("a guest who is gone: %v, cut off %d times", err, cut.Load())
		}
	})
}

// Nobody else can have the id of a guest.
func TestGuestIDsAreReserved(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.withGuests()
		if _, err := auth.Sign(auth.Options{Secret: secret}, chat.User{ID: "guest:1"}, time.Hour); err == nil {
			t.Error("signed a token")
		}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "guest:1", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (auth.WithGuests{Verifier: h.Verifier}).SignIn(withToken(token)); codeOf(err) != chat.CodeUnauthenticated {
			t.Errorf("a token of somebody else: %v", err)
		}
		h.refusals(auth.Command{Action: "user add", User: "guest:1"}, auth.Command{Action: "key add", User: "guest:1", Scope: "read"},
			auth.Command{Action: "user link", User: "guest:1", Person: "alice"}, auth.Command{Action: "user link", User: "alice", Person: "guest:1"})
	})
}

func TestGuestsComeSlowly(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.withGuests()
		for i := range 4 {
			_, err := h.NewGuest(from("192.0.2.7"), theRoom, "x")
			if limited := codeOf(err) == chat.CodeRateLimited; limited != (i == 3) {
				t.Errorf("guest %d: %v", i, err)
			}
		}
		for _, name := range []string{"", " ", strings.Repeat("x", 65), "a\x00b"} {
			if _, err := h.NewGuest(from("192.0.2.8"), theRoom, name); name != "a\x00b" && codeOf(err) != chat.CodeInvalid {
				t.Errorf("the name %q: %v", name, err)
			}
		}
	})
}
