package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/durable"
)

// The beginnings of the keys, by what is kept under them. A secret is never part of a key or a value:
// only its digest is.
const (
	keySecret   = "secret" // which tokens of sessions are signed with
	keySessions = "session/"
	keyUsers    = "user/"
	keyKeys     = "key/"
	keyKeySets  = "jwks/" // public keys of a provider, by the digest of their URL

	keyLinks     = "link/"    // by the digest of the identity
	keyAddresses = "address/" // by the digest of the address
)

// AccountOptions configure [Accounts]. Store has no default.
type AccountOptions struct {
	Store      durable.Store
	SessionTTL time.Duration // that a session lives without being refreshed. Zero means 30 days
	AccessTTL  time.Duration // of the tokens of a session. Zero means 15 minutes
	MaxSignIns int           // sessions of one user, of which the oldest end first. Zero means 50
	Now        func() time.Time
	Logger     *slog.Logger

	// HasChats reports whether a user is in the list of any chat. Nil means that nobody is.
	HasChats func(user string) bool
}

// Accounts are the users whom this server itself knows, the sessions of those who have
// signed in here, and API keys. They may be used from any goroutine.
//
// All of it is in memory too: a request is decided without the disk. What changes is on
// the disk before the change is confirmed.
type Accounts struct {
	AccountOptions
	secret []byte

	// ended is called when a session or key has been revoked, and with no session when a
	// user has been disabled.
	ended func(u chat.UserID, session string)

	mu       sync.Mutex
	sessions map[string]*Session // by ID
	users    map[chat.UserID]*LocalUser
	keys     map[string]*APIKey // by ID
	keySets  map[string][]byte
	swept    time.Time // when expired sessions were looked for

	linking   sync.Mutex // held by those who change a link, also while they wait for the disk; locked before mu
	links     map[chat.UserID]*Link
	addresses map[string]*address     // by Text
	met       map[chat.UserID]address // with which an identity came last. It saves to look again
	linked    func()
}

// OpenAccounts reads what the store has.
func OpenAccounts(o AccountOptions) (*Accounts, error) {
	o.SessionTTL, o.AccessTTL = cmp.Or(o.SessionTTL, 30*24*time.Hour), cmp.Or(o.AccessTTL, 15*time.Minute)
	o.MaxSignIns, o.Logger = cmp.Or(o.MaxSignIns, 50), cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Accounts{AccountOptions: o,
		sessions: make(map[string]*Session), users: make(map[chat.UserID]*LocalUser), keys: make(map[string]*APIKey), keySets: make(map[string][]byte), ended: func(chat.UserID, string) {},
		links: make(map[chat.UserID]*Link), addresses: make(map[string]*address), met: make(map[chat.UserID]address), linked: func() {},
	}
	if a.HasChats == nil {
		a.HasChats = func(string) bool { return false }
	}
	if err := o.Store.EachAccount(a.load); err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	if a.secret != nil {
		return a, nil
	}
	a.secret = make([]byte, 32)
	_, _ = rand.Read(a.secret) // it never fails
	return a, a.put(context.Background(), keySecret, a.secret)
}

func (a *Accounts) load(key string, value []byte) {
	kind, name, _ := strings.Cut(key, "/")
	var err error
	switch kind + "/" {
	case keySecret + "/":
		a.secret = value
	case keySessions:
		s := &Session{}
		if err = json.Unmarshal(value, s); err == nil && s.ID == name {
			a.sessions[name] = s
		}
	case keyKeySets:
		a.keySets[name] = value
	case keyLinks:
		l := &Link{}
		if err = json.Unmarshal(value, l); err == nil {
			a.links[l.ID] = l
		}
	case keyAddresses:
		kept := &address{}
		if err = json.Unmarshal(value, kept); err == nil {
			a.addresses[kept.Text] = kept
		}
	case keyUsers:
		u := &LocalUser{}
		if err = json.Unmarshal(value, u); err == nil {
			a.users[u.ID] = u
		}
	case keyKeys:
		k := &APIKey{}
		if err = json.Unmarshal(value, k); err == nil {
			a.keys[k.ID] = k
		}
	}
	if err != nil {
		a.Logger.Error("what is known of a sign-in cannot be read", "kind", kind, "err", err)
	}
}

// keySet returns the public keys that were kept of a URL, nil if there are none.
func (a *Accounts) keySet(url string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keySets[digest(url)]
}

// keepKeySet keeps the public keys of a URL, unless they are the same as before.
func (a *Accounts) keepKeySet(url string, text []byte) {
	name := digest(url)
	a.mu.Lock()
	same := bytes.Equal(a.keySets[name], text)
	a.keySets[name] = text
	a.mu.Unlock()
	if !same && len(text) <= maxKeptKeys {
		a.Store.PutAccount(keyKeySets+name, text, func(error) {}) // the provider has them too
	}
}

// maxKeptKeys is how long a value may be that the store keeps, in bytes.
const maxKeptKeys = 64 << 10

// put writes a value, and waits until it is on the disk.
func (a *Accounts) put(ctx context.Context, key string, value any) error {
	text, raw := value.([]byte)
	if !raw {
		var err error
		if text, err = json.Marshal(value); err != nil {
			return err
		}
	}
	return durable.Wait(ctx, func(done func(error)) { a.Store.PutAccount(key, text, done) })
}

func (a *Accounts) remove(ctx context.Context, key string) error {
	return durable.Wait(ctx, func(done func(error)) { a.Store.DeleteAccount(key, done) })
}

// digest returns what is kept of a secret that is long and random.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
