// Package webhook tells other backends what is recorded in rooms.
//
//	room → Engine.Note → the rooms that wait → log, behind the cursor → Encode → Send
//	                                                                      ↓
//	                          the cursor on the disk ← delivered, or among the dead letters
//
// # What is promised
//
// An event is delivered at least once, and the events of a room in order: one waits for
// the one before. The cursor moves when an event is delivered, so a crash in between has it
// delivered again, with the same id. Nothing is kept of an event but its place in the log.
//
// # Failures
//
// A delivery that fails is made again after a delay that grows. Meanwhile its room waits, and
// other rooms do not. After [Options.RetryFor] the event becomes a dead letter, which
// somebody may have delivered later, and the room goes on.
package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Hook says which events of which rooms are delivered, all conditions together.
type Hook struct {
	Name   string
	Events []string      // names
	Chats  []chat.ID     // empty: all
	Users  []chat.UserID // who have a role in the chat, one of them; empty: whoever has
}

// covers reports whether the hook is for the chat.
func (h Hook) covers(info chat.Info) bool {
	return (len(h.Chats) == 0 || slices.Contains(h.Chats, info.ID)) &&
		(len(h.Users) == 0 || slices.ContainsFunc(h.Users, func(u chat.UserID) bool { return info.RoleOf(u) != "" }))
}

// An Event is what a record is told as.
type Event struct {
	Name string
	Body json.RawMessage
}

// A Delivery is one event on its way.
type Delivery struct {
	ID    string // the same each time that the event is sent
	Event string
	At    time.Time // of the record
	Chat  chat.ID
	Room  chat.RoomID
	Seq   uint64
	Body  json.RawMessage
}

// A Log is the part of the event log that webhooks need. See [persistence.Store].
type Log interface {
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]
	Last(room string) (seq uint64, err error)
	Chat(room string) (persistence.Chat, error)
	ChatsAfter(after string, limit int) (rooms []string, err error)
	Hook(room, name string) ([]byte, error)
	PutHook(room, name string, value []byte, done func(error))
	DeleteHook(room, name string, done func(error))
	EachHook(yield func(room, name string, value []byte)) error
}

// Options configure an [Engine]. Log, Encode and Send have no default.
type Options struct {
	Hooks []Hook
	Log   Log

	// Encode returns what a record is told as, always the same for the same record.
	Encode func(chat.RoomID, chat.Record) []Event

	// Send delivers to the endpoint of the hook. An error may say by a method After() of
	// [time.Duration] when to try again at the earliest.
	Send func(ctx context.Context, hook string, d Delivery) error

	RetryDelay time.Duration // before the first repetition; each is about twice the one before. Zero means 5 seconds
	RetryFor   time.Duration // since the first failure; then the event is a dead letter. Zero means at once
	AtOnce     int           // deliveries of one hook. Zero means 8
	MaxWaiting int           // rooms of one hook in memory; those past it are found in the log later. Zero means 10000
	MaxDead    int           // dead letters; the oldest is dropped for one more. Zero means 10000
	Logger     *slog.Logger  // nil discards
}

// maxDelay is the longest pause between two attempts.
const maxDelay = time.Hour

// An Engine delivers events until it is closed. Its methods may be called from any
// goroutine.
type Engine struct {
	Options
	hooks []*hook
	dead  graveyard

	end  context.CancelFunc
	work sync.WaitGroup
}

// Start delivers what was recorded since the hooks are there, and goes on. What is known of
// hooks that are not there any more is forgotten.
func Start(o Options) (*Engine, error) {
	o.RetryDelay, o.AtOnce = cmp.Or(o.RetryDelay, 5*time.Second), cmp.Or(o.AtOnce, 8)
	o.MaxWaiting, o.MaxDead = cmp.Or(o.MaxWaiting, 10_000), cmp.Or(o.MaxDead, 10_000)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(context.Background())
	e := &Engine{Options: o, end: end}
	if err := e.remember(ctx); err != nil {
		end()
		return nil, fmt.Errorf("read what is known of webhooks: %w", err)
	}
	for _, h := range e.hooks {
		e.work.Go(func() { h.run(ctx) })
		e.work.Go(func() { h.scan(ctx) })
	}
	return e, nil
}

// Close ends all deliveries and waits for that. What was not delivered is delivered by the
// next Engine.
func (e *Engine) Close() {
	e.end()
	e.work.Wait()
}

// Note says that something was recorded in a room. It does not block.
func (e *Engine) Note(id chat.RoomID) {
	for _, h := range e.hooks {
		h.note(id)
	}
}

// A beginning is since when a hook is there, as the log keeps it.
type beginning struct {
	Since time.Time `json:"since"`
}

const beginningOf = "since/"

// remember reads since when each hook is there, and the dead letters.
func (e *Engine) remember(ctx context.Context) error {
	known := make(map[string]time.Time)
	var forgotten [][2]string
	err := e.Log.EachHook(func(room, name string, value []byte) {
		kind, hook := cutName(name)
		var b beginning
		switch {
		case !slices.ContainsFunc(e.Hooks, func(h Hook) bool { return h.Name == hook }):
			forgotten = append(forgotten, [2]string{room, name})
		case kind == beginningOf && json.Unmarshal(value, &b) == nil:
			known[hook] = b.Since
		case kind == deadOf:
			e.dead.load(value)
		}
	})
	if err != nil {
		return err
	}
	e.dead.sort()
	for _, key := range forgotten {
		e.Log.DeleteHook(key[0], key[1], func(error) {}) // or the next start does it
	}
	for _, h := range e.Hooks {
		since, ok := known[h.Name]
		if !ok {
			since = time.Now().Truncate(time.Millisecond) // as the times of records are
			if err := e.put(ctx, "", beginningOf+h.Name, beginning{since}); err != nil {
				return err
			}
		}
		e.hooks = append(e.hooks, newHook(e, h, since))
	}
	return nil
}

// put writes a value, and waits until it is on the disk.
func (e *Engine) put(ctx context.Context, room, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return wait(ctx, func(done func(error)) { e.Log.PutHook(room, name, text, done) })
}

func wait(ctx context.Context, write func(done func(error))) error {
	written := make(chan error, 1)
	write(func(err error) { written <- err })
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
