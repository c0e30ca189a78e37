package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// refreshGrace is how long the refresh token before the newest is still good: several
// tabs may refresh at once, and all but one come with the one before.
const refreshGrace = time.Minute

// Limits of what is kept of a browser, in bytes.
const (
	maxAgentLen   = 256
	maxAddressLen = 64
)

// A Session is a browser in which somebody has signed in. It ends when it was not
// refreshed for long, when its user signs out, or when it is revoked.
type Session struct {
	ID      string    `json:"session_id"` // people see it. It is not the secret in the cookie
	User    chat.User `json:"user"`
	Admin   bool      `json:"admin,omitempty"` // said who vouched for the user at sign-in
	Secret  string    `json:"secret"`          // the digest of that of the cookie
	Created time.Time `json:"created_at"`
	Seen    time.Time `json:"last_seen_at"` // when it was refreshed last
	Expires time.Time `json:"expires_at"`
	Address string    `json:"address,omitempty"`
	Agent   string    `json:"user_agent,omitempty"`
	Refresh int       `json:"refresh"` // the number of the newest refresh token
	Outside outside   `json:"outside,omitzero"`

	// Only is the room of a guest, and Until when the session ends however often it is
	// refreshed, if that is not zero.
	Only  chat.RoomID `json:"only,omitempty"`
	Until time.Time   `json:"until,omitzero"`
}

// outside is a session as the identity provider knows it whose user has signed in.
type outside struct {
	Subject string `json:"sub,omitempty"`
	Session string `json:"sid,omitempty"`
}

// within reports whether the provider means o when it ends ended.
func (o outside) within(ended outside) bool {
	return (ended.Session == "" || ended.Session == o.Session) && (ended.Subject == "" || ended.Subject == o.Subject)
}

func (s *Session) key() string { return keySessions + s.ID }

// signIn is what the session proves. The session as it is now decides for how long.
func (s *Session) signIn() chat.SignIn {
	u := s.User
	u.Admin, u.Only = s.Admin, s.Only
	return chat.SignIn{User: u, Expires: s.Expires, Session: s.ID}
}

// ends is when a session ends that is refreshed now.
func (a *Accounts) ends(until time.Time) time.Time {
	if at := a.Now().Add(a.SessionTTL); until.IsZero() || at.Before(until) {
		return at
	}
	return until
}

// begin makes a session, and returns it with the secret for its cookie. Of too many
// sessions of one user the oldest ends.
func (a *Accounts) begin(ctx context.Context, u chat.User, from outside, until time.Time, remote, agent string) (s Session, secret string, err error) {
	a.sweep(ctx)
	now := a.Now()
	secret = rand.Text()
	s = Session{
		ID: strings.ToLower(rand.Text()[:16]), User: u, Admin: u.Admin, Secret: digest(secret), Created: now, Seen: now,
		Expires: a.ends(until), Only: u.Only, Until: until, Address: atMost(remote, maxAddressLen), Agent: cut(printable(agent), maxAgentLen), Outside: from,
	}
	person := a.Person(u.ID)
	for _, old := range a.surplus(person) {
		if err := a.Revoke(ctx, person, old); err != nil {
			return s, "", err
		}
	}
	if err := a.put(ctx, s.key(), &s); err != nil {
		return s, "", err
	}
	kept := s
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[s.ID] = &kept
	return s, secret, nil
}

// surplus returns the oldest sessions of a user, which have to end before another begins.
func (a *Accounts) surplus(u chat.UserID) (ids []string) {
	own := a.Sessions(u)
	for len(own) >= a.MaxSignIns {
		ids = append(ids, own[len(own)-1].ID)
		own = own[:len(own)-1]
	}
	return ids
}

// Sessions returns those of a person, whatever they signed in as, the last used first.
func (a *Accounts) Sessions(u chat.UserID) (own []Session) {
	now := a.Now()
	a.mu.Lock()
	for _, s := range a.sessions {
		if a.person(s.User.ID) == u && now.Before(s.Expires) {
			own = append(own, *s)
		}
	}
	a.mu.Unlock()
	slices.SortFunc(own, func(a, b Session) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return own
}

// session returns a session that has not ended.
func (a *Accounts) session(id string) (Session, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[id]
	if !ok || !a.Now().Before(s.Expires) {
		return Session{}, false
	}
	return *s, true
}

// opens reports whether secret is that of the session's cookie.
func (s *Session) opens(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Secret), []byte(digest(secret))) == 1
}

