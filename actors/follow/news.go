package follow

import (
	"sync"

	"parlor/protocol/chat"
)

// news are what a user is to be told of: the latest of each chat. It is a room.Watcher.
type news struct {
	filled chan struct{}

	mu     sync.Mutex
	latest map[chat.ID]chat.Activity
}

func newNews() *news {
	return &news{filled: make(chan struct{}, 1), latest: make(map[chat.ID]chat.Activity)}
}

// Tell implements room.Watcher.
func (n *news) Tell(a chat.Activity) {
	n.mu.Lock()
	n.latest[a.Chat] = a
	n.mu.Unlock()
	n.wake()
}

func (n *news) wake() {
	select {
	case n.filled <- struct{}{}:
	default:
	}
}

func (n *news) take() map[chat.ID]chat.Activity {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.latest
	n.latest = make(map[chat.ID]chat.Activity)
	return taken
}
