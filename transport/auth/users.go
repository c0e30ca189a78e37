package auth

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// A LocalUser is what this server itself knows of a user.
type LocalUser struct {
	ID       chat.UserID `json:"user_id"`
	Name     string      `json:"name,omitempty"`
	Email    string      `json:"email,omitempty"`
	Hash     string      `json:"hash,omitempty"` // of the password; empty: there is none
	Admin    bool        `json:"admin,omitempty"`
	Disabled bool        `json:"disabled,omitempty"` // may not sign in, in no way
	Created  time.Time   `json:"created_at"`
}

func (u *LocalUser) key() string { return keyUsers + string(u.ID) }

// user returns what is known of a user; of most that is nothing.
func (a *Accounts) user(id chat.UserID) LocalUser {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u, ok := a.users[id]; ok {
		return *u
	}
	return LocalUser{ID: id}
}

// allUsers returns them by id.
func (a *Accounts) allUsers() []LocalUser {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []LocalUser
	for _, u := range a.users {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b LocalUser) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

// Find returns what this server itself knows of the users whose id, name or address of mail
// contains a text in lower case, by id, at most limit of them. Their hashes are left out.
func (a *Accounts) Find(text string, limit int) (found []LocalUser) {
	for _, u := range a.allUsers() {
		if len(found) < limit && strings.Contains(strings.ToLower(string(u.ID)+"\n"+u.Name+"\n"+u.Email), text) {
			u.Hash = ""
			found = append(found, u)
		}
	}
	return found
}

// User returns what this server itself knows of a user, without the hash.
func (a *Accounts) User(id chat.UserID) LocalUser {
	u := a.user(id)
	u.Hash = ""
	return u
}

func (a *Accounts) putUser(ctx context.Context, u LocalUser) error {
	if err := a.put(ctx, u.key(), &u); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[u.ID] = &u
	return nil
}

// errLogin does not say whether there is such a user.
var errLogin = refuse("password", "the name or the password is wrong")

// login returns the user whose password this is.
func (a *Accounts) login(ctx context.Context, id chat.UserID, password string) (chat.User, error) {
	u := a.user(id)
	hash := u.Hash
	if hash == "" || len(password) > MaxPasswordLen {
		hash = nobody
	}
	same, err := samePassword(ctx, password, hash)
	switch {
	case err != nil:
		return chat.User{}, err
	case !same || u.Hash == "" || u.Disabled:
		return chat.User{}, errLogin
	}
	return chat.User{ID: u.ID, Name: u.Name, Email: u.Email, Admin: u.Admin}, nil
}

// Login signs in a user with a password, and returns the cookies to set. Tries are
// limited for each user and address.
func (v SignIns) Login(r *http.Request, id chat.UserID, password string) ([]*http.Cookie, error) {
	if !v.passwords || v.accounts == nil {
		return nil, chat.Refuse(chat.CodeNotFound, "nobody signs in with a password here")
	}
	if refusal := v.tries.Take(id, r.RemoteAddr); refusal != nil {
		v.failures.add(r.RemoteAddr, refusal)
		return nil, refusal
	}
	u, err := v.accounts.login(r.Context(), id, password)
	if err != nil {
		v.failures.add(r.RemoteAddr, err)
		return nil, err
	}
	return v.Begin(r.Context(), r, u)
}

// asKnown makes a sign-in that of the person whose identity it is, adds what this server
// itself knows of the person, and refuses both if they are disabled.
func (v *Verifier) asKnown(where string, in chat.SignIn) (chat.SignIn, error) {
	if v.accounts != nil {
		u := v.accounts.user(v.accounts.Person(in.ID))
		if u.Disabled || v.accounts.user(in.ID).Disabled {
			return chat.SignIn{}, refuse(where, "the user may not sign in any more")
		}
		if u.ID != in.ID {
			in.ID, in.Name = u.ID, cmp.Or(u.Name, in.Name)
		}
		in.Admin = in.Admin || u.Admin
	}
	in.Admin = in.Admin || v.admins[in.ID]
	return in, nil
}
