package rooms

import (
	"sync"

	"parlor/protocol/chat"
)

// maxNoted is how many chats a [memo] remembers something of.
const maxNoted = 1024

// A memo remembers of chats what can be read again, at a cost. The zero value is empty.
// Its methods may be called from any goroutine.
type memo[T any] struct {
	mu    sync.Mutex
	chats map[chat.RoomID]noted[T]
}

type noted[T any] struct {
	epoch string // of the chat: another one may have taken its place
	what  T
}

func (m *memo[T]) of(info chat.Info) (what T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.chats[info.Room]; ok && known.epoch == info.Epoch {
		return known.what, true
	}
	return what, false
}

// keep remembers what is known of a chat. If there are too many chats, it forgets any
// other.
func (m *memo[T]) keep(info chat.Info, what T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.chats == nil {
		m.chats = make(map[chat.RoomID]noted[T])
	}
	if _, replaces := m.chats[info.Room]; !replaces && len(m.chats) >= maxNoted {
		for other := range m.chats {
			delete(m.chats, other)
			break
		}
	}
	m.chats[info.Room] = noted[T]{info.Epoch, what}
}
