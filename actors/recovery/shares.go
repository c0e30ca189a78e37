package recovery

import (
	"container/heap"
	"container/list"
	"time"

	"parlor/protocol/chat"
)

// An entry is a seat in the table. If it has no owner, the connection was lost at the
// time lost.
type entry struct {
	key   key
	owner Owner
	lost  time.Time

	share *share
	place *list.Element // in a list of the share
}

// A share is the seats of one user.
type share struct {
	user  chat.UserID
	lost  list.List // of *entry, those without an owner, lost first first
	live  list.List // of *entry, those with an owner, oldest first
	index int       // in [bySize]

	givenUp   int       // seats since the last log record of it
	nextNoted time.Time // when the next record may be written
}

func (s *share) count() int { return s.lost.Len() + s.live.Len() }

// oldest returns the seat that the user would miss least: that of the connection that
// was lost first, or else the oldest.
func (s *share) oldest() *entry {
	if first := s.firstLost(); first != nil {
		return first
	}
	return s.live.Front().Value.(*entry)
}

// firstLost returns the seat whose connection was lost first, or nil.
func (s *share) firstLost() *entry {
	if first := s.lost.Front(); first != nil {
		return first.Value.(*entry)
	}
	return nil
}

// bySize is a heap of shares, the largest first.
type bySize []*share

func (b bySize) Len() int           { return len(b) }
func (b bySize) Less(i, j int) bool { return b[i].count() > b[j].count() }
func (b bySize) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}
func (b *bySize) Push(s any) {
	s.(*share).index = len(*b)
	*b = append(*b, s.(*share))
}
func (b *bySize) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// seats are all seats, by key and by user. The zero value is empty.
type seats struct {
	byKey  map[key]*entry
	shares map[chat.UserID]*share
	bySize bySize
}

// put adds a seat. Without an owner the seat was lost at the time lost.
func (s *seats) put(k key, user chat.UserID, owner Owner, lost time.Time) *entry {
	if s.byKey == nil {
		s.byKey, s.shares = make(map[key]*entry), make(map[chat.UserID]*share)
	}
	of := s.shares[user]
	if of == nil {
		of = &share{user: user}
		s.shares[user] = of
		heap.Push(&s.bySize, of)
	}
	e := &entry{key: k, owner: owner, lost: lost, share: of}
	s.byKey[k] = e
	e.enter()
	heap.Fix(&s.bySize, of.index)
	return e
}

// enter puts the seat at the end of the right list of its share.
func (e *entry) enter() {
	if e.owner == nil {
		e.place = e.share.lost.PushBack(e)
	} else {
		e.place = e.share.live.PushBack(e)
	}
}

// leave takes the seat out of the lists of its share.
func (e *entry) leave() {
	e.share.lost.Remove(e.place) // does nothing if it is in the other list
	e.share.live.Remove(e.place)
}

// give gives the seat to another owner, or to nobody from the time lost on.
func (e *entry) give(owner Owner, lost time.Time) {
	e.leave()
	e.owner, e.lost = owner, lost
	e.enter()
}

// drop removes a seat.
func (s *seats) drop(e *entry) {
	e.leave()
	delete(s.byKey, e.key)
	if e.share.count() > 0 {
		heap.Fix(&s.bySize, e.share.index)
		return
	}
	heap.Remove(&s.bySize, e.share.index)
	delete(s.shares, e.share.user)
}

// seatsOf returns how many seats a user has, and how many of them have no owner.
func (s *seats) seatsOf(user chat.UserID) (all, lost int) {
	of := s.shares[user]
	if of == nil {
		return 0, 0
	}
	return of.count(), of.lost.Len()
}

// makePlace finds a place for another seat of a user, among at most limit seats and
// perUser of one user. If a seat has to be given up for it, it is one of the user with
// the most seats; among these, one whose client is away. Seats of connected clients are
// given up only to a user who has fewer of them.
func (s *seats) makePlace(user chat.UserID, limit, perUser int) (givenUp *entry, ok bool) {
	own, ownLost := s.seatsOf(user)
	switch {
	case own < perUser && len(s.byKey) < limit:
		return nil, true
	case own < perUser && s.bySize[0].count() > own+1:
		return s.bySize[0].oldest(), true
	case ownLost > 0:
		return s.shares[user].oldest(), true
	}
	return nil, false
}