// mayRefresh reports whether a refresh token of that number is good. One that is older
// than the one before was used already: somebody has a copy.
func (s *Session) mayRefresh(number int, now time.Time) bool {
	return number == s.Refresh || number == s.Refresh-1 && now.Before(s.Seen.Add(refreshGrace))
}

// refresh dates a session anew. It reports false if the session has ended, or the
// refresh token is not good. A token that was used before ends the session.
func (a *Accounts) refresh(ctx context.Context, id string, number int) (Session, bool, error) {
	now := a.Now()
	a.mu.Lock()
	kept, ok := a.sessions[id]
	if !ok || !now.Before(kept.Expires) {
		a.mu.Unlock()
		return Session{}, false, nil
	}
	if !kept.mayRefresh(number, now) {
		user := kept.User.ID
		a.mu.Unlock()
		a.Logger.Warn("a refresh token was used twice, so its session was ended", "user", user, "session", id)
		return Session{}, false, a.Revoke(ctx, user, id)
	}
	if number == kept.Refresh {
		kept.Refresh++
		kept.Seen = now
	}
	kept.Expires = a.ends(kept.Until)
	s := *kept
	a.mu.Unlock()
	err := a.put(ctx, s.key(), &s)
	if err != nil {
		a.takeBack(s, number)
	}
	return s, true, err
}

// takeBack makes the refresh token of that number the newest again, after one was made that
// nobody will get.
func (a *Accounts) takeBack(s Session, number int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, ok := a.sessions[s.ID]; ok && kept.Refresh == s.Refresh {
		kept.Refresh = number
	}
}

// Revoke ends a session of the user. Whoever is connected with it is cut off, also if
// the disk refuses: then the session may come back with the next start.
func (a *Accounts) Revoke(ctx context.Context, u chat.UserID, id string) error {
	a.mu.Lock()
	s, ok := a.sessions[id]
	if ok = ok && a.person(s.User.ID) == a.person(u); ok {
		delete(a.sessions, id)
	}
	a.mu.Unlock()
	if !ok {
		return chat.Refuse(chat.CodeNotFound, "there is no such session")
	}
	a.ended(a.Person(u), id)
	return a.remove(ctx, keySessions+id)
}

// revokeOutside ends the sessions that the identity provider has ended.
func (a *Accounts) revokeOutside(ctx context.Context, ended outside) error {
	var meant []Session
	a.mu.Lock()
	for _, s := range a.sessions {
		if s.Outside != (outside{}) && s.Outside.within(ended) {
			meant = append(meant, *s)
		}
	}
	a.mu.Unlock()
	for _, s := range meant {
		if err := a.Revoke(ctx, s.User.ID, s.ID); err != nil && chat.AsError(err).Code != chat.CodeNotFound {
			return err
		}
	}
	return nil
}

// RevokeAll ends all sessions of the user but the one that is kept.
func (a *Accounts) RevokeAll(ctx context.Context, u chat.UserID, kept string) error {
	for _, s := range a.Sessions(u) {
		if s.ID == kept {
			continue
		}
		if err := a.Revoke(ctx, u, s.ID); err != nil && chat.AsError(err).Code != chat.CodeNotFound {
			return err
		}
	}
	return nil
}

// sweep forgets expired sessions, now and then.
func (a *Accounts) sweep(ctx context.Context) {
	const pause = time.Hour
	now := a.Now()
	var expired []string
	a.mu.Lock()
	if now.Sub(a.swept) >= pause {
		a.swept = now
		for id, s := range a.sessions {
			if !now.Before(s.Expires) {
				delete(a.sessions, id)
				expired = append(expired, id)
			}
		}
	}
	a.mu.Unlock()
	for _, id := range expired {
		a.Store.DeleteAccount(keySessions+id, func(error) {}) // otherwise the next sweep after a start does it
	}
}
