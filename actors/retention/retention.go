// Package retention deletes chats that have been idle for too long. When the file
// is too large, it deletes chats of those who take most of it.
//
//	timer → a few chats: when was the last record? ─ older than For, or than the chat's own
//	        │                                        limit → Rooms.Expire
//	        └ after the last chat: more than Bytes in use? → Rooms.Expire of those idle
//	          longest, of the owner who takes most
//
// # Whose chats
//
// When the file is too large, there is a size that no owner's chats may exceed for all
// chats to fit. Only owners above that size lose chats, the largest first, until they are
// down to it. So nobody loses a chat because somebody else writes much, also if that one's
// own chats are in use and stay.
//
// # Bounded work
//
// A step looks at a few chats and deletes even fewer. Between two steps the
// Keeper rests, however many chats there are. A round over 100,000 chats takes
// some minutes.
//
// # Nothing to do
//
// Without a limit of age, and while the file is small enough, a round reads no chat, unless one
// has a limit of its own. [Limits] are told of those while the server runs. The first round looks
// for them.
//
// # Who decides
//
// The room of a chat decides whether it is deleted, since somebody may say
// something between the look and the deletion.
package retention

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Log lists the chats and their records. See [persistence.Store].
type Log interface {
	ChatsAfter(after string, limit int) ([]string, error)
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]
	Usage() (persistence.Usage, error)
	Chat(room string) (persistence.Chat, error)
	Shares() iter.Seq2[persistence.Owned, error]
	Share(owner string) (persistence.Share, error)
}

// Rooms deletes chats. See [commands.Commands].
type Rooms interface {
	Expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) (deleted bool, err error)
}

// Options configure a [Keeper]. Log and Rooms have no default.
type Options struct {
	Log    Log
	Rooms  Rooms
	Logger *slog.Logger // nil discards

	Limits *Limits // of chats, noted while the keeper runs. Nil means that nobody notes any

	For   time.Duration // that a chat is kept after its last record. Zero means for ever
	Bytes int64         // of the file in use. Zero means no limit

	Step    time.Duration // between steps. Zero means 1 second
	Rest    time.Duration // between rounds. Zero means 1 minute
	Looks   int           // chats that a step looks at. Zero means 200
	Deletes int           // chats that a step deletes. Zero means 10
}

// Limits know whether chats have got limits of their own. The zero value knows of none.
type Limits struct{ noted atomic.Bool }

// Note is called with a chat when something happens in it, from any goroutine. It does not
// block.
func (l *Limits) Note(info chat.Info) {
	if info.RetainFor > 0 && !l.noted.Load() {
		l.noted.Store(true)
	}
}

// A Keeper deletes chats until it is closed.
type Keeper struct {
	Options
	stop context.CancelFunc
	done chan struct{}

	after string // the room that this round looked at last
	hogs  hogs   // of this round
	own   bool   // there may be a chat with a limit of its own
	found bool   // this round has found one
	freed bool   // this round has deleted a chat
	stuck bool   // the file is too large, and the last round could not help it
}

// Start starts a Keeper. The caller closes it before the rooms.
func Start(o Options) *Keeper {
	o.Step, o.Rest = cmp.Or(o.Step, time.Second), cmp.Or(o.Rest, time.Minute)
	o.Looks, o.Deletes = cmp.Or(o.Looks, 200), cmp.Or(o.Deletes, 10)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Limits = cmp.Or(o.Limits, new(Limits))
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{Options: o, stop: stop, done: make(chan struct{}), own: true}
	go k.run(ctx)
	return k
}

// Close stops the keeper and waits for it.
func (k *Keeper) Close() {
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
	if k.after == "" {
		k.hogs, k.freed, k.found = k.findHogs(), false, false
		k.own = k.Limits.noted.Swap(false) || k.own
		if k.For == 0 && len(k.hogs.all) == 0 && !k.own {
			k.note()
			return k.look, k.Rest
		}
	}
	rooms, err := k.Log.ChatsAfter(k.after, k.Looks)
	if err != nil {
		k.Logger.Error("retention: list chats", "err", err)
		return k.look, k.Rest
	}
	for deletes := 0; len(rooms) > 0 && deletes < k.Deletes; rooms = rooms[1:] {
		k.after = rooms[0]
		id := chat.RoomID(rooms[0])
		limit := k.limit(id)
		if limit == 0 && len(k.hogs.all) == 0 {
			continue // it stays however old it is
		}
		last, ok := k.last(id)
		switch {
		case !ok:
		case limit > 0 && time.Since(last) > limit:
			k.expire(ctx, id, time.Now().Add(-limit), false)
			deletes++
		default:
			k.remember(id, last)
		}
	}
	if rest, err := k.Log.ChatsAfter(k.after, 1); err != nil || len(rest) > 0 {
		return k.look, k.Step
	}
	k.after, k.own = "", k.found
	return k.shrink, k.Step
}

// limit returns how long a chat is kept after its last record: as long as its owner wants, and
// no longer than For. Zero is for ever.
func (k *Keeper) limit(id chat.RoomID) time.Duration {
	var info struct {
		RetainFor int64 `json:"retain_for"` // of [chat.Settings]
	}
	row, err := k.Log.Chat(string(id))
	if err != nil || json.Unmarshal(row.Info, &info) != nil {
		k.found = true // perhaps
		return k.For   // what is wrong with it is told elsewhere
	}
	own := time.Duration(min(max(info.RetainFor, 0), chat.MaxRetainFor)) * time.Second
	k.found = k.found || own > 0
	if own == 0 || k.For > 0 && k.For < own {
		return k.For
	}
	return own
}

// shrink deletes a few chats of the owners who take most, if the file is too large.
func (k *Keeper) shrink(ctx context.Context) (step, time.Duration) {
	for deletes := 0; deletes < k.Deletes; deletes++ {
		hog := k.hogs.largest()
		if hog == nil {
			k.note()
			return k.look, k.Rest
		}
		usage, err := k.Log.Usage()
		if err != nil {
			k.Logger.Error("retention: how large is the file", "err", err)
			return k.look, k.Rest
		}
		if usage.UsedBytes <= k.Bytes {
			return k.look, k.Rest
		}
		oldest := hog.idle[0]
		hog.idle = hog.idle[1:]
		k.expire(ctx, oldest.id, oldest.last.Add(1), true)
		left, err := k.Log.Share(hog.owner)
		if err != nil {
			k.Logger.Error("retention: how much does an owner take", "err", err)
			return k.look, k.Rest
		}
		hog.bytes = left.Bytes
	}
	return k.shrink, k.Step
}

// note logs that the file stays too large, once until that changes.
func (k *Keeper) note() {
	stuck := len(k.hogs.all) > 0 && !k.freed
	if stuck && !k.stuck {
		k.Logger.Warn("the file is larger than retain-bytes, and the chats of those who take most of it are in use")
	}
	k.stuck = stuck
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

func (k *Keeper) expire(ctx context.Context, id chat.RoomID, before time.Time, unused bool) {
	deleted, err := k.Rooms.Expire(ctx, id, before, unused)
	switch {
	case err != nil && ctx.Err() == nil:
		k.Logger.Error("retention: delete a chat", "room", id, "err", err)
	case deleted:
		k.freed = true
		k.Logger.Info("deleted a chat that was idle too long", "room", id)
	}
}
