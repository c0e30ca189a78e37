package guard

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// A model is what a guard knows of one model of its provider. One that fails
// is left alone without the others, and those who ask one that is busy take
// turns.
type model struct {
	id      chat.ModelID
	breaker breaker // counts what is the fault of this model alone
	line    *line

	inFlight atomic.Int64 // requests that are made
	users    int          // that are made or will be; guarded by models.mu
}

// well is the model that has answered last, unless it has failed since.
type well struct {
	mu sync.Mutex
	id chat.ModelID
	at time.Time
}

// blame returns the verdict on a request. While another model of the provider answers, a
// model that fails is at fault itself: anybody may ask for one that is broken, and must not
// close the provider to the others. A provider that is out of reach is at fault in any case.
func (w *well) blame(v verdict, err error, id chat.ModelID, span time.Duration) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, _ := errors.AsType[*upstream.Failure](err)
	switch {
	case err == nil:
		w.id, w.at = id, time.Now()
	case v == bad && w.id == id:
		w.id = ""
	case v == bad && w.id != "" && time.Since(w.at) <= span && !f.Unanswered:
		return fault
	}
	return v
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
