package recovery

import (
	"iter"
	"sync"

	"parlor/persistence"
)

// Memory is a [Store] that ends with the process. Its methods may be called from
// any goroutine; make one with [NewMemory].
type Memory struct {
	epoch string

	mu    sync.Mutex
	seats map[string][]byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{epoch: NewID(), seats: make(map[string][]byte)} }

// Epoch implements [Store].
func (m *Memory) Epoch() string { return m.epoch }

// PutSession implements [Store].
func (m *Memory) PutSession(key string, value []byte, done func(error)) {
	m.mu.Lock()
	m.seats[key] = value
	m.mu.Unlock()
	done(nil)
}

// DeleteSessions implements [Store].
func (m *Memory) DeleteSessions(keys []string, done func(error)) {
	m.mu.Lock()
	for _, key := range keys {
		delete(m.seats, key)
	}
	m.mu.Unlock()
	done(nil)
}

// Session implements [Store].
func (m *Memory) Session(key string) (value []byte, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok = m.seats[key]
	return value, ok, nil
}

// Sessions implements [Store]. It yields nothing: no seat outlives the process.
func (m *Memory) Sessions() iter.Seq2[persistence.Session, error] {
	return func(func(persistence.Session, error) bool) {}
}
