package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Limits of a fetch of keys that cannot be set.
const (
	fetchTimeout = 5 * time.Second
	maxKeysBytes = 1 << 20
)

// remoteKeys are the keys that an identity provider publishes at a URL (JWKS, RFC
// 7517). They are fetched when they are needed first, again when they are old, and
// when a token names a key that is not among them, since providers rotate keys.
//
// While the provider cannot be reached, or says nonsense, the last good keys go on
// being good, also over a restart of this server. Fetches are pause apart, so nobody can make this server ask all the
// time with tokens of made-up keys.
type remoteKeys struct {
	url    string
	client *http.Client
	age    time.Duration // at which keys are fetched again
	pause  time.Duration // between two fetches
	now    func() time.Time
	log    *slog.Logger
	keep   func(text []byte) // for the next start; may be nil

	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time     // the keys
	tried   time.Time     // to fetch keys
	flight  chan struct{} // closed when the fetch that is under way has ended; nil if none is
}

func newRemoteKeys(o Options) *remoteKeys {
	k := &remoteKeys{
		url: o.JWKSURL, client: cmp.Or(o.HTTPClient, &http.Client{CheckRedirect: staySecure}), age: cmp.Or(o.JWKSRefresh, time.Hour), pause: cmp.Or(o.JWKSPause, 10*time.Second),
		now: o.Now, log: o.Logger,
	}
	k.ctx, k.stop = context.WithCancel(context.Background())
	if o.Accounts != nil {
		k.keys, _ = parseJWKS(o.Accounts.keySet(o.JWKSURL)) // none if that is empty
		k.keep = func(text []byte) { o.Accounts.keepKeySet(o.JWKSURL, text) }
	}
	return k
}

// close ends the fetch that is under way, and waits for it.
func (k *remoteKeys) close() {
	k.mu.Lock()
	k.stop()
	k.mu.Unlock()
	k.tasks.Wait()
}

// find returns the keys that a token with this header may be signed with. It waits for
// a fetch if there are none and a fetch may bring some, and for the first one: the keys of
// an earlier start count only while the provider cannot be reached.
func (k *remoteKeys) find(kid, alg string) []jwt.VerificationKey {
	k.mu.Lock()
	found := k.match(kid, alg)
	if len(found) == 0 || k.now().Sub(k.fetched) >= k.age {
		k.fetch()
	}
	flight, asked := k.flight, !k.fetched.IsZero()
	k.mu.Unlock()
	if len(found) > 0 && asked || flight == nil {
		return found
	}
	<-flight
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.match(kid, alg)
}

// match returns the keys that fit. A token that names no key may be signed with any.
// A key may be for one algorithm only. The lock must be held.
func (k *remoteKeys) match(kid, alg string) (found []jwt.VerificationKey) {
	for _, key := range k.keys {
		if (kid == "" || key.KeyID == kid) && (key.Algorithm == "" || key.Algorithm == alg) && fits(key.Key, alg) {
			found = append(found, key.Key)
		}
	}
	return found
}

// fetch starts a fetch, unless one is under way or was a moment ago. The lock must be
// held.
func (k *remoteKeys) fetch() {
	now := k.now()
	if k.flight != nil || k.ctx.Err() != nil || !k.tried.IsZero() && now.Sub(k.tried) < k.pause {
		return
	}
	k.tried, k.flight = now, make(chan struct{})
	k.tasks.Go(func() {
		keys, text, err := k.read()
		if err == nil && k.keep != nil {
			k.keep(text)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if err == nil {
			k.keys, k.fetched = keys, now
		} else if k.ctx.Err() == nil {
			k.log.Error("the keys at jwt-jwks-url cannot be fetched, so the ones from before go on", "known", len(k.keys), "err", err)
		}
		close(k.flight)
		k.flight = nil
	})
}

// read asks the provider. An answer without a key that tokens can be verified with is
// an error: it would lock everybody out.
func (k *remoteKeys) read() (keys []jose.JSONWebKey, text []byte, err error) {
	ctx, cancel := context.WithTimeout(k.ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, nil, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers with status %d", k.url, response.StatusCode)
	}
	text, err = io.ReadAll(io.LimitReader(response.Body, maxKeysBytes))
	if err != nil {
		return nil, nil, err
	}
	keys, err = parseJWKS(text)
	return keys, text, err
}

// parseJWKS leaves out keys of unknown kinds, secrets among them, and those that are
// not for signatures.
func parseJWKS(text []byte) (keys []jose.JSONWebKey, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("is not a set of keys (JWKS): %w", err)
	}
	for _, one := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) != nil || key.Use == "enc" || !key.IsPublic() || usable(key.Key) != nil {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("has no public key for signatures")
	}
	return keys, nil
}

// CheckKeysURL returns an error unless keys that come from the URL can be trusted:
// whoever can change them on their way can sign in as anybody.
func CheckKeysURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("is not an absolute https URL without user and fragment")
	case u.Scheme == "https", u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return errors.New("must begin with https://, unless it is on this computer")
}

func staySecure(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	return CheckKeysURL(r.URL.String())
}
