package rooms

import (
	"fmt"
	"time"

	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/protocol/chat"
)

// message is what the supervisor's mailbox accepts.
type message interface{ roomsMessage() }

// forward is a message for a room, which is woken for it.
type forward struct {
	room    chat.RoomID
	message room.Message
}

// idle and awake are what a room says of itself, see [room.Options].
type (
	idle  struct{ room chat.RoomID }
	awake struct{ room chat.RoomID }
)

// watchTick comes again and again for the supervisor to look for hung rooms.
type watchTick struct{}

func (*forward) roomsMessage()   {}
func (*idle) roomsMessage()      {}
func (*awake) roomsMessage()     {}
func (*watchTick) roomsMessage() {}

// supervisor creates, finds and passivates rooms, and does nothing else: no
// I/O, and no knowledge of what rooms are told. It is the only one that knows
// their addresses.
type supervisor struct {
	options *room.Options
	self    *system.Self[message]
	rooms   map[chat.RoomID]*resident
	names   map[string]chat.RoomID // of the actors; a name is never used twice
	spawned int
	timer   *time.Timer // until the next look for hung rooms
}

// resident is a room in memory.
type resident struct {
	ref      system.Ref[room.Message]
	draining bool           // it has the consent to stop
	parked   []room.Message // what came after the consent
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

// Stopping implements system.Actor. The rooms stop with their supervisor.
func (s *supervisor) Stopping() { s.timer.Stop() }

func (s *supervisor) forward(id chat.RoomID, m room.Message) {
	r, ok := s.rooms[id]
	switch {
	case !ok:
		s.wake(id).tell(m)
	case r.hung && !leaves(m): // who leaves does not come back to be asked again
		s.options.Directory.Hung(m)
	case r.draining:
		r.parked = append(r.parked, m)
	default:
		r.tell(m)
	}
}

func leaves(m room.Message) bool {
	_, ok := m.(*room.Leave)
	return ok
}

// tell tells the room something that it has to handle.
func (r *resident) tell(m room.Message) {
	r.told++
	r.ref.Tell(m)
}

func (s *supervisor) wake(id chat.RoomID) *resident {
	s.spawned++
	name := fmt.Sprintf("%s.%d", id, s.spawned)
	pulse := new(room.Pulse)
	ref, err := system.SpawnChild(s.self, room.Spec(id, name, s.options, pulse))
	if err != nil {
		panic("rooms: spawn a room: " + err.Error())
	}
	r := &resident{ref: ref, watch: watch{pulse: pulse}}
	s.rooms[id], s.names[name] = r, id
	return r
}

func (s *supervisor) drain(id chat.RoomID) {
	if r, ok := s.rooms[id]; ok && !r.draining {
		r.draining = true
		r.tell(&room.Drain{})
	}
}

// resume hands a room that did not stop what was parked for it.
func (s *supervisor) resume(id chat.RoomID) {
	r, ok := s.rooms[id]
	if !ok {
		return
	}
	r.draining = false
	for _, m := range r.parked {
		r.tell(m)
	}
	r.parked = nil
}

// ChildStopped implements system.Parent: the room has left memory, unless
// somebody has asked for it meanwhile.
func (s *supervisor) ChildStopped(name string) {
	id := s.names[name]
	r := s.rooms[id]
	delete(s.names, name)
	delete(s.rooms, id)
	if r == nil || len(r.parked) == 0 {
		return
	}
	next := s.wake(id)
	for _, m := range r.parked {
		next.tell(m)
	}
}
