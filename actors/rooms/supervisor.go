package rooms

import (
	"container/list"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A message is what the supervisor's mailbox accepts.
type message interface{ roomsMessage() }

// forward carries a message to a room, which is woken for it.
type forward struct {
	room    chat.RoomID
	message room.Message
}

// A room sends idle when it has nothing to do, and awake when it has work again
// before it has stopped: see [room.Options].
type (
	idle  struct{ room chat.RoomID }
	awake struct{ room chat.RoomID }
)

// ping is answered as soon as it is received.
type ping struct{ answered chan struct{} }

// watchTick makes the supervisor look for rooms that hang.
type watchTick struct{}

func (*forward) roomsMessage()   {}
func (*idle) roomsMessage()      {}
func (*awake) roomsMessage()     {}
func (*ping) roomsMessage()      {}
func (*watchTick) roomsMessage() {}

// The supervisor creates, finds and passivates rooms. It does no I/O and does not
// look into the messages that it forwards. Nobody else knows the addresses of
// rooms.
type supervisor struct {
	options *room.Options
	self    *system.Self[message]
	rooms   map[chat.RoomID]*resident
	awake   *atomic.Int64 // how many they are
	shares  shares        // of the rooms, by user
	spawns  int           // so far
	timer   *time.Timer   // until the next look for hung rooms
}

// A resident is a room in memory.
type resident struct {
	id       chat.RoomID
	share    *share        // of the user for whom it was woken, or nil
	place    *list.Element // in the share
	ref      system.Ref[room.Message]
	draining bool           // it may stop
	backlog  []room.Message // messages that came since then
	watch
}

// Started implements system.Actor.
func (s *supervisor) Started(self *system.Self[message]) {
	s.self = self
	s.watchSoon()
}

// Receive implements system.Actor.
func (s *supervisor) Receive(m message) {
	switch m := m.(type) {
	case *forward:
		s.forward(m.room, m.message)
	case *idle:
		s.drain(m.room)
	case *awake:
		s.resume(m.room)
	case *ping:
		close(m.answered)
	case *watchTick:
		s.lookForHung()
		s.watchSoon()
	}
}

// Salvage implements system.Salvager.
func (s *supervisor) Salvage(m message) {
	if f, ok := m.(*forward); ok {
		s.options.Directory.Lost(f.message)
	}
}

// Stopping implements system.Actor. Rooms stop with their supervisor.
func (s *supervisor) Stopping() { s.timer.Stop() }

func (s *supervisor) forward(id chat.RoomID, m room.Message) {
	r, ok := s.rooms[id]
	switch {
	case !ok && room.WakesNone(m):
		s.options.Directory.Unheard(m)
	case !ok:
		s.wakeFor(id, m)
	case r.hung && !leaves(m): // a Leave is not repeated, so it waits for the room
		r.pulse.Hung(s.options, m)
	case r.draining:
		r.backlog = append(r.backlog, m)
	default:
		r.used()
		r.tell(m)
	}
}

// wakeFor wakes a room for a message, unless its sender has too many rooms in use.
func (s *supervisor) wakeFor(id chat.RoomID, m room.Message) {
	of := s.shares.of(m)
	leaves, ok := s.shares.makePlace(of)
	if !ok {
		s.options.Directory.Crowded(m)
		return
	}
	if leaves != nil {
		s.drain(leaves.id)
	}
	r := s.wake(id)
	s.shares.add(r, of)
	r.tell(m)
}

func leaves(m room.Message) bool {
	_, ok := m.(*room.Leave)
	return ok
}

// tell sends the room a message, and counts it.
func (r *resident) tell(m room.Message) {
	r.messages++
	r.ref.Tell(m)
}

// wake makes a room's actor. Its name is the room's with a number, since no name may be
// used twice.
func (s *supervisor) wake(id chat.RoomID) *resident {
	s.spawns++
	name := fmt.Sprintf("%s.%d", id, s.spawns)
	pulse := new(room.Pulse)
	ref, err := system.SpawnChild(s.self, room.Spec(id, name, s.options, pulse))
	if err != nil {
		panic("rooms: spawn a room: " + err.Error())
	}
	r := &resident{id: id, ref: ref, watch: watch{pulse: pulse}}
	s.rooms[id] = r
	s.awake.Store(int64(len(s.rooms)))
	return r
}

func (s *supervisor) drain(id chat.RoomID) {
	if r, ok := s.rooms[id]; ok && !r.draining {
		r.draining = true
		r.tell(&room.Drain{})
	}
}

// resume sends the backlog to a room that did not stop.
func (s *supervisor) resume(id chat.RoomID) {
	r, ok := s.rooms[id]
	if !ok {
		return
	}
	r.draining = false
	for _, m := range r.backlog {
		r.tell(m)
	}
	r.backlog = nil
}

// ChildStopped implements system.Parent: the room has left memory. If messages
// have come for it meanwhile, it is woken again.
func (s *supervisor) ChildStopped(name string) {
	id := chat.RoomID(name[:strings.LastIndexByte(name, '.')])
	r := s.rooms[id]
	delete(s.rooms, id)
	s.awake.Store(int64(len(s.rooms)))
	if r == nil {
		return
	}
	s.shares.remove(r)
	if len(r.backlog) == 0 {
		return
	}
	next := s.wake(id)
	s.shares.add(next, r.share)
	for _, m := range r.backlog {
		next.tell(m)
	}
}
