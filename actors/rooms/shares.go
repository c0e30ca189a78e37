package rooms

import (
	"container/list"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A share is the rooms that one user has brought into memory, least recently used
// first. A room that the server has woken is in no share.
type share struct {
	user  chat.UserID
	rooms list.List // of *resident
}

// shares are those of all users. A room stays in memory for a while after its last use.
// But while a share is more than half full, one that is not in use leaves for each that
// is woken. If a full share has none, no more rooms are woken for its user.
type shares struct {
	limit int // rooms of one user
	users map[chat.UserID]*share
}

// lookAt is how many rooms of a share that is not full are looked at to find one that is
// not in use.
const lookAt = 32

// of returns the share that a message counts for, or nil.
func (s *shares) of(m room.Message) *share {
	u, ok := room.UserOf(m)
	if !ok {
		return nil
	}
	if of := s.users[u]; of != nil {
		return of
	}
	return &share{user: u}
}

// makePlace reports whether the share has a place for another room. It also returns a
// room that should leave, or nil.
func (s *shares) makePlace(of *share) (leaves *resident, ok bool) {
	switch n := of.count(); {
	case n < max(1, s.limit/2):
		return nil, true
	case n < s.limit:
		return of.idle(lookAt), true
	default:
		leaves = of.idle(n)
		return leaves, leaves != nil
	}
}

func (of *share) count() int {
	if of == nil {
		return 0
	}
	return of.rooms.Len()
}

// idle returns a room that is not in use, or nil if there is none among the first n.
// These go to the back, so that the next look finds others.
func (of *share) idle(n int) *resident {
	for range min(n, of.rooms.Len()) {
		r := of.rooms.Front().Value.(*resident)
		r.used()
		if !r.draining && r.pulse.Idle() {
			return r
		}
	}
	return nil
}

func (s *shares) add(r *resident, of *share) {
	if of == nil {
		return
	}
	s.users[of.user] = of // it may be new, or have been forgotten with its last room
	r.share, r.place = of, of.rooms.PushBack(r)
}

func (s *shares) remove(r *resident) {
	if r.share == nil {
		return
	}
	r.share.rooms.Remove(r.place)
	if r.share.rooms.Len() == 0 {
		delete(s.users, r.share.user)
	}
}

// used notes that the room was used now.
func (r *resident) used() {
	if r.share != nil {
		r.share.rooms.MoveToBack(r.place)
	}
}
