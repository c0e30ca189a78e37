// Package rooms is the supervisor of all rooms and the way to them.
//
//	command → Rooms.Tell → supervisor → room (woken if it is not in memory)
//	query   → Rooms.Find, List, Messages … → event log, read only
//
// A room is addressed by its id and through the supervisor only. Queries read
// what is on disk and wake nobody.
package rooms

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/google/uuid"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Log is what rooms and queries need of the event log. See [persistence.Store].
type Log interface {
	room.Log
	Chat(room string) (persistence.Chat, error)
	Chats(owner string, offset, limit int) ([]persistence.Chat, int, error)
	Charges(from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
	ChargesOf(user string, from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
	OpenTurns() ([]string, error)
	Epoch() string
}

// Rooms is the way to all rooms. Its methods may be called from any goroutine.
type Rooms struct {
	options *room.Options
	log     Log
	turns   sync.WaitGroup
	ref     system.Ref[message]
	stopped chan struct{} // closed when the supervisor and all rooms have stopped
}

// Start starts the supervisor and wakes the rooms that have a turn to finish.
// The caller sets Models, Provider and the limits; Log, Epoch, Idle, Awake and
// Turns are set here.
func Start(sys *system.System, log Log, options room.Options) (*Rooms, error) {
	r := &Rooms{log: log, stopped: make(chan struct{})}
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
		Name: "rooms",
		New: func() system.Actor[message] {
			return &supervisor{
				options: r.options,
				rooms:   make(map[chat.RoomID]*resident), names: make(map[string]chat.RoomID),
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

// Close stops all rooms and their turns, and waits for the turns' streams to
// end or ctx to be done. Turns that were running start again with the server.
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

// Tell sends a message to a room, waking it if need be. Whether there is such
// a chat, and whether the caller may use it, is for the room to say.
func (r *Rooms) Tell(id chat.RoomID, m room.Message) {
	if !id.Valid() {
		r.options.Directory.NoRoom(m)
		return
	}
	r.ref.Tell(&forward{id, m})
}

// ask tells a command and waits for its answer.
func (r *Rooms) ask(ctx context.Context, id chat.RoomID, user chat.User, command func(room.Caller) room.Command) (room.Reply, error) {
	a := make(answer, 1)
	address := r.Open(a)
	defer r.Forget(address)
	r.Tell(id, command(room.Caller{User: user, Address: address}))
	select {
	case reply := <-a:
		if reply.Err != nil {
			return reply, reply.Err
		}
		return reply, nil
	case <-ctx.Done():
		return room.Reply{}, ctx.Err()
	}
}

// Open gives a recipient the address that its commands carry, and Forget ends
// that. Whoever opens an address has it forgotten.
func (r *Rooms) Open(to room.Recipient) room.Address { return r.options.Directory.Open(to) }
func (r *Rooms) Forget(a room.Address)               { r.options.Directory.Close(a) }

// answer is somebody who waits for one reply.
type answer chan room.Reply

// Deliver implements room.Recipient.
func (a answer) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		select {
		case a <- reply:
		default: // a second answer to one command: refused and yet done
		}
	}
}

// Create makes a chat with an id of the server's choosing.
func (r *Rooms) Create(ctx context.Context, u chat.User, model chat.ModelID) (chat.Info, error) {
	id := chat.ID(uuid.NewString())
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Create{Caller: c, Chat: id, ModelID: model}
	})
	if err != nil {
		return chat.Info{}, err
	}
	return reply.Body.(room.Created).Chat, nil
}

// Delete deletes a chat with all its history.
func (r *Rooms) Delete(ctx context.Context, u chat.User, id chat.ID) error {
	_, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command { return &room.Delete{Caller: c} })
	return err
}

// Release ends the quarantine of a room, for an operator. It reports whether
// the room was quarantined.
func (r *Rooms) Release(ctx context.Context, id chat.RoomID) (was bool, err error) {
	reply, err := r.ask(ctx, id, chat.User{}, func(c room.Caller) room.Command { return &room.Release{Caller: c} })
	if err != nil {
		return false, err
	}
	return reply.Body.(room.Released).Was, nil
}

// Get returns a chat that the user may use. It fails with [chat.CodeNotFound]
// or [chat.CodeForbidden].
func (r *Rooms) Get(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	return r.info(u, id.Room())
}

func (r *Rooms) info(u chat.User, id chat.RoomID) (chat.Info, error) {
	row, err := r.log.Chat(string(id))
	switch {
	case !id.Valid(), errors.Is(err, persistence.ErrNotFound):
		return chat.Info{}, chat.Refuse(chat.CodeNotFound, "there is no such chat")
	case err != nil:
		return chat.Info{}, r.unreadable(err)
	}
	info, err := conversation.ReadRow(row)
	if err != nil {
		return chat.Info{}, r.unreadable(err)
	}
	if refusal := r.options.Access.Check(info, u, access.Read); refusal != nil {
		return chat.Info{}, refusal
	}
	return info, nil
}

