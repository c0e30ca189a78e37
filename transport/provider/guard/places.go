package guard

import (
	"context"
	"slices"
	"sync"

	"parlor/protocol/chat"
)

// places bound the answers that a provider gives at once, and share them between users.
//
// A place that is free goes to the user who has the fewest, and of one user, or of users
// with as many, to the request that came first. No user may have more than perUser of
// them, so that others find one without waiting for the end of an answer. Requests that
// are nobody's are taken as those of one user, who may have all.
type places struct {
	limit, perUser int

	mu      sync.Mutex
	taken   int
	held    map[chat.UserID]int
	waiting []*waiter // in the order in which they came
}

type waiter struct {
	user  chat.UserID
	ready chan struct{} // closed when it has a place
}

func newPlaces(limit int) *places {
	return &places{limit: limit, perUser: max(1, limit*3/4), held: make(map[chat.UserID]int)}
}

// take waits for a place. The caller gives it back with leave.
func (p *places) take(ctx context.Context, user chat.UserID) error {
	w := &waiter{user, make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	p.fill()
	p.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return ctx.Err()
	}
	return nil // it was given one at the same time
}

// tryTake takes a place if one is free, and reports whether it has.
func (p *places) tryTake(user chat.UserID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.taken < p.limit && p.may(user)
	if free {
		p.give(user)
	}
	return free
}

func (p *places) leave(user chat.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.held[user]--; p.held[user] == 0 {
		delete(p.held, user)
	}
	p.fill()
}

func (p *places) may(user chat.UserID) bool { return user == "" || p.held[user] < p.perUser }

func (p *places) give(user chat.UserID) {
	p.taken++
	p.held[user]++
}

// fill gives the free places to those who wait.
func (p *places) fill() {
	for p.taken < p.limit {
		next := -1
		for i, w := range p.waiting {
			if p.may(w.user) && (next < 0 || p.held[w.user] < p.held[p.waiting[next].user]) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := p.waiting[next]
		p.waiting = slices.Delete(p.waiting, next, next+1)
		p.give(w.user)
		close(w.ready)
	}
}
