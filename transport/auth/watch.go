package auth

import (
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// watches are the sign-ins of those who are connected.
type watches struct {
	mu     sync.Mutex
	byUser map[chat.UserID][]*watch
}

// A watch waits for the end of one sign-in.
type watch struct {
	in    chat.SignIn
	timer *time.Timer // nil: it does not expire
	ended func()
}

// Watch calls ended, on a goroutine of its own, when the sign-in expires or is revoked.
// It calls it at most once, and not after stop was called, unless it is being called.
func (v *Verifier) Watch(in chat.SignIn, ended func()) (stop func()) {
	if v.Development() {
		return func() {}
	}
	w := &watch{in: in, ended: ended}
	v.watches.mu.Lock()
	defer v.watches.mu.Unlock()
	if v.watches.byUser == nil {
		v.watches.byUser = make(map[chat.UserID][]*watch)
	}
	v.watches.byUser[in.ID] = append(v.watches.byUser[in.ID], w)
	_, live := v.current(in)
	switch {
	case !live: // it was revoked a moment ago
		w.timer = time.AfterFunc(0, func() { v.watches.end(w) })
	case !in.Expires.IsZero():
		w.timer = time.AfterFunc(in.Expires.Sub(v.now()), func() { v.expired(w) })
	}
	return func() { v.watches.remove(w) }
}

// current returns until when a sign-in is good as things are now: a session is good
// longer each time it is refreshed. It reports false if the session has ended.
func (v *Verifier) current(in chat.SignIn) (expires time.Time, live bool) {
	switch {
	case v.accounts != nil && (v.accounts.user(in.ID).Disabled || v.accounts.Person(in.ID) != in.ID):
		return in.Expires, false
	case in.Session == "":
		return in.Expires, true
	}
	if id, ok := strings.CutPrefix(in.Session, keyKeys); ok {
		k, live := v.accounts.liveKey(id)
		return k.Expires, live
	}
	s, live := v.accounts.session(in.Session)
	return s.Expires, live
}

// Live reports whether a sign-in is good now: its session or key, and its user.
func (v *Verifier) Live(in chat.SignIn) bool {
	if v.Development() {
		return true
	}
	expires, live := v.current(in)
	return live && (expires.IsZero() || v.now().Before(expires))
}

// expired ends a watch, unless its session has been refreshed meanwhile.
func (v *Verifier) expired(w *watch) {
	expires, live := v.current(w.in)
	if left := expires.Sub(v.now()); live && left > 0 {
		v.watches.again(w, left)
		return
	}
	v.watches.end(w)
}

// again waits for a later end.
func (s *watches) again(w *watch, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.byUser[w.in.ID], w) {
		w.timer.Reset(left)
	}
}

// endSession ends the watches of a session that was revoked, or all of a user if none is
// named.
func (s *watches) endSession(u chat.UserID, session string) {
	s.mu.Lock()
	all := slices.Clone(s.byUser[u])
	s.mu.Unlock()
	for _, w := range all {
		if w.in.Session == session || session == "" {
			go s.end(w)
		}
	}
}

// end ends a watch that has not been stopped.
func (s *watches) end(w *watch) {
	if s.remove(w) {
		w.ended()
	}
}

// remove reports whether the watch was still there.
func (s *watches) remove(w *watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.byUser[w.in.ID]
	i := slices.Index(all, w)
	if i < 0 {
		return false
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	if all = slices.Delete(all, i, i+1); len(all) == 0 {
		delete(s.byUser, w.in.ID)
	} else {
		s.byUser[w.in.ID] = all
	}
	return true
}
