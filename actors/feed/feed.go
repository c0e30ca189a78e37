// Package feed tells users what happens in their chats, in all of them at once, and keeps what
// each user notes of a chat: how far they have read, and what they have pinned, archived or put
// in a folder.
//
//	room → Note → news of the chat, the latest only → ActivityEvery → one read of the log → watchers
//	Mark, MarkRead → log → the user's own watchers
//
// No room waits for it.
package feed

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/actors/queries"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// ActivityEvery is how often a watcher is told at most of one chat. What happens in
// between is told together.
const ActivityEvery = 250 * time.Millisecond

// A Log is the part of the event log that a feed needs. See [persistence.Store].
type Log interface {
	OpenTurns() ([]string, error)
	Chat(room string) (persistence.Chat, error)
	Last(room string) (seq uint64, err error)
	MarkRead(room, user string, seq uint64, done func(error))
	Mark(room, user, list string, c persistence.MarkChange, done func(persistence.Mark, error))
}

// A Feed tells watchers what happens in chats. Its cost is linear in the watchers who may read
// the chat. Without any it only notes which rooms run. Its methods may be called from any
// goroutine.
type Feed struct {
	log     Log
	queries *queries.Queries

	mu       sync.Mutex
	watchers map[chat.UserID]map[room.Watcher]chat.User
	running  map[chat.RoomID]room.Activity // of the rooms with an open turn
	news     map[chat.RoomID]room.Activity // that watchers are yet to be told

	wake    chan struct{} // has room for one element
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

// Start starts a feed. The rooms that have an open turn count as running until they tell.
func Start(log Log, q *queries.Queries) (*Feed, error) {
	f := &Feed{
		log: log, queries: q, watchers: make(map[chat.UserID]map[room.Watcher]chat.User),
		running: make(map[chat.RoomID]room.Activity), news: make(map[chat.RoomID]room.Activity),
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	open, err := log.OpenTurns()
	if err != nil {
		return nil, fmt.Errorf("find open turns: %w", err)
	}
	for _, id := range open {
		if row, err := log.Chat(id); err == nil {
			if info, err := conversation.ReadRow(row); err == nil {
				f.Note(room.Activity{Chat: info, Running: true})
			}
		}
	}
	go f.run()
	return f, nil
}

// Close ends the feed and waits for it. Rooms may tell it something afterwards.
func (f *Feed) Close() {
	f.once.Do(func() { close(f.closing) })
	<-f.done
}

func (f *Feed) run() {
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

// Note takes in what has happened in a chat. It is called on the room's goroutine.
func (f *Feed) Note(a room.Activity) {
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
func (f *Feed) flush() {
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
func (f *Feed) tell(a room.Activity) {
	f.tellRemoved(a)
	users := f.readers(a.Chat)
	if len(users) == 0 {
		return
	}
	var t queries.Tail
	if !a.Deleted {
		var err error
		if t, err = f.queries.Tail(a.Chat); err != nil {
			_ = f.queries.Unreadable(err) // it is logged; nobody waits for an answer
			return
		}
	}
	for id, watchers := range users {
		mine, err := f.queries.MineIn(id, a.Chat, t)
		if err != nil {
			_ = f.queries.Unreadable(err)
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
func (f *Feed) tellRemoved(a room.Activity) {
	for _, id := range a.Removed {
		f.mu.Lock()
		watchers := maps.Clone(f.watchers[id])
		f.mu.Unlock()
		for w, u := range watchers {
			if f.queries.Access.Check(a.Chat, u, access.Read) != nil {
				w.Tell(activityOf(room.Activity{Chat: a.Chat, Seq: a.Seq, Deleted: true}, queries.Mine{}))
			}
		}
	}
}

func activityOf(a room.Activity, m queries.Mine) chat.Activity {
	state := chat.ActivityIdle
	switch {
	case a.Deleted:
		state = chat.ActivityDeleted
	case a.Running:
		state = chat.ActivityRunning
	}
	return chat.Activity{
		Chat: a.Chat.ID, Room: a.Chat.Room, Seq: max(a.Seq, m.Left.LastSeq), State: state,
		Unread: m.Left.Unread, Mentions: m.Left.Mentions, Title: a.Chat.Title, LastTimestamp: m.Left.LastTimestamp, Waiting: a.Waits, Mark: m.Mark,
	}
}

// readers returns the watchers of those who may read the chat.
func (f *Feed) readers(info chat.Info) map[chat.UserID][]room.Watcher {
	policy := f.queries.Access
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
func (f *Feed) watched(u chat.UserID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers[u]) > 0
}

// tellUser tells the connections of a user that the user has read or marked a chat.
func (f *Feed) tellUser(u chat.UserID, info chat.Info, m queries.Mine) {
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
func (f *Feed) Watch(u chat.User, w room.Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers[u.ID] == nil {
		f.watchers[u.ID] = make(map[room.Watcher]chat.User)
	}
	f.watchers[u.ID][w] = u
}

// Unwatch ends what Watch has begun for the user.
func (f *Feed) Unwatch(u chat.UserID, w room.Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.watchers[u], w); len(f.watchers[u]) == 0 {
		delete(f.watchers, u)
	}
}

// maxRunning is how many running chats [Feed.Running] returns.
const maxRunning = 100

// Running returns the chats in which a turn runs or waits and which the user may read.
func (f *Feed) Running(ctx context.Context, u chat.User) (all []chat.Activity, err error) {
	err = f.queries.Query(ctx, u, func() error {
		for _, a := range f.runningFor(u) {
			mine, err := f.queries.MineOf(u.ID, a.Chat)
			if err != nil {
				return err
			}
			all = append(all, activityOf(a, mine))
		}
		return nil
	})
	return all, err
}

func (f *Feed) runningFor(u chat.User) (all []room.Activity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.running {
		if len(all) < maxRunning && f.queries.Access.Check(a.Chat, u, access.Read) == nil {
			all = append(all, a)
		}
	}
	return all
}