// unreadable logs why a query failed, and keeps it from the client.
func (r *Rooms) unreadable(err error) error {
	r.options.Logger.Error("query failed", "err", err)
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot read its disk")
}

// List returns a page of the user's chats, newest first, and how many there
// are in all. Where chats are shared everybody's are listed.
func (r *Rooms) List(_ context.Context, u chat.User, offset, limit int) ([]chat.Info, int, error) {
	scope, refusal := r.options.Access.Scope(u, access.List)
	if refusal != nil {
		return nil, 0, refusal
	}
	rows, total, err := r.log.Chats(string(scope.User), offset, limit) // of everybody without a user
	if err != nil {
		return nil, 0, r.unreadable(err)
	}
	infos := make([]chat.Info, 0, len(rows))
	for _, row := range rows {
		info, err := conversation.ReadRow(row)
		if err != nil {
			return nil, 0, r.unreadable(err)
		}
		infos = append(infos, info)
	}
	return infos, total, nil
}

// MaxHistoryBytes is how much text a page of [Rooms.History] may hold, however
// few messages that is: what a session may queue for its client is bounded.
const MaxHistoryBytes = 128 << 10

// History returns the newest messages of a conversation before the record before, or
// of all if it is 0, oldest first: up to limit of them and [MaxHistoryBytes]. It
// also reports whether there are older ones.
func (r *Rooms) History(u chat.User, id chat.RoomID, before uint64, limit int) (messages []chat.Message, more bool, err error) {
	if _, err := r.info(u, id); err != nil {
		return nil, false, err
	}
	superseded, err := room.Superseded(r.log, id)
	if err == nil {
		messages, more, err = page{limit, MaxHistoryBytes}.collect(r.log.ReadBack(string(id), before), superseded)
	}
	if err != nil {
		return nil, false, r.unreadable(err)
	}
	slices.Reverse(messages)
	return messages, more, nil
}

// Messages yields up to limit of them, however long they are, while it reads
// them: who reads slowly holds a few in memory and not all. After an error it
// yields no more.
func (r *Rooms) Messages(ctx context.Context, u chat.User, id chat.ID, before uint64, limit int) iter.Seq2[chat.Message, error] {
	return func(yield func(chat.Message, error) bool) {
		name := string(id.Room())
		if _, err := r.info(u, id.Room()); err != nil {
			yield(chat.Message{}, err)
			return
		}
		superseded, err := room.Superseded(r.log, id.Room())
		var first uint64
		if err == nil {
			first, err = oldest(ctx, r.log.ReadBack(name, before), limit, superseded)
		}
		if err != nil {
			yield(chat.Message{}, r.unreadable(err))
			return
		}
		for record, err := range conversation.Records(ctx, r.log.Read(name, first-1)) {
			if err != nil {
				yield(chat.Message{}, r.unreadable(err))
				return
			}
			if before > 0 && record.Seq >= before {
				return
			}
			if m, ok := record.Message(); ok && !superseded.Hides(record) && !yield(m, nil) {
				return
			}
		}
	}
}

// Records yields what follows record after in a room's log, for a member that
// the room has just admitted. After an error it yields no more.
func (r *Rooms) Records(id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		for record, err := range conversation.Records(context.Background(), r.log.Read(string(id), after)) {
			if err != nil {
				err = r.unreadable(err)
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

// oldest returns the number of the last record that makes up limit messages,
// of entries that come newest first.
func oldest(ctx context.Context, entries iter.Seq2[persistence.Entry, error], limit int, superseded chat.Superseded) (seq uint64, err error) {
	seq = 1
	for entry, err := range entries {
		switch {
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case !chat.HoldsMessage(entry.Data):
			continue
		}
		if len(superseded) > 0 && entry.Seq >= superseded[0].From {
			if record, err := chat.DecodeRecord(entry.Seq, entry.Data); err != nil || superseded.Hides(record) {
				continue // what cannot be decoded is told of when it is read
			}
		}
		if seq, limit = entry.Seq, limit-1; limit == 0 {
			break
		}
	}
	return seq, nil
}

// page is how much one answer may hold. One message always fits.
type page struct{ messages, bytes int }

// collect takes messages from entries that come newest first.
func (p page) collect(entries iter.Seq2[persistence.Entry, error], superseded chat.Superseded) (messages []chat.Message, more bool, err error) {
	size := 0
	for record, err := range conversation.Records(context.Background(), entries) {
		if err != nil {
			return nil, false, err
		}
		m, ok := record.Message()
		if !ok || superseded.Hides(record) {
			continue
		}
		size += len(m.Content)
		if len(messages) == p.messages || len(messages) > 0 && size > p.bytes {
			return messages, true, nil
		}
		messages = append(messages, m)
	}
	return messages, false, nil
}
