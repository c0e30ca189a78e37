// Package push tells people who have left what they waited for, by Web Push (RFC 8030).
//
//	browser → POST /push/subscriptions → Service → Store
//	Notify → the subscriptions of the user → queue → encrypted, signed (VAPID) → push service
//
// # Subscriptions
//
// A subscription belongs to the sign-in that it was made with, and goes with it: when the
// session or key is revoked or the user is disabled, and when the push service says that it is gone
// (404, 410). It holds an address that somebody else has named, so only https to
// public addresses is used: see package outbound.
package push

import (
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/SherClockHolmes/webpush-go"

	"parlor/protocol/chat"
	"parlor/transport/durable"
	"parlor/transport/outbound"
)

// SignIns know which sign-ins are good.
type SignIns interface {
	// Watch calls ended, on another goroutine, if the sign-in is revoked before stop is
	// called.
	Watch(in chat.SignIn, ended func()) (stop func())

	// Live reports whether the sign-in is good now.
	Live(in chat.SignIn) bool
}

// Options configure a [Service]. Store, SignIns, Client and Contact have no default.
type Options struct {
	Store   durable.Store
	SignIns SignIns
	Client  *outbound.Client

	Contact    string // whom push services can turn to: mailto:… or https://…
	PrivateKey string // of this server (VAPID), see [ParseKey]. Empty means one that the store keeps
	MaxPerUser int    // subscriptions; the oldest is dropped for one more. Zero means 10
	Logger     *slog.Logger
}

// Where the store has them.
const (
	keyOfVAPID         = "vapid"
	keyOfSubscriptions = "push/"
)

// A subscription is where one browser of a user can be told something.
type subscription struct {
	ID      string      `json:"id"`
	User    chat.UserID `json:"user_id"`
	Session string      `json:"session,omitempty"` // of the sign-in
	Created time.Time   `json:"created_at"`
	webpush.Subscription

	stop func() // watching the sign-in
}

func (s *subscription) signIn() chat.SignIn {
	return chat.SignIn{User: chat.User{ID: s.User}, Session: s.Session}
}

// A Service keeps subscriptions and sends to them. It may be used from any goroutine and
// has to be closed.
type Service struct {
	Options
	public, private string

	mu    sync.Mutex
	all   map[string]*subscription // by ID
	queue chan delivery
	end   context.CancelFunc
	ctx   context.Context
	work  sync.WaitGroup
}

// Limits of what waits to be sent.
const (
	maxQueued = 1000
	senders   = 4
)

// Open reads what the store has, and makes the key if there is none.
func Open(o Options) (*Service, error) {
	o.MaxPerUser, o.Logger = cmp.Or(o.MaxPerUser, 10), cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	s := &Service{Options: o, all: make(map[string]*subscription), queue: make(chan delivery, maxQueued)}
	s.ctx, s.end = context.WithCancel(context.Background())
	if err := s.load(); err != nil {
		s.end()
		return nil, err
	}
	s.mu.Lock()
	for _, sub := range s.all {
		s.watch(sub)
	}
	s.mu.Unlock()
	for range senders {
		s.work.Go(s.run)
	}
	return s, nil
}

// Close ends all sending and waits for that.
func (s *Service) Close() {
	s.end()
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.all {
		sub.stop()
	}
}

func (s *Service) load() error {
	var key []byte
	err := s.Store.EachAccount(func(name string, value []byte) {
		if name == keyOfVAPID {
			key = value
		}
		if len(name) <= len(keyOfSubscriptions) || name[:len(keyOfSubscriptions)] != keyOfSubscriptions {
			return
		}
		sub := &subscription{stop: func() {}}
		if err := json.Unmarshal(value, sub); err != nil {
			s.Logger.Error("a push subscription cannot be read", "err", err)
			return
		}
		s.all[sub.ID] = sub
	})
	if err != nil {
		return fmt.Errorf("read push subscriptions: %w", err)
	}
	if s.PrivateKey != "" {
		key, err = ParseKey(s.PrivateKey)
	} else if key == nil {
		key, err = s.makeKey()
	}
	if err != nil {
		return err
	}
	private, err := ecdh.P256().NewPrivateKey(key)
	if err != nil {
		return fmt.Errorf("the key of push: %w", err)
	}
	s.private, s.public = base64.RawURLEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes())
	return nil
}

