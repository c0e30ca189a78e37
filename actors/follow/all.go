package follow

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// Limits of who follows all chats.
const (
	// maxOpen is how many chats are followed at once: those in which something goes on. The
	// others wait, and each gets its turn after turnTime.
	maxOpen  = 32
	turnTime = time.Second

	// quietTime is how long nothing is told of a chat until it is followed no more.
	quietTime = 10 * time.Second

	lookEvery  = time.Second
	retryAfter = 10 * time.Second // until a chat is followed again whose room has failed
	pageSize   = 100              // chats that are listed at once

	// maxNamed is how many chats a cursor names. If more have records of the last minute, or
	// are behind, somebody who comes back may be told records of them twice.
	maxNamed = 500
)

// FollowAll tells the user what happens in all chats that the user may read, also those
// that come while it goes on, behind the place that a cursor says; from now on if that is
// empty. It follows a chat only while something happens there, apart from those who are in
// its room. First the follower is told the cursor of the beginning. The encoder has to have
// a form for every record, which may be an empty one. The errors are those of Follow.
func (f *Follower) FollowAll(ctx context.Context, u chat.User, from, encoder string, tell func(chat.Told) error) error {
	if f.encoders[encoder] == nil {
		return errNoEncoder
	}
	start, err := parseCursor(from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	a := &all{
		Follower: f, user: u, encoder: encoder, tell: tell, cancel: cancel, start: start, news: newNews(),
		chats: make(map[chat.ID]*followed), recent: make(map[chat.ID]*followed),
	}
	f.rooms.Watch(u, a.news)
	defer f.rooms.Unwatch(u.ID, a.news)
	if from == "" {
		a.start.from = time.Now() // not before: what happens from now on is news
	}
	defer a.open.Wait()
	defer cancel(nil)
	return a.run(ctx, from != "")
}

// all is one call of FollowAll.
type all struct {
	*Follower
	user    chat.User
	encoder string
	cancel  context.CancelCauseFunc
	start   cursor
	news    *news
	open    sync.WaitGroup

	mu      sync.Mutex // held while something is told
	tell    func(chat.Told) error
	chats   map[chat.ID]*followed // of which something was told, or will be
	recent  map[chat.ID]*followed // those that cursors name
	waiting []*followed           // to be followed
	opened  int                   // are followed
	backlog int                   // of recent that cursors do not name: see followed.unnamed
}

// A followed chat is one in which something has happened.
type followed struct {
	id      chat.ID
	epoch   string
	seq     uint64    // the user has all records up to this one
	at      time.Time // when that was made
	last    uint64    // the chat has records up to this one, as far as is known
	running bool      // an answer is being given
	waits   bool
	unnamed bool               // nothing was told of it, and its place follows from the time of the cursor
	stop    context.CancelFunc // of the one who follows it, or nil
	since   time.Time          // when that has begun
	told    time.Time          // when something was told last
}

func (a *all) run(ctx context.Context, returns bool) error {
	if err := a.begin(ctx, returns); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a.mu.Lock()
		a.fill(ctx)
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.news.filled:
			for _, activity := range a.news.take() {
				if err := a.note(ctx, activity); err != nil {
					return err
				}
			}
		case <-tick.C:
			a.look()
		}
	}
}

// begin finds the chats in which something goes on, and those with records that the user
// has missed.
func (a *all) begin(ctx context.Context, returns bool) error {
	if err := a.tell(chat.Told{Cursor: a.start.String()}); err != nil {
		return err
	}
	running, err := a.rooms.Running(ctx, a.user)
	if err != nil {
		return err
	}
	for _, activity := range running {
		if err := a.note(ctx, activity); err != nil {
			return err
		}
	}
	for offset := 0; returns; offset += pageSize {
		infos, _, err := a.rooms.List(ctx, a.user, offset, pageSize)
		if err != nil {
			return err
		}
		for _, info := range infos {
			c, err := a.find(ctx, info.ID)
			if err != nil {
				return err
			}
			a.mu.Lock()
			if c != nil && c.waits && !c.unnamed && c.at.IsZero() {
				c.unnamed = true
				a.backlog++
			}
			a.mu.Unlock()
		}
		if len(infos) < pageSize {
			break
		}
	}
	return nil
}

// note takes in that something has happened in a chat.
func (a *all) note(ctx context.Context, activity chat.Activity) error {
	if activity.State == chat.ActivityDeleted {
		return a.gone(activity.Chat)
	}
	c, err := a.find(ctx, activity.Chat)
	if c == nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.last, c.running = max(c.last, activity.Seq), activity.State == chat.ActivityRunning
	a.want(c)
	return nil
}

