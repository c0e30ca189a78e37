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
	n  int // sum of these
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
	d.n++
	return true
}

// Remove uncounts a connection.
func (d *Devices) Remove(u chat.UserID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n--
	if d.of[u]--; d.of[u] <= 0 {
		delete(d.of, u)
	}
}

// Count returns the connections of all users, and how many users have one.
func (d *Devices) Count() (connections, users int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n, len(d.of)
}

func (d *Devices) count(u chat.UserID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[u]
}
