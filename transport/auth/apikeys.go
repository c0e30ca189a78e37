package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// keyPrefix begins every API key: people and scanners for leaked secrets know it by that.
const keyPrefix = "pk_"

// The scopes of an API key.
const (
	ScopeRead  = "read"
	ScopeWrite = "write" // and read
	ScopeEmit  = "emit"  // neither: send events to clients
)

// An APIKey lets a program act as a user. Its text is pk_ID_SECRET, of which only a digest
// is kept.
type APIKey struct {
	ID      string      `json:"key_id"`
	User    chat.UserID `json:"user_id"`
	Scope   string      `json:"scope"`
	Name    string      `json:"name,omitempty"` // what it is for
	Digest  string      `json:"digest"`
	Created time.Time   `json:"created_at"`
	Expires time.Time   `json:"expires_at,omitzero"` // zero: never
}

func (k *APIKey) key() string { return keyKeys + k.ID }

// addKey makes a key, and returns its text.
func (a *Accounts) addKey(ctx context.Context, k APIKey) (text string, err error) {
	k.ID, k.Created = strings.ToLower(rand.Text()[:12]), a.Now()
	text = keyPrefix + k.ID + "_" + rand.Text()
	k.Digest = digest(text)
	if err := a.put(ctx, k.key(), &k); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[k.ID] = &k
	return text, nil
}

// liveKey returns a key that is neither revoked nor expired.
func (a *Accounts) liveKey(id string) (APIKey, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.keys[id]
	if !ok || !k.Expires.IsZero() && !a.Now().Before(k.Expires) {
		return APIKey{}, false
	}
	return *k, true
}

func (a *Accounts) allKeys() []APIKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []APIKey
	for _, k := range a.keys {
		of := *k
		of.User = a.person(k.User)
		all = append(all, of)
	}
	slices.SortFunc(all, func(a, b APIKey) int { return a.Created.Compare(b.Created) })
	return all
}

// revokeKey ends a key, and cuts off whoever is connected with it.
func (a *Accounts) revokeKey(ctx context.Context, id string) error {
	a.mu.Lock()
	k, ok := a.keys[id]
	delete(a.keys, id)
	a.mu.Unlock()
	if !ok {
		return chat.Refuse(chat.CodeNotFound, "there is no such key")
	}
	a.ended(a.Person(k.User), k.key())
	return a.remove(ctx, k.key())
}

// verifyKey returns what an API key proves.
func (v *Verifier) verifyKey(where, text string) (chat.SignIn, error) {
	if v.accounts == nil {
		return chat.SignIn{}, refuse(where, "API keys are known to the running server only")
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(text, keyPrefix), "_")
	k, ok := v.accounts.liveKey(id)
	if !ok || subtle.ConstantTimeCompare([]byte(k.Digest), []byte(digest(text))) != 1 {
		return chat.SignIn{}, refuse(where, "there is no such API key, or it was revoked or has expired")
	}
	known := v.accounts.user(k.User)
	in := chat.SignIn{
		User:    chat.User{ID: k.User, Name: known.Name, Email: known.Email},
		Expires: k.Expires, Session: k.key(), ReadOnly: k.Scope != ScopeWrite, EmitOnly: k.Scope == ScopeEmit,
	}
	return v.asKnown(where, in)
}