// find returns a chat that the user may read, or nil. A chat of which nothing was told so
// far begins where the user's cursor says, or with the first record that is too new for it.
func (a *all) find(ctx context.Context, id chat.ID) (*followed, error) {
	a.mu.Lock()
	c := a.chats[id]
	a.mu.Unlock()
	if c != nil {
		return c, nil
	}
	before, last, err := a.rooms.Since(ctx, a.user, id.Room(), a.start.from)
	if refusal := chat.AsError(err); refusal != nil && refusal.Code == chat.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c = &followed{id: id, epoch: before.Epoch, seq: before.Seq, last: last.Seq}
	a.mu.Lock()
	defer a.mu.Unlock()
	if seq, named := a.start.seqs[tagOf(id.Room(), before.Epoch)]; named {
		c.seq, c.at = seq, time.Now() // or before
		a.chats[id], a.recent[id] = c, c
	}
	a.want(c)
	return c, nil
}

// want has a chat followed if there is anything to tell of it.
func (a *all) want(c *followed) {
	if c.waits || c.stop != nil || c.seq >= c.last && !c.running {
		return
	}
	c.waits = true
	a.chats[c.id], a.recent[c.id] = c, c
	a.waiting = append(a.waiting, c)
}

// fill follows the chats that wait, as many as may be.
func (a *all) fill(ctx context.Context) {
	for len(a.waiting) > 0 && a.opened < maxOpen {
		c := a.waiting[0]
		a.waiting = a.waiting[1:]
		ctx, stop := context.WithCancel(ctx)
		c.waits, c.stop, c.since, c.told = false, stop, time.Now(), time.Now()
		a.opened++
		place := chat.Place{Epoch: c.epoch, Seq: c.seq}
		a.open.Go(func() { a.closed(c, a.follow(ctx, c, place)) })
	}
}

func (a *all) follow(ctx context.Context, c *followed, place chat.Place) error {
	s := &following{
		Follower: a.Follower, user: a.user, room: c.id.Room(), encoder: a.encoder, apart: true,
		tell: func(t chat.Told) error { return a.say(ctx, c, t) },
	}
	return s.follow(ctx, place, a.maxBytes/maxOpen)
}

// closed takes in that a chat is followed no more.
func (a *all) closed(c *followed, err error) {
	a.mu.Lock()
	a.opened--
	failed := c.stop != nil
	if a.halt(c); !failed {
		a.want(c)
	}
	a.mu.Unlock()
	refusal, refused := errors.AsType[*chat.Error](err)
	switch {
	case !failed: // it was halted
	case refused && refusal.Code == chat.CodeNotFound:
		err = a.gone(c.id)
		failed = err != nil
	case refused: // a room that fails ends no other: see look
		failed = false
	}
	if failed {
		a.cancel(err)
	}
	a.news.wake()
}

// halt ends the following of a chat, if it is followed.
func (a *all) halt(c *followed) {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// say tells something of a chat, unless it is about who is there.
func (a *all) say(ctx context.Context, c *followed, t chat.Told) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.Chat = c.id
	switch n := t.Notice.(type) {
	case chat.Entered:
		if c.epoch = n.Epoch; n.Anew != "" {
			c.seq = 0
		}
		t = chat.Told{More: t.More} // which sends on what was told before
	case chat.Record:
		a.record(c, n, &t)
	case chat.Missed:
		a.record(c, n.Record, &t)
	}
	c.told = time.Now()
	return a.tell(t)
}

// gone tells that a chat was deleted, or that the user may not read it any more, if the user
// was told anything of it.
func (a *all) gone(id chat.ID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.chats[id]
	if c == nil {
		return nil
	}
	a.halt(c)
	a.name(c)
	delete(a.chats, id)
	delete(a.recent, id)
	a.waiting = slices.DeleteFunc(a.waiting, func(other *followed) bool { return other == c })
	c.waits, c.running, c.last = false, false, c.seq // so that nobody wants it
	removal := chat.Removal{Away: true}
	encoded := a.encoders[a.encoder](chat.Info{ID: id, Room: id.Room()}).Encode(id.Room(), removal)
	return a.tell(chat.Told{Chat: id, Notice: removal, Encoded: encoded})
}

// look ends the following of chats in which nothing happens, and of those that were
// followed for longest if others wait. It follows chats again that have failed, and finds
// those that cursors need not name any more.
func (a *all) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for id, c := range a.recent {
		switch {
		case c.stop != nil && !c.running && c.seq >= c.last && now.Sub(c.told) > quietTime:
			a.halt(c)
		case c.stop == nil && now.Sub(c.since) > retryAfter:
			a.want(c)
		}
		if c.settled() && a.backlog == 0 && now.Sub(c.at) > margin {
			delete(a.recent, id)
		}
	}
	turns := len(a.waiting) - (maxOpen - a.opened)
	open := slices.Collect(maps.Values(a.recent))
	open = slices.DeleteFunc(open, func(c *followed) bool { return c.stop == nil || now.Sub(c.since) <= turnTime })
	slices.SortFunc(open, func(one, other *followed) int { return one.since.Compare(other.since) })
	for _, c := range open[:max(0, min(len(open), turns))] {
		a.halt(c)
	}
}
