package recovery

import "time"

// sweepEvery is how often forgotten sessions leave the disk.
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

// sweep forgets the sessions whose window is over.
func (t *Table) sweep() {
	var expired []key
	t.mu.Lock()
	for k, e := range t.sessions {
		if t.expired(e) {
			expired = append(expired, k)
			delete(t.sessions, k)
		}
	}
	t.mu.Unlock()
	t.remove(expired)
}

// removeAtOnce is how many sessions one transaction removes: others wait for it.
const removeAtOnce = 1000

// remove takes sessions that are forgotten off the disk. What cannot be
// removed counts as lost long ago, so that the next sweep tries again.
func (t *Table) remove(forgotten []key) {
	for len(forgotten) > 0 {
		n := min(len(forgotten), removeAtOnce)
		batch := forgotten[:n]
		forgotten = forgotten[n:]
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
		t.sessions[k] = entry{}
	}
}
