// Package rooms supervises all rooms, and is the only way to them.
//
//	command → Rooms.Tell → supervisor → room (woken if it is not in memory)
//
// Callers name a room by its id. Only the supervisor knows its address.
package rooms

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A Log is the part of the event log that rooms need. See [persistence.Store].
type Log interface {
	room.Log
	OpenTurns() ([]string, error)
	Epoch() string
}

// Rooms takes messages to rooms. Its methods may be called from any goroutine.
type Rooms struct {
	options *room.Options
	awake   atomic.Int64 // rooms
	turns   sync.WaitGroup
	ref     system.Ref[message]
	stopped chan struct{} // closed when the supervisor and all rooms have stopped
}

// Start starts the supervisor, and wakes the rooms that have an open turn. The
// caller sets Models, Provider and the limits of the options. Start sets Log,
// Epoch, Idle, Awake and Turns.
func Start(sys *system.System, log Log, options room.Options) (*Rooms, error) {
	r := &Rooms{stopped: make(chan struct{})}
	options.Log, options.Epoch, options.Turns = log, log.Epoch(), &r.turns
	options.Idle = func(id chat.RoomID) { r.ref.Tell(&idle{id}) }
	options.Awake = func(id chat.RoomID) { r.ref.Tell(&awake{id}) }
	options = options.WithDefaults()
	r.options = &options

	open, err := log.OpenTurns()
	if err != nil {
		return nil, fmt.Errorf("find open turns: %w", err)
	}
	r.ref, err = system.Spawn(sys, system.Spec[message]{
		Name: "rooms", Kind: "supervisor",
		New: func() system.Actor[message] {
			return &supervisor{
				options: r.options, awake: &r.awake,
				rooms:  make(map[chat.RoomID]*resident),
				shares: shares{limit: r.options.MaxAwake, users: make(map[chat.UserID]*share)},
			}
		},
		Policy:   system.Resume, // a restart would stop every room
		Children: system.Restart,
		Stopped:  func() { close(r.stopped) },
	})
	if err != nil {
		return nil, fmt.Errorf("start the rooms' supervisor: %w", err)
	}
	for _, id := range open {
		r.Tell(chat.RoomID(id), &room.Wake{})
	}
	return r, nil
}

// Awake returns how many rooms are in memory.
func (r *Rooms) Awake() int { return int(r.awake.Load()) }

// Answering returns how many turns are being answered.
func (r *Rooms) Answering() int { return int(r.options.Running.Load()) }

// drainLook is the time between two looks at whether turns are still running.
const drainLook = 20 * time.Millisecond

// Drain lets no turn begin any more, and waits until those that run have ended, or until
// ctx ends. It returns how many are left. Turns that wait begin with the next start of the
// server. It is called before Close.
func (r *Rooms) Drain(ctx context.Context) (left int) {
	r.options.Drained.Store(true)
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for r.Answering() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r.Answering()
		}
	}
	return 0
}

// Alive waits until the supervisor of the rooms has answered, or until ctx ends.
func (r *Rooms) Alive(ctx context.Context) error {
	answered := make(chan struct{})
	r.ref.Tell(&ping{answered})
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops all rooms and their turns. It waits until the streams of turns have ended, or
// until ctx ends. A turn that was running starts again with the server.
func (r *Rooms) Close(ctx context.Context) error {
	r.ref.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-r.stopped // no turn starts after that
		r.turns.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for turns to end: %w", ctx.Err())
	}
}

// Tell sends a message to a room, and wakes the room if it is not in memory. The
// room itself refuses a command if there is no such chat or the caller may not use
// it.
func (r *Rooms) Tell(id chat.RoomID, m room.Message) {
	if !id.Valid() {
		r.options.Directory.NoRoom(m)
		return
	}
	r.ref.Tell(&forward{id, m})
}

// Open gives a recipient the address that its commands carry, and Forget ends
// that. Whoever opens an address has it forgotten.
func (r *Rooms) Open(to room.Recipient) room.Address { return r.options.Directory.Open(to) }
func (r *Rooms) Forget(a room.Address)               { r.options.Directory.Close(a) }
