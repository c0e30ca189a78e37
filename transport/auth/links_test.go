package auth_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// issuers are servers that share their accounts, one for each issuer of tokens.
type issuers struct {
	*house
	trusted []string
}

func inIssuers(t *testing.T, f func(t *testing.T, h *issuers)) {
	inHouse(t, func(t *testing.T, h *house) { f(t, &issuers{h, []string{"https://one", "https://two"}}) })
}

func (h *issuers) of(issuer string) *auth.Verifier {
	return auth.New(auth.Options{Secret: secret, Issuer: issuer, LinkIssuers: h.trusted, Accounts: h.accounts})
}

// who returns the user of a token of the issuer.
func (h *issuers) who(issuer, sub, email string, verified any) chat.UserID {
	h.t.Helper()
	claims := jwt.MapClaims{"iss": issuer, "sub": sub, "email": email, "exp": time.Now().Add(time.Hour).Unix()}
	if verified != nil {
		claims["email_verified"] = verified
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		h.t.Fatal(err)
	}
	u, err := h.of(issuer).Request(withToken(token))
	if err != nil {
		h.t.Fatalf("%s of %s: %v", sub, issuer, err)
	}
	return u.ID
}

func withToken(token string) *http.Request {
	r := from("192.0.2.1")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func (h *house) refusals(commands ...auth.Command) {
	h.t.Helper()
	for _, c := range commands {
		if _, err := h.accounts.Do(h.t.Context(), c); err == nil {
			h.t.Errorf("%+v was carried out", c)
		}
	}
}

func (h *issuers) want(got, want chat.UserID, when string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// A verified address leads to the user who has it already, whatever issuer says it.
func TestVerifiedAddressLinks(t *testing.T) {
	inIssuers(t, func(t *testing.T, h *issuers) {
		h.want(h.who("https://one", "alice", "ann@example.com", true), "alice", "first")
		h.want(h.who("https://two", "2-ann", "ann@example.com", true), "alice", "linked")
		h.restart()
		h.want(h.who("https://two", "2-ann", "ann@example.com", true), "alice", "after a restart")
		h.want(h.who("https://two", "2-ann", "other@example.com", false), "alice", "once linked, whatever the address")
		if links := h.do(auth.Command{Action: "user links"}).Links; len(links) != 1 || links[0].By != auth.LinkedByAddress || links[0].Moving {
			t.Errorf("links %+v", links)
		}
	})
}

// Each row is a way to get at the account of ann@example.com, which are known from other
// products (pre-hijacking), or a mistake that leads there.
func TestAddressesThatDoNotLink(t *testing.T) {
	const ann = "ann@example.com"
	for name, try := range map[string]func(h *issuers) (got chat.UserID, want chat.UserID){
		"an address that nobody verified": func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://two", "eve", ann, false), "eve" },
		"no word of that":                 func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://two", "eve", ann, nil), "eve" },
		"a word that is no yes":           func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://two", "eve", ann, "yes"), "eve" },
		"a number":                        func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://two", "eve", ann, 1), "eve" },
		"an issuer that is not trusted":   func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://evil", "eve", ann, true), "eve" },
		"a letter that folds to another": func(h *issuers) (chat.UserID, chat.UserID) {
			h.who("https://one", "kim", "kim@example.com", true)
			return h.who("https://two", "eve", "\u212aim@example.com", true), "eve"
		},
		"a second address behind the first": func(h *issuers) (chat.UserID, chat.UserID) {
			return h.who("https://two", "eve", ann+",eve@example.com", true), "eve"
		},
		"a space": func(h *issuers) (chat.UserID, chat.UserID) { return h.who("https://two", "eve", ann+" ", true), "eve" },
		"another user of the same issuer, who got the address later": func(h *issuers) (chat.UserID, chat.UserID) {
			return h.who("https://one", "eve", ann, true), "eve"
		},
		"an account that exists": func(h *issuers) (chat.UserID, chat.UserID) {
			h.do(auth.Command{Action: "user add", User: "bob"})
			return h.who("https://two", "bob", ann, true), "bob"
		},
		"an account with a session": func(h *issuers) (chat.UserID, chat.UserID) {
			h.signIn(chat.User{ID: "bob"})
			return h.who("https://two", "bob", ann, true), "bob"
		},
		"an account with a key": func(h *issuers) (chat.UserID, chat.UserID) {
			h.do(auth.Command{Action: "key add", User: "bob", Scope: "read"})
			return h.who("https://two", "bob", ann, true), "bob"
		},
		"an address that an administrator has written": func(h *issuers) (chat.UserID, chat.UserID) {
			h.do(auth.Command{Action: "user add", User: "carl", Email: "carl@example.com"})
			return h.who("https://two", "eve", "carl@example.com", true), "eve"
		},
		"an address that somebody claimed first without proof": func(h *issuers) (chat.UserID, chat.UserID) {
			h.who("https://two", "eve", "bob@example.com", false)
			return h.who("https://one", "bob", "bob@example.com", true), "bob"
		},
		"an address that ann does not have any more": func(h *issuers) (chat.UserID, chat.UserID) {
			h.who("https://one", "alice", "ann@home.example.com", true)
			return h.who("https://two", "next-ann", ann, true), "next-ann"
		},
		"an address that ann could not verify again": func(h *issuers) (chat.UserID, chat.UserID) {
			h.who("https://one", "alice", "ann@home.example.com", false)
			return h.who("https://two", "next-ann", ann, true), "next-ann"
		},
		"an identity that an administrator has taken apart": func(h *issuers) (chat.UserID, chat.UserID) {
			h.want(h.who("https://two", "two", ann, true), "alice", "linked")
			h.do(auth.Command{Action: "user unlink", User: "two"})
			return h.who("https://two", "two", ann, true), "two"
		},
		"an address that changes to that of somebody else": func(h *issuers) (chat.UserID, chat.UserID) {
			h.who("https://two", "two", "two@example.com", true)
			h.signIn(chat.User{ID: "two"})
			return h.who("https://two", "two", ann, true), "two"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inIssuers(t, func(t *testing.T, h *issuers) {
				h.accounts.HasChats = func(user string) bool { return user == "has chats" }
				h.want(h.who("https://one", "alice", ann, true), "alice", "ann")
				got, want := try(h)
				h.want(got, want, name)
				h.want(h.who("https://two", "has chats", ann, true), "has chats", "an account with chats")
			})
		})
	}
}

func TestAddressInAnotherCase(t *testing.T) {
	inIssuers(t, func(t *testing.T, h *issuers) {
		h.want(h.who("https://one", "alice", "Ann@Example.com", "true"), "alice", "first")
		h.want(h.who("https://two", "two", "aNN@eXAMPLE.COM", true), "alice", "in another case")
	})
}

func TestNoIssuerIsTrustedUnlessNamed(t *testing.T) {
	inIssuers(t, func(t *testing.T, h *issuers) {
		h.trusted = nil
		h.want(h.who("https://one", "alice", "ann@example.com", true), "alice", "first")
		h.want(h.who("https://two", "two", "ann@example.com", true), "two", "second")
		if len(h.do(auth.Command{Action: "user links"}).Links) > 0 {
			t.Error("linked")
		}
		for key := range h.disk.kept {
			if strings.HasPrefix(key, "address/") {
				t.Error("an address was kept")
			}
		}
	})
}

// Identities that an administrator links are one person in every respect: sessions, keys, disabling.
func TestLinkByAdministrator(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		key := h.do(auth.Command{Action: "key add", User: "google-1", Scope: "write"}).Secret
		before := h.signIn(chat.User{ID: "google-1"})
		in, _ := h.Socket(remote, before.request().Header, nil)
		var cut atomic.Int32
		h.Watch(in, func() { cut.Add(1) })
		h.do(auth.Command{Action: "user link", User: "google-1", Person: "alice"})
		time.Sleep(time.Second)
		if _, err := h.Request(before.request()); err == nil || cut.Load() != 1 {
			t.Errorf("a browser of the identity: %v, cut off %d times", err, cut.Load())
		}
		after := h.signIn(chat.User{ID: "google-1"})
		if u, err := h.Request(after.request()); err != nil || u.ID != "alice" {
			t.Errorf("signed in as %+v, %v", u, err)
		}
		if u, err := h.Request(withToken(key)); err != nil || u.ID != "alice" {
			t.Errorf("the key acts as %+v, %v", u, err)
		}
		if own := h.Sessions("alice"); len(own) != 1 || h.Revoke(t.Context(), "alice", own[0].ID) != nil {
			t.Errorf("sessions %+v", own)
		}
		h.refusals(auth.Command{Action: "user link", User: "alice", Person: "google-1"}, auth.Command{Action: "user link", User: "google-1", Person: "bob"},
			auth.Command{Action: "user link", User: "alice", Person: "alice"}, auth.Command{Action: "user add", User: "google-1"}, auth.Command{Action: "user unlink", User: "alice"},
			auth.Command{Action: "user link", User: "", Person: "alice"})

		h.restart()
		h.do(auth.Command{Action: "user disable", User: "google-1"})
		if _, err := h.Request(withToken(key)); err == nil {
			t.Error("a person who is disabled acts by a key of another identity")
		}
		if _, err := h.Begin(t.Context(), from("192.0.2.1"), chat.User{ID: "alice"}); err == nil {
			t.Error("a person who was disabled by another identity signed in")
		}
		h.do(auth.Command{Action: "user enable", User: "alice"})
		again := h.signIn(chat.User{ID: "google-1"})
		h.do(auth.Command{Action: "user unlink", User: "google-1"})
		if _, err := h.Request(again.request()); err == nil {
			t.Error("a browser stayed signed in as somebody else")
		}
		if u, err := h.Request(withToken(key)); err != nil || u.ID != "google-1" {
			t.Errorf("the key acts as %+v, %v", u, err)
		}
	})
}

// An identity that is linked to somebody who is linked then leads to the last of them.
func TestLinksDoNotChain(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.do(auth.Command{Action: "user link", User: "a", Person: "b"})
		h.do(auth.Command{Action: "user link", User: "b", Person: "c"})
		h.do(auth.Command{Action: "user link", User: "d", Person: "b"})
		h.restart()
		for _, id := range []chat.UserID{"a", "b", "c", "d"} {
			if person := h.accounts.Person(id); person != "c" {
				t.Errorf("%s is %s", id, person)
			}
		}
		for _, l := range h.accounts.Links() {
			if err := h.accounts.Moved(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range h.accounts.Links() {
			if l.Moving {
				t.Errorf("%+v is to be moved still", l)
			}
		}
	})
}
