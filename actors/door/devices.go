package door

import (
	"sync"

	"parlor/protocol/chat"
)

// Devices counts the connections of each user. The zero value is ready to use, from any
// goroutine.
type Devices struct {
	mu sync.Mutex
	of map[chat.UserID]int
}

// Add counts a connection, unless the user has limit of them. A limit of 0 is none.
func (d *Devices) Add(u chat.UserID, limit int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limit > 0 && d.of[u] >= limit {
		return false
	}
	if d.of == nil {
		d.of = make(map[chat.UserID]int)
	}
	d.of[u]++
	return true
}

// Remove uncounts a connection.
func (d *Devices) Remove(u chat.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[u]--; d.of[u] <= 0 {
		delete(d.of, u)
	}
}

func (d *Devices) count(u chat.UserID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[u]
}