// makeKey makes a key and keeps it: with another one all subscriptions would be lost.
func (s *Service) makeKey() ([]byte, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key := private.Bytes()
	return key, durable.Wait(s.ctx, func(done func(error)) { s.Store.PutAccount(keyOfVAPID, key, done) })
}

// ParseKey reads a private key as tools for VAPID print it: 32 bytes in base64url.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		_, err = ecdh.P256().NewPrivateKey(key)
	}
	if err != nil {
		return nil, errors.New("must be a private key of P-256: 32 bytes in base64url, as web-push generate-vapid-keys prints it")
	}
	return key, nil
}

// Key returns the public key that browsers subscribe with.
func (s *Service) Key() string { return s.public }

// watch removes the subscription when its sign-in ends. The caller holds s.mu.
func (s *Service) watch(sub *subscription) {
	sub.stop = s.SignIns.Watch(sub.signIn(), func() { s.remove(sub.ID) })
}

// Subscribe keeps a subscription of a browser that is signed in as in.
func (s *Service) Subscribe(ctx context.Context, in chat.SignIn, w webpush.Subscription) error {
	if fault := faultOf(w); fault != "" {
		return chat.Refuse(chat.CodeInvalid, fault)
	}
	sub := &subscription{ID: idOf(w.Endpoint), User: in.ID, Session: in.Session, Created: time.Now(), Subscription: w, stop: func() {}}
	text, err := json.Marshal(sub)
	if err != nil {
		return err
	}
	if err := durable.Wait(ctx, func(done func(error)) { s.Store.PutAccount(keyOfSubscriptions+sub.ID, text, done) }); err != nil {
		return err
	}
	s.mu.Lock()
	if before := s.all[sub.ID]; before != nil {
		before.stop()
	}
	s.all[sub.ID] = sub
	surplus := s.oldestLocked(sub.User)
	s.watch(sub)
	s.mu.Unlock()
	for _, old := range surplus {
		s.remove(old.ID)
	}
	return nil
}

// oldestLocked returns the subscriptions of a user that are too many.
func (s *Service) oldestLocked(u chat.UserID) []*subscription {
	all := s.ofLocked(u)
	slices.SortFunc(all, func(a, b *subscription) int { return a.Created.Compare(b.Created) })
	return all[:max(0, len(all)-s.MaxPerUser)]
}

func (s *Service) ofLocked(u chat.UserID) (all []*subscription) {
	for _, sub := range s.all {
		if sub.User == u {
			all = append(all, sub)
		}
	}
	return all
}

// Unsubscribe forgets the subscription of the user with that endpoint.
func (s *Service) Unsubscribe(in chat.SignIn, endpoint string) error {
	id := idOf(endpoint)
	s.mu.Lock()
	sub := s.all[id]
	s.mu.Unlock()
	if sub == nil || sub.User != in.ID {
		return chat.Refuse(chat.CodeNotFound, "you have no such subscription")
	}
	s.remove(id)
	return nil
}

func (s *Service) remove(id string) {
	s.mu.Lock()
	sub := s.all[id]
	delete(s.all, id)
	s.mu.Unlock()
	if sub != nil {
		sub.stop()
		s.Store.DeleteAccount(keyOfSubscriptions+id, func(error) {}) // else the push service says again that it is gone
	}
}

// idOf names a subscription. The endpoint is a secret: whoever has it can use it.
func idOf(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const maxEndpointLen = 2048

// faultOf says what is wrong with a subscription, "" if nothing is.
func faultOf(w webpush.Subscription) string {
	u, err := url.Parse(w.Endpoint)
	if err != nil || len(w.Endpoint) > maxEndpointLen || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Sprintf("endpoint must be an https URL of at most %d bytes", maxEndpointLen)
	}
	key, keyErr := decode(w.Keys.P256dh)
	if keyErr == nil {
		_, keyErr = ecdh.P256().NewPublicKey(key)
	}
	secret, err := decode(w.Keys.Auth)
	if keyErr != nil || err != nil || len(secret) != 16 {
		return "keys must have p256dh, a point of P-256, and auth, 16 bytes, both in base64url"
	}
	return ""
}

func decode(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// A handler answers requests of a user whose identity is proved.
type handler = func(w http.ResponseWriter, r *http.Request, in chat.SignIn) error
