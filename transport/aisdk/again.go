package aisdk

import (
	"sync"
	"time"

	"parlor/protocol/chat"
)

// againWithin is how soon a second wish for another answer that names none is taken for a
// repetition of the first. A browser repeats a request by itself, and nothing in that tells
// it from another press of the button. Clients of Socket.IO have the same time.
const againWithin = 5 * time.Second

// A wish is what somebody wants another answer to.
type wish struct {
	user   chat.UserID
	chat   chat.ID
	prompt chat.MessageID
}

// wishes are those of late, with the turns that fulfil them. The zero value is ready to use,
// from any goroutine.
type wishes struct {
	mu   sync.Mutex
	list map[wish]granted
}

type granted struct {
	turn chat.TurnID
	at   time.Time
}

// find returns the turn of a wish of late.
func (l *wishes) find(w wish) (chat.TurnID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep()
	g, ok := l.list[w]
	return g.turn, ok
}

// add notes the turn of a wish.
func (l *wishes) add(w wish, turn chat.TurnID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep()
	if l.list == nil {
		l.list = make(map[wish]granted)
	}
	l.list[w] = granted{turn, time.Now()}
}

// sweep forgets what was long ago. There are never more than could be asked for meanwhile.
func (l *wishes) sweep() {
	for w, g := range l.list {
		if time.Since(g.at) >= againWithin {
			delete(l.list, w)
		}
	}
}
