package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// A share is the window that the connections of one user have together. Without it a
// user with many connections would have many windows, and what waits in them would wait
// in front of the commands of others.
//
// Besides, each connection has one place of its own. Events wait for a client that does not
// read, with the places that they have: a tab that sleeps must not stop the user's others.
type share struct {
	user   string
	places chan struct{} // one element for each event that is not done
	ports  int
}

// shares are those of all users with a connection that has sent an event.
type shares struct {
	size int // of one share; 0 for no shares

	mu    sync.Mutex
	users map[string]*share
}

func (s *shares) join(user string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.users[user]
	if of == nil {
		of = &share{user: user, places: make(chan struct{}, s.size)}
		s.users[user] = of
	}
	of.ports++
	return of
}

func (s *shares) leave(of *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of.ports--; of.ports == 0 {
		delete(s.users, of.user)
	}
}

// A membership is the part of a connection in the share of its user.
type membership struct {
	shares *shares
	turns  Turns                  // may be nil
	user   atomic.Pointer[string] // nil until it is known

	mu    sync.Mutex
	share *share        // nil until the first event of a known user: many clients do nothing for long
	own   chan struct{} // one element if the connection's own place is taken
	held  int           // places of the share
	begun int           // events that have begun, as turns count them
	ended bool
}

// BelongTo says whose connection this is: the user's connections share a window. The
// first call counts. It may be called while [Namespace.Connect] runs, and later.
func (s *Socket) BelongTo(user string) { s.session.port.membership.user.CompareAndSwap(nil, &user) }

// begin begins an event, if the user is known, and returns how long it has to wait for
// the user's turn.
func (m *membership) begin(bytes int) time.Duration {
	user := m.user.Load()
	if user == nil || m.turns == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return 0
	}
	m.begun++
	return m.turns.Begin(*user, bytes)
}

// connectBytes is how many bytes of events cost others as much as a new connection, which
// a client may cut at once and open again.
const connectBytes = 5 << 10

// connect counts that the client has entered a namespace. The user's next event waits
// for that.
func (m *membership) connect() {
	if user := m.user.Load(); user != nil && m.turns != nil {
		m.turns.Charge(*user, connectBytes)
	}
}

// finish ends an event that has begun.
func (m *membership) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun > 0 {
		m.begun--
		m.turns.End(*m.user.Load())
	}
}

// take waits for a place in the window of the user, if the user is known. It reports
// false if the session has ended.
func (m *membership) take(ended <-chan struct{}) bool {
	user := m.user.Load()
	if user == nil || m.shares.size == 0 {
		return true
	}
	of := m.join(*user)
	if of == nil {
		return false
	}
	select {
	case m.own <- struct{}{}:
		return true
	default:
	}
	select {
	case m.own <- struct{}{}:
		return true
	case of.places <- struct{}{}:
	case <-ended:
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		<-of.places
		return false
	}
	m.held++
	return true
}

// join returns the share of the user, or nil if the session has ended.
func (m *membership) join(user string) *share {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return nil
	}
	if m.share == nil {
		m.share, m.own = m.shares.join(user), make(chan struct{}, 1)
	}
	return m.share
}

// free ends an event and gives back its place, if there is one: events from before the
// user was known have none.
func (m *membership) free() {
	m.finish()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held > 0 {
		m.held--
		<-m.share.places
		return
	}
	select {
	case <-m.own:
	default:
	}
}

// end gives back all places.
func (m *membership) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; m.held > 0; m.held-- {
		<-m.share.places
	}
	for ; m.begun > 0; m.begun-- {
		m.turns.End(*m.user.Load())
	}
	if m.ended = true; m.share != nil {
		m.shares.leave(m.share)
	}
}
