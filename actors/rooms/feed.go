package rooms

import (
	"context"
	"maps"
	"sync"
	"time"

	"parlor/actors/access"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// ActivityEvery is how often a watcher is told at most of one chat. What happens in
// between is told together.
const ActivityEvery = 250 * time.Millisecond

// A feed tells watchers what happens in chats.
//
//	room → note → news of the chat, the latest only → ActivityEvery → one read of the log → watchers
//
// No room waits for it. Its cost is linear in the watchers who may read the chat. Without
// any it only notes which rooms run.
type feed struct {
	rooms *Rooms

	mu       sync.Mutex
	watchers map[chat.UserID]map[room.Watcher]chat.User
	running  map[chat.RoomID]room.Activity // of the rooms with an open turn
	news     map[chat.RoomID]room.Activity // that watchers are yet to be told

	wake    chan struct{} // has room for one element
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

func startFeed(r *Rooms) *feed {
	f := &feed{
		rooms: r, watchers: make(map[chat.UserID]map[room.Watcher]chat.User),
		running: make(map[chat.RoomID]room.Activity), news: make(map[chat.RoomID]room.Activity),
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go f.run()
	return f
}

// close ends the feed and waits for it.
func (f *feed) close() {
	f.once.Do(func() { close(f.closing) })
	<-f.done
}

func (f *feed) run() {
	defer close(f.done)
	for {
		select {
		case <-f.wake:
		case <-f.closing:
			return
		}
		select {
		case <-time.After(ActivityEvery):
			f.flush()
		case <-f.closing:
			return
		}
	}
}

// note takes in what has happened in a chat. It is called on the room's goroutine.
func (f *feed) note(a room.Activity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := a.Chat.Room
	if a.Running {
		f.running[id] = a
	} else {
		delete(f.running, id)
	}
	if len(f.watchers) == 0 {
		return
	}
	a.Removed = append(f.news[id].Removed, a.Removed...)
	f.news[id] = a
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// flush tells the news.
func (f *feed) flush() {
	f.mu.Lock()
	news := f.news
	f.news = make(map[chat.RoomID]room.Activity)
	f.mu.Unlock()
	for _, a := range news {
		f.tell(a)
	}
}

// tell tells the watchers who may read the chat what has happened. All that differs
// between them is what they have read and noted.
func (f *feed) tell(a room.Activity) {
	f.tellRemoved(a)
	users := f.readers(a.Chat)
	if len(users) == 0 {
		return
	}
	var t tail
	if !a.Deleted {
		var err error
		if t, err = f.rooms.tailOf(a.Chat); err != nil {
			_ = f.rooms.unreadable(err) // it is logged; nobody waits for an answer
			return
		}
	}
	for id, watchers := range users {
		mine, err := f.rooms.mineIn(id, a.Chat, t)
		if err != nil {
			_ = f.rooms.unreadable(err)
			continue
		}
		activity := activityOf(a, mine)
		for _, w := range watchers {
			w.Tell(activity)
		}
	}
}

// tellRemoved tells those who have lost their role that the chat is gone for them, unless
// they have another role by now.
func (f *feed) tellRemoved(a room.Activity) {
	for _, id := range a.Removed {
		f.mu.Lock()
		watchers := maps.Clone(f.watchers[id])
		f.mu.Unlock()
		for w, u := range watchers {
			if f.rooms.options.Access.Check(a.Chat, u, access.Read) != nil {
				w.Tell(activityOf(room.Activity{Chat: a.Chat, Seq: a.Seq, Deleted: true}, mine{}))
			}
		}
	}
}

func activityOf(a room.Activity, m mine) chat.Activity {
	state := chat.ActivityIdle
	switch {
	case a.Deleted:
		state = chat.ActivityDeleted
	case a.Running:
		state = chat.ActivityRunning
	}
	return chat.Activity{
		Chat: a.Chat.ID, Room: a.Chat.Room, Seq: max(a.Seq, m.left.LastSeq), State: state,
		Unread: m.left.Unread, Mentions: m.left.Mentions, Title: a.Chat.Title, LastTimestamp: m.left.LastTimestamp, Waiting: a.Waits, Mark: m.mark,
	}
}

// readers returns the watchers of those who may read the chat.
func (f *feed) readers(info chat.Info) map[chat.UserID][]room.Watcher {
	policy := f.rooms.options.Access
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make(map[chat.UserID][]room.Watcher)
	add := func(id chat.UserID) {
		for w, u := range f.watchers[id] {
			if policy.Check(info, u, access.Read) == nil {
				found[id] = append(found[id], w)
			}
		}
	}
	if policy.Shared {
		for id := range f.watchers {
			add(id)
		}
		return found
	}
	for _, m := range info.Everybody() {
		add(m.ID)
	}
	return found
}

// watched reports whether a connection of the user watches.
func (f *feed) watched(u chat.UserID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers[u]) > 0
}

// tellUser tells the connections of a user that the user has read or marked a chat.
func (f *feed) tellUser(u chat.UserID, info chat.Info, m mine) {
	f.mu.Lock()
	now, runs := f.running[info.Room]
	var watchers []room.Watcher
	for w := range f.watchers[u] {
		watchers = append(watchers, w)
	}
	f.mu.Unlock()
	for _, w := range watchers {
		w.Tell(activityOf(room.Activity{Chat: info, Running: runs, Waits: now.Waits}, m))
	}
}

// Watch tells w from now on what happens in the chats that the user may read, until
// Unwatch is called.
func (r *Rooms) Watch(u chat.User, w room.Watcher) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers[u.ID] == nil {
		f.watchers[u.ID] = make(map[room.Watcher]chat.User)
	}
	f.watchers[u.ID][w] = u
}

// Unwatch ends what Watch has begun for the user.
func (r *Rooms) Unwatch(u chat.UserID, w room.Watcher) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.watchers[u], w); len(f.watchers[u]) == 0 {
		delete(f.watchers, u)
	}
}

// maxRunning is how many running chats [Rooms.Running] returns.
const maxRunning = 100

// Running returns the chats in which a turn runs or waits and which the user may read.
func (r *Rooms) Running(ctx context.Context, u chat.User) (all []chat.Activity, err error) {
	err = r.query(ctx, u, func(*read) error {
		for _, a := range r.feed.runningFor(u) {
			mine, err := r.mineOf(u.ID, a.Chat)
			if err != nil {
				return err
			}
			all = append(all, activityOf(a, mine))
		}
		return nil
	})
	return all, err
}

func (f *feed) runningFor(u chat.User) (all []room.Activity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.running {
		if len(all) < maxRunning && f.rooms.options.Access.Check(a.Chat, u, access.Read) == nil {
			all = append(all, a)
		}
	}
	return all
}
