package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// A Command of an operator changes who may sign in.
type Command struct {
	Action   string        `json:"action"` // such as "user add"
	User     chat.UserID   `json:"user_id,omitempty"`
	Name     string        `json:"name,omitempty"`
	Email    string        `json:"email,omitempty"`
	Password string        `json:"password,omitempty"` // empty: one is made up
	Admin    bool          `json:"admin,omitempty"`
	Scope    string        `json:"scope,omitempty"`
	TTL      time.Duration `json:"ttl,omitempty"` // zero: for ever
	Key      string        `json:"key_id,omitempty"`
	Person   chat.UserID   `json:"person,omitempty"` // whose identity User is to be
}

// A Result is what a [Command] has done.
type Result struct {
	Secret string      `json:"secret,omitempty"` // a password or a key that was made up, told this once
	Users  []LocalUser `json:"users,omitempty"`
	Keys   []APIKey    `json:"keys,omitempty"`
	Links  []Link      `json:"links,omitempty"`
}

// Do carries out a command.
func (a *Accounts) Do(ctx context.Context, c Command) (Result, error) {
	switch c.Action {
	case "user add":
		return a.addUser(ctx, c)
	case "user passwd":
		return a.setPassword(ctx, c)
	case "user disable", "user enable":
		return Result{}, a.disable(ctx, c.User, c.Action == "user disable")
	case "user list":
		users := a.allUsers()
		for i := range users {
			users[i].Hash = strings.Repeat("*", min(1, len(users[i].Hash)))
		}
		return Result{Users: users}, nil
	case "user link":
		return Result{}, linker{a}.link(ctx, c.User, c.Person)
	case "user unlink":
		return Result{}, linker{a}.unlink(ctx, c.User)
	case "user links":
		return Result{Links: a.Links()}, nil
	case "key add":
		return a.newKey(ctx, c)
	case "key list":
		keys := a.allKeys()
		for i := range keys {
			keys[i].Digest = ""
		}
		return Result{Keys: keys}, nil
	case "key revoke":
		return Result{}, a.revokeKey(ctx, c.Key)
	}
	return Result{}, fmt.Errorf("there is no command %q", c.Action)
}

func (a *Accounts) addUser(ctx context.Context, c Command) (Result, error) {
	u := chat.User{ID: c.User, Name: c.Name, Email: c.Email}
	if fault := UserFault(u); fault != "" {
		return Result{}, errors.New("the user " + fault)
	}
	if a.user(c.User).exists() {
		return Result{}, fmt.Errorf("there is a user %q already", c.User)
	}
	if person := a.Person(c.User); person != c.User {
		return Result{}, fmt.Errorf("%q is linked to %q: unlink it first", c.User, person)
	}
	hash, made, err := newPassword(ctx, c.Password)
	if err != nil {
		return Result{}, err
	}
	return Result{Secret: made}, a.putUser(ctx, LocalUser{ID: c.User, Name: c.Name, Email: c.Email, Hash: hash, Admin: c.Admin, Created: a.Now()})
}

func (u LocalUser) exists() bool { return !u.Created.IsZero() }

// newPassword returns the hash of the password, or of one that it makes up.
func newPassword(ctx context.Context, password string) (hash, made string, err error) {
	if password == "" {
		made = strings.ToLower(rand.Text()[:20])
		password = made
	}
	if fault := passwordFault(password); fault != "" {
		return "", "", errors.New("the password " + fault)
	}
	hash, err = hashPassword(ctx, password)
	return hash, made, err
}

// setPassword signs the user out everywhere: somebody may have known the old one.
func (a *Accounts) setPassword(ctx context.Context, c Command) (Result, error) {
	u := a.user(c.User)
	if !u.exists() {
		return Result{}, fmt.Errorf("there is no user %q", c.User)
	}
	var made string
	var err error
	if u.Hash, made, err = newPassword(ctx, c.Password); err != nil {
		return Result{}, err
	}
	if err := a.putUser(ctx, u); err != nil {
		return Result{}, err
	}
	return Result{Secret: made}, a.RevokeAll(ctx, a.Person(u.ID), "")
}

// disable shuts a person out, in whatever way they sign in, or lets them in again. A user who
// has no password here, but tokens of somebody else, can be disabled too. An identity may
// have been disabled before it was linked.
func (a *Accounts) disable(ctx context.Context, id chat.UserID, disabled bool) error {
	person := a.Person(id)
	if u := a.user(id); person != id && u.Disabled && !disabled {
		u.Disabled = false
		if err := a.putUser(ctx, u); err != nil || !a.user(person).Disabled {
			return err
		}
	}
	u := a.user(person)
	switch fault := id.Fault(); {
	case fault != "":
		return errors.New("the user " + fault)
	case !u.exists() && !disabled:
		return fmt.Errorf("there is no user %q", id)
	case !u.exists():
		u.Created = a.Now()
	}
	u.Disabled = disabled
	if err := a.putUser(ctx, u); err != nil || !disabled {
		return err
	}
	a.ended(person, "")
	return a.RevokeAll(ctx, person, "")
}

func (a *Accounts) newKey(ctx context.Context, c Command) (Result, error) {
	if fault := UserFault(chat.User{ID: c.User, Name: c.Name}); fault != "" {
		return Result{}, errors.New("the user " + fault)
	}
	k := APIKey{User: a.Person(c.User), Scope: c.Scope, Name: c.Name}
	if k.Scope != ScopeRead && k.Scope != ScopeWrite && k.Scope != ScopeEmit {
		return Result{}, errors.New("the scope must be read, write or emit")
	}
	if c.TTL < 0 {
		return Result{}, fmt.Errorf("a key cannot be valid for %v", c.TTL)
	}
	if c.TTL > 0 {
		k.Expires = a.Now().Add(c.TTL)
	}
	text, err := a.addKey(ctx, k)
	return Result{Secret: text}, err
}
