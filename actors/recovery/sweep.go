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
	var expired []*entry
	t.mu.Lock()
	for _, s := range t.seats.shares {
		for e := s.firstLost(); e != nil && t.expired(e); e = s.firstLost() {
			expired = append(expired, e)
			t.seats.drop(e)
		}
	}
	t.mu.Unlock()
	t.remove(expired)
}

// removeAtOnce is how many seats one transaction removes: other writes wait for it.
const removeAtOnce = 1000

// remove deletes seats from the store. If that fails, restore puts them back
// into the table with a window that is over, so that the next sweep tries again.
func (t *Table) remove(seats []*entry) {
	for len(seats) > 0 {
		n := min(len(seats), removeAtOnce)
		batch := seats[:n]
		seats = seats[n:]
		names := make([]string, n)
		for i, e := range batch {
			names[i] = string(e.key[:])
		}
		t.o.Store.DeleteSessions(names, func(err error) {
			if err != nil {
				t.restore(batch)
			}
		})
	}
}

func (t *Table) restore(seats []*entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range seats {
		if t.seats.byKey[e.key] != nil {
			continue // its owner has saved it again
		}
		restored := t.seats.put(e.key, e.share.user, nil, time.Time{})
		restored.share.lost.MoveToFront(restored.place) // the sweep looks there
	}
}
