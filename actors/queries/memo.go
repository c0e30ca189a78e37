package queries

import (
	"sync"

	"parlor/protocol/chat"
)

// Limits of what a [memo] remembers: of how many chats, and how many things in all.
const (
	maxNoted  = 1024
	maxThings = 1 << 18
)

// A memo remembers of chats what can be read again, at a cost. The zero value is empty.
// Its methods may be called from any goroutine.
type memo[T any] struct {
	mu     sync.Mutex
	things int // in all chats
	chats  map[chat.RoomID]noted[T]
}

type noted[T any] struct {
	epoch string // of the chat: another one may have taken its place
	what  T

	things int // that what consists of
}

func (m *memo[T]) of(info chat.Info) (what T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.chats[info.Room]; ok && known.epoch == info.Epoch {
		return known.what, true
	}
	return what, false
}

// keep remembers what is known of a chat, which consists of so many things. If there is
// too much, it forgets any other chats.
func (m *memo[T]) keep(info chat.Info, what T, things int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.chats == nil {
		m.chats = make(map[chat.RoomID]noted[T])
	}
	m.forget(info.Room)
	for other := range m.chats {
		if len(m.chats) < maxNoted && m.things+things <= maxThings {
			break
		}
		m.forget(other)
	}
	m.things += things
	m.chats[info.Room] = noted[T]{info.Epoch, what, things}
}

func (m *memo[T]) forget(id chat.RoomID) {
	m.things -= m.chats[id].things
	delete(m.chats, id)
}
