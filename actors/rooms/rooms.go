// Package rooms supervises all rooms, and is the only way to them.
//
//	command → Rooms.Tell → supervisor → room (woken if it is not in memory)
//	query   → Rooms.Get, List, History … → event log, read only
//
// Callers name a room by its id. Only the supervisor knows its address. Queries
// read what is on disk and wake no room. Queries that may read much wait for each
// other (see [Reads]); commands never wait for them.
package rooms

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Log is the part of the event log that rooms and queries need. See
// [persistence.Store].
type Log interface {
	room.Log
	Chats(owner string, offset, limit int) ([]persistence.Chat, int, error)
	Charges(from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
	ChargesOf(user string, from, to persistence.Hour) iter.Seq2[persistence.Charge, error]
	OpenTurns() ([]string, error)
	Last(room string) (seq uint64, err error)
	ReadUpTo(room, user string) (seq uint64, err error)
	MarkRead(room, user string, seq uint64, done func(error))
	ChatsFrom(list, place string, limit int) ([]persistence.Placed, error)
	MarkOf(room, user string) (persistence.Mark, error)
	Mark(room, user, list string, c persistence.MarkChange, done func(persistence.Mark, error))
	MarkedChats(list, user string, v persistence.View, offset, limit int) (page []persistence.Marked, total int, err error)
	Folders(list, user string) (map[string]int, error)
	Files(room string) ([]persistence.File, error)
	PutChunk(room, flow, blob string, n int, data []byte, done func(error))
	PutFile(room, flow string, f persistence.File, done func(error))
	DropBlob(room, flow, blob string, done func(error))
	DeleteFile(room, flow, id string, done func(error))
	Epoch() string
}

// Rooms takes commands to rooms, and answers queries. Its methods may be called
// from any goroutine.
type Rooms struct {
	options *room.Options
	log     Log
	reads   *gate
	edits   memo[branched]
	tails   memo[tail]
	feed    *feed
	used    used
	awake   atomic.Int64 // rooms
	turns   sync.WaitGroup
	ref     system.Ref[message]
	stopped chan struct{} // closed when the supervisor and all rooms have stopped
}

// Start starts the supervisor, and wakes the rooms that have an open turn. The
// caller sets Models, Provider and the limits of the options. Start sets Log,
// Epoch, Idle, Awake and Turns.
func Start(sys *system.System, log Log, options room.Options, reads Reads) (*Rooms, error) {
	r := &Rooms{log: log, reads: newGate(reads), stopped: make(chan struct{})}
	options.Log, options.Epoch, options.Turns = notingLog{log, &r.used}, log.Epoch(), &r.turns
	activity := options.Activity
	options.Activity = func(a room.Activity) {
		r.feed.note(a)
		if activity != nil {
			activity(a)
		}
	}
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
	r.feed = startFeed(r)
	for _, id := range open {
		r.goOn(chat.RoomID(id))
	}
	return r, nil
}

// goOn wakes a room that had an open turn when the server ended. Who asks what is running
// is told so before the room is awake.
func (r *Rooms) goOn(id chat.RoomID) {
	if row, err := r.log.Chat(string(id)); err == nil {
		if info, err := conversation.ReadRow(row); err == nil {
			r.feed.note(room.Activity{Chat: info, Running: true})
		}
	}
	r.Tell(id, &room.Wake{})
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

// Close stops all rooms and their turns, and refuses queries from then on. It
// waits until the streams of turns and the running queries have ended, or until
// ctx ends. A turn that was running starts again with the server.
func (r *Rooms) Close(ctx context.Context) error {
	r.ref.Stop()
	idle := r.reads.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-r.stopped // no turn starts after that
		r.feed.close()
		r.turns.Wait()
		<-idle
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for turns and queries to end: %w", ctx.Err())
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

// ask sends a command to a room and waits for the reply.
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

// An answer is a caller that waits for one reply.
type answer chan room.Reply

// Deliver implements room.Recipient.
func (a answer) Deliver(d room.Delivery) {
	if reply, ok := d.(room.Reply); ok {
		select {
		case a <- reply:
		default: // a second reply: the room refused the command, and then did it after all
		}
	}
}

// Create makes a chat, and its id.
func (r *Rooms) Create(ctx context.Context, u chat.User, model chat.ModelID) (chat.Info, error) {
	var random [8]byte
	rand.Read(random[:])
	return r.CreateAs(ctx, u, chat.MakeID(u.ID, random), model)
}

// CreateAs makes the chat with an id that the user has chosen, unless the user may read the
// one that there is.
func (r *Rooms) CreateAs(ctx context.Context, u chat.User, id chat.ID, model chat.ModelID) (chat.Info, error) {
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Create{Caller: c, Chat: id, ModelID: model}
	})
	if err != nil {
		return chat.Info{}, err
	}
	return reply.Body.(room.Created).Chat, nil
}

// Configure changes a chat's settings.
func (r *Rooms) Configure(ctx context.Context, u chat.User, id chat.ID, changes chat.Changes) (chat.Info, error) {
	reply, err := r.ask(ctx, id.Room(), u, func(c room.Caller) room.Command {
		return &room.Configure{Caller: c, Changes: changes}
	})
	if err != nil {
		return chat.Info{}, err
	}
	return reply.Body.(room.Configured).Chat, nil
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
	return reply.Body.(room.Released).WasQuarantined, nil
}

// Announce tells the listeners of a room what another backend has for them, and returns how
// many they are. It wakes no room.
func (r *Rooms) Announce(ctx context.Context, id chat.RoomID, a chat.Announcement) (listeners int, err error) {
	reply, err := r.ask(ctx, id, chat.User{}, func(c room.Caller) room.Command { return &room.Announce{Caller: c, Announcement: a} })
	if err != nil {
		return 0, err
	}
	return reply.Body.(room.Announced).Listeners, nil
}

// Get returns a chat that the user may read, or [access.ErrNoChat].
func (r *Rooms) Get(_ context.Context, u chat.User, id chat.ID) (chat.Info, error) {
	return r.info(u, id.Room())
}

func (r *Rooms) info(u chat.User, id chat.RoomID) (chat.Info, error) {
	row, err := r.log.Chat(string(id))
	switch {
	case !id.Valid(), errors.Is(err, persistence.ErrNotFound):
		return chat.Info{}, access.ErrNoChat
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

// query runs f as a read of the user, when the gate lets it. The error it returns
// may be shown to the client.
func (r *Rooms) query(ctx context.Context, u chat.User, f func(*read) error) error {
	read, err := r.reads.enter(ctx, u.ID)
	if err == nil {
		defer read.leave()
		err = f(read)
	}
	return r.failed(ctx, err)
}

// failed turns the error of a query into one that may be shown to the client. It
// logs the error, unless ctx has ended or the query was refused.
func (r *Rooms) failed(ctx context.Context, err error) error {
	_, refused := errors.AsType[*chat.Error](err)
	switch {
	case err == nil, refused:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return r.unreadable(err)
}

// unreadable logs an error of the disk, and returns what the client is told of it.
func (r *Rooms) unreadable(err error) error {
	r.options.Logger.Error("query failed", "err", err)
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot read its disk")
}

// unwritable does the same for an error of a write.
func (r *Rooms) unwritable(err error) error {
	if errors.Is(err, persistence.ErrNotFound) {
		return access.ErrNoChat
	}
	r.options.Logger.Error("write failed", "err", err)
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was recorded")
}

// List returns a page of the user's chats, newest first, and the number of all of
// them. If chats are shared, these are the chats of all users.
func (r *Rooms) List(ctx context.Context, u chat.User, offset, limit int) (infos []chat.Info, total int, err error) {
	scope, refusal := r.options.Access.Scope(u, access.List)
	if refusal != nil {
		return nil, 0, refusal
	}
	err = r.query(ctx, u, func(*read) error {
		infos, total, err = r.list(string(scope.User), offset, limit) // an empty owner means all
		return err
	})
	return infos, total, err
}

func (r *Rooms) list(owner string, offset, limit int) ([]chat.Info, int, error) {
	rows, total, err := r.log.Chats(owner, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	infos := make([]chat.Info, 0, len(rows))
	for _, row := range rows {
		info, err := conversation.ReadRow(row)
		if err != nil {
			return nil, 0, err
		}
		infos = append(infos, info)
	}
	return infos, total, nil
}
