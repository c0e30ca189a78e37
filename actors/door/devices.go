package door

import (
	"strings"
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

// Find returns how many connections each user has whose id contains a text in lower case, of
// at most limit users.
func (d *Devices) Find(text string, limit int) map[chat.UserID]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := make(map[chat.UserID]int)
	for u, n := range d.of {
		if len(found) < limit && strings.Contains(strings.ToLower(string(u)), text) {
			found[u] = n
		}
	}
	return found
}

// Of returns how many connections a user has.
func (d *Devices) Of(u chat.UserID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[u]
}
