package auth

import (
	"slices"
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
	if !in.Expires.IsZero() {
		w.timer = time.AfterFunc(in.Expires.Sub(v.now()), func() { v.watches.end(w) })
	}
	return func() { v.watches.remove(w) }
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
