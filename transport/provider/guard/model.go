package guard

import (
	"sync"
	"sync/atomic"

	"parlor/protocol/chat"
)

// A model is what a guard knows of one model of its provider. One that is slow
// is left alone without the others, and those who ask one that is busy take
// turns.
type model struct {
	id      chat.ModelID
	breaker breaker // counts timeouts before the first word, and nothing else
	line    *line

	inFlight atomic.Int64 // requests that are made
	users    int          // that are made or will be; guarded by models.mu
}

// models are those that are asked, or that the guard has reason to remember.
type models struct {
	opts *Options

	mu   sync.Mutex
	byID map[chat.ModelID]*model
}

// maxRemembered is how many models are kept that nobody asks. Anybody may name
// a model, so there must be a limit.
const maxRemembered = 100

// use returns a model, which the caller then releases.
func (m *models) use(id chat.ModelID) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.byID[id]
	if one == nil {
		one = &model{id: id, breaker: newBreaker(m.opts), line: newLine()}
		m.byID[id] = one
	}
	one.users++
	return one
}

// release forgets a model that nobody asks any more and of which nothing bad is
// known. Past maxRemembered it forgets any that nobody asks.
func (m *models) release(one *model) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one.users--
	if one.users == 0 && (one.breaker.blameless() || len(m.byID) > maxRemembered) {
		delete(m.byID, one.id)
	}
}

// find returns a model that the guard knows, or nil.
func (m *models) find(id chat.ModelID) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID[id]
}
