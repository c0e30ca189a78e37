package auth_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	auth.SignIns
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
