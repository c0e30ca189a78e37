package recovery

import "time"

// sweepEvery is how often the seats whose window is over are removed.
const sweepEvery = time.Minute

// run sweeps until the table is closed.
func (t *Table) run() {
	defer close(t.done)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.sweep()
		case <-t.stop:
			return
		}
	}
}

// sweep removes the seats whose window is over.
func (t *Table) sweep() {
	var expired []key
	t.mu.Lock()
	for k, e := range t.seats {
		if t.expired(e) {
			expired = append(expired, k)
			delete(t.seats, k)
		}
	}
	t.mu.Unlock()
	t.remove(expired)
}

// removeAtOnce is how many seats one transaction removes: other writes wait for it.
const removeAtOnce = 1000

// remove deletes seats from the store. If that fails, restore puts them back
// into the table with a window that is over, so that the next sweep tries again.
func (t *Table) remove(keys []key) {
	for len(keys) > 0 {
		n := min(len(keys), removeAtOnce)
		batch := keys[:n]
		keys = keys[n:]
		names := make([]string, n)
		for i, k := range batch {
			names[i] = string(k[:])
		}
		t.o.Store.DeleteSessions(names, func(err error) {
			if err != nil {
				t.restore(batch)
			}
		})
	}
}

func (t *Table) restore(keys []key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		t.seats[k] = entry{}
	}
}
