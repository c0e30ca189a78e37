// Package retention deletes chats that have been idle for too long. When the file
// is too large, it deletes those that have been idle longest.
//
//	timer → a few chats: when was the last record? ─ older than For → Rooms.Expire
//	        └ after the last chat: more than Bytes in use? → Rooms.Expire of those idle longest
//
// # Bounded work
//
// A step looks at a few chats and deletes even fewer. Between two steps the
// Keeper rests, however many chats there are. A round over 100,000 chats takes
// some minutes.
//
// # Who decides
//
// The room of a chat decides whether it is deleted, since somebody may say
// something between the look and the deletion.
package retention

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"slices"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Log lists the chats and their records. See [persistence.Store].
type Log interface {
	ChatsAfter(after string, limit int) ([]string, error)
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]
	Usage() (persistence.Usage, error)
}

// Rooms deletes chats. See [rooms.Rooms].
type Rooms interface {
	Expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) (deleted bool, err error)
}

// Options configure a [Keeper]. Log and Rooms have no default.
type Options struct {
	Log    Log
	Rooms  Rooms
	Logger *slog.Logger // nil discards

	For   time.Duration // that a chat is kept after its last record. Zero means for ever
	Bytes int64         // of the file in use. Zero means no limit

	Step    time.Duration // between steps. Zero means 1 second
	Rest    time.Duration // between rounds. Zero means 1 minute
	Looks   int           // chats that a step looks at. Zero means 200
	Deletes int           // chats that a step deletes. Zero means 10
}

// maxIdle is how many of the chats idle longest a round remembers. If it is not
// enough to delete these, the next round finds more.
const maxIdle = 1000

// A Keeper deletes chats until it is closed.
type Keeper struct {
	Options
	stop context.CancelFunc
	done chan struct{}

	after string     // the room that this round looked at last
	idle  []idleRoom // the rooms of this round that were idle longest, longest first
}

type idleRoom struct {
	id   chat.RoomID
	last time.Time // of the last record
}

// Start starts a Keeper. It returns nil if the options set no limit. The caller
// closes the Keeper before the rooms.
func Start(o Options) *Keeper {
	if o.For == 0 && o.Bytes == 0 {
		return nil
	}
	o.Step, o.Rest = cmp.Or(o.Step, time.Second), cmp.Or(o.Rest, time.Minute)
	o.Looks, o.Deletes = cmp.Or(o.Looks, 200), cmp.Or(o.Deletes, 10)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{Options: o, stop: stop, done: make(chan struct{})}
	go k.run(ctx)
	return k
}

// Close stops the keeper and waits for it. A nil Keeper needs no closing.
func (k *Keeper) Close() {
	if k == nil {
		return
	}
	k.stop()
	<-k.done
}

func (k *Keeper) run(ctx context.Context) {
	defer close(k.done)
	step := k.look
	for {
		next, pause := step(ctx)
		select {
		case <-time.After(pause):
			step = next
		case <-ctx.Done():
			return
		}
	}
}

// A step does a little work. It returns the next step and the pause before it.
type step func(context.Context) (next step, pause time.Duration)

// look looks at the next few chats and deletes those that are too old.
func (k *Keeper) look(ctx context.Context) (step, time.Duration) {
	rooms, err := k.Log.ChatsAfter(k.after, k.Looks)
	if err != nil {
		k.Logger.Error("retention: list chats", "err", err)
		return k.look, k.Rest
	}
	for deletes := 0; len(rooms) > 0 && deletes < k.Deletes; rooms = rooms[1:] {
		k.after = rooms[0]
		id := chat.RoomID(rooms[0])
		last, ok := k.last(id)
		switch {
		case !ok:
		case k.For > 0 && time.Since(last) > k.For:
			k.expire(ctx, id, time.Now().Add(-k.For), false)
			deletes++
		default:
			k.remember(idleRoom{id, last})
		}
	}
	if rest, err := k.Log.ChatsAfter(k.after, 1); err != nil || len(rest) > 0 {
		return k.look, k.Step
	}
	k.after = ""
	return k.shrink, k.Step
}

// shrink deletes a few of the chats that have been idle longest, if the file is
// too large.
func (k *Keeper) shrink(ctx context.Context) (step, time.Duration) {
	for deletes := 0; len(k.idle) > 0 && deletes < k.Deletes; deletes++ {
		usage, err := k.Log.Usage()
		if err != nil {
			k.Logger.Error("retention: how large is the file", "err", err)
			break
		}
		if usage.UsedBytes <= k.Bytes {
			k.idle = nil
			break
		}
		oldest := k.idle[0]
		k.idle = k.idle[1:]
		k.expire(ctx, oldest.id, oldest.last.Add(1), true)
	}
	if len(k.idle) > 0 {
		return k.shrink, k.Step
	}
	return k.look, k.Rest
}

// last returns the time of the last record of a room.
func (k *Keeper) last(id chat.RoomID) (at time.Time, ok bool) {
	for e, err := range k.Log.ReadBack(string(id), 0) {
		var r chat.Record
		if err == nil {
			r, err = chat.DecodeRecord(e.Seq, e.Data)
		}
		if err != nil {
			k.Logger.Error("retention: a chat cannot be read", "room", id, "err", err)
			return time.Time{}, false
		}
		return r.At, true
	}
	return time.Time{}, false
}

// remember notes a room if it is among those that were idle longest.
func (k *Keeper) remember(r idleRoom) {
	if k.Bytes == 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(k.idle, r, func(a, b idleRoom) int { return a.last.Compare(b.last) })
	if at < maxIdle {
		k.idle = slices.Insert(k.idle, at, r)
		k.idle = k.idle[:min(len(k.idle), maxIdle)]
	}
}

func (k *Keeper) expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) {
	deleted, err := k.Rooms.Expire(ctx, id, before, unused)
	switch {
	case err != nil && ctx.Err() == nil:
		k.Logger.Error("retention: delete a chat", "room", id, "err", err)
	case deleted:
		k.Logger.Info("deleted a chat that was idle too long", "room", id)
	}
}
