// Package observe looks at the actors of a running server, for administrators.
//
//	Observer.Actors, Find, Room → system.Each → what each actor shows of itself
//	Observer.Follow             → a listener of the room whom nobody sees → events without words
//
// Looking asks no actor anything: queues and counters are read where they are. A look at all
// actors of a kind is kept for a while, the longer the more it has cost, so that looking again
// and again takes less than one part in four hundred of a processor, however many actors and
// administrators there are.
package observe

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	"parlor/protocol/admin"
	"parlor/protocol/chat"
)

// Rooms tell an operator what a room says.
type Rooms interface {
	Observe(ctx context.Context, by chat.User, id chat.RoomID, encoder string, begin func(seq uint64) error, tell func(p *room.Publication, missed int) error) error
}

// An Observer looks at the actors of a server. Its methods may be called from any goroutine.
type Observer struct {
	system *system.System
	rooms  Rooms

	mu    sync.Mutex // held while somebody looks: one look at a time
	kept  map[admin.Query]kept
	looks atomic.Uint64
	spent atomic.Int64 // nanoseconds
}

// New returns an Observer.
func New(sys *system.System, r Rooms) *Observer {
	return &Observer{system: sys, rooms: r, kept: make(map[admin.Query]kept)}
}

// Kept pages are told again until they are too old.
type kept struct {
	pages []admin.Page
	until time.Time
}

// A page is kept for a second, or for restsFor times the time that it has cost, and longer the
// more pages are kept: so all of them together cost no more. At most maxKept are.
const (
	keepFor  = time.Second
	restsFor = 400
	maxKept  = 32
)

// Cost returns how often somebody has looked, and what that has cost.
func (o *Observer) Cost() admin.Cost {
	return admin.Cost{Looks: o.looks.Load(), Seconds: time.Duration(o.spent.Load()).Seconds()}
}

// Count returns how many actors of a kind there are.
func (o *Observer) Count(kind string) int { return o.system.Count(kind) }

// Actors returns a page of the actors of a kind.
func (o *Observer) Actors(q admin.Query) admin.Page {
	q.Text = strings.ToLower(strings.TrimSpace(q.Text))
	q.Limit = min(max(q.Limit, 1), admin.MaxPage)
	q.Offset = max(q.Offset, 0)
	return o.pages(q, q.Sort)[0]
}

// pages returns the same page of the actors of a kind in each of the orders.
func (o *Observer) pages(q admin.Query, sorts ...admin.Sort) []admin.Page {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if k, ok := o.kept[q]; ok && now.Before(k.until) {
		return k.pages
	}
	pages := o.look(q, sorts)
	for i := range pages {
		pages[i].TakenAt = now
	}
	took := time.Since(now)
	o.looks.Add(1)
	o.spent.Add(int64(took))
	o.keep(q, pages, took)
	return pages
}

// keep keeps pages in the place of those that are too old, or of any if there are too many.
func (o *Observer) keep(q admin.Query, pages []admin.Page, took time.Duration) {
	now := time.Now()
	for at, other := range o.kept {
		if len(o.kept) >= maxKept || now.After(other.until) {
			delete(o.kept, at)
		}
	}
	rest := restsFor * took * time.Duration(len(o.kept)+1)
	o.kept[q] = kept{pages, now.Add(max(keepFor, rest))}
}

// look looks once at each actor, however many orders there are.
func (o *Observer) look(q admin.Query, sorts []admin.Sort) []admin.Page {
	best := make([]top, len(sorts))
	for i := range best {
		best[i].size = q.Offset + q.Limit
	}
	for l := range o.system.Each(q.Kind) {
		if matches(l, q) {
			for i, sort := range sorts {
				best[i].add(l, rank(l, sort))
			}
		}
	}
	pages := make([]admin.Page, len(sorts))
	for i := range best {
		pages[i] = admin.Page{Actors: []admin.Actor{}, Total: best[i].seen}
		for _, l := range best[i].from(q.Offset) {
			pages[i].Actors = append(pages[i].Actors, show(l))
		}
	}
	return pages
}

func matches(l system.Look, q admin.Query) bool {
	if q.Parent != "" && !strings.HasPrefix(l.ID, q.Parent+"/") {
		return false
	}
	if q.Text == "" || contains(l.ID, q.Text) {
		return true
	}
	switch about := l.About.(type) {
	case *room.Pulse:
		info := about.Chat()
		return info != nil && (contains(string(info.ID), q.Text) || contains(string(info.Owner), q.Text))
	case *session.Port:
		s := about.Look()
		return contains(s.User, q.Text) || contains(s.Remote, q.Text)
	}
	return false
}

func contains(s, lower string) bool { return strings.Contains(strings.ToLower(s), lower) }

// rank says how far in front an actor belongs.
func rank(l system.Look, by admin.Sort) int64 {
	switch by {
	case admin.ByQueue:
		return int64(l.Queue)
	case admin.ByRestarts:
		return int64(l.Restarts)
	case admin.ByFailure:
		if l.Failure != nil {
			return l.Failure.At.UnixNano()
		}
	case admin.BySince:
		return l.Since.UnixNano()
	case admin.ByTurn:
		if p, ok := l.About.(*room.Pulse); ok {
			if t := p.Running(); t != nil {
				return -t.Since.UnixNano()
			}
		}
		return -1 << 63
	}
	return 0
}

// show returns what administrators see of an actor.
func show(l system.Look) admin.Actor {
	a := admin.Actor{ID: l.ID, Kind: l.Kind, Queue: l.Queue, Restarts: l.Restarts, Since: l.Since.UTC(), State: admin.StateIdle}
	if l.Queue > 0 {
		a.State = admin.StateWorking
	}
	if l.Failure != nil {
		a.Failure = &admin.Failure{At: l.Failure.At.UTC(), Reason: l.Failure.Reason}
	}
	switch about := l.About.(type) {
	case *room.Pulse:
		showRoom(&a, about.Look(), l.ID)
	case *session.Port:
		s := about.Look()
		a.Client = &admin.Client{User: chat.UserID(s.User), Remote: s.Remote, UnderWay: s.UnderWay}
		switch {
		case s.User == "":
			a.State = admin.StateStranger
		case a.State == admin.StateIdle:
			a.State = admin.StateOpen
		}
	}
	if l.Failed {
		a.State = admin.StateRestarting
	}
	return a
}

func showRoom(a *admin.Actor, s room.Standing, id string) {
	a.Room = &admin.Room{ID: roomOf(id), Chat: s.Chat.ID, Owner: s.Chat.Owner, Listeners: s.Listeners, Turns: s.Turns, Waiting: s.Waiting}
	if t := s.Running; t != nil {
		a.Room.Running = &admin.Turn{ID: t.ID, ModelID: t.ModelID, By: t.By, Attempt: t.Attempt, Since: t.Since.UTC()}
	}
	switch {
	case s.Hung:
		a.State = admin.StateHung
	case s.Quarantined:
		a.State = admin.StateQuarantined
	case s.Waiting > 0:
		a.State = admin.StateWaiting
	case s.Running != nil:
		a.State = admin.StateAnswering
	case a.State == admin.StateIdle && s.Listeners > 0:
		a.State = admin.StateOpen
	}
}

// roomOf returns the room whose actor has the path rooms/{room}.{number}.
func roomOf(id string) chat.RoomID {
	name := id[strings.LastIndexByte(id, '/')+1:]
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[:i]
	}
	return chat.RoomID(name)
}

// Room returns a room in memory with the actors below it.
func (o *Observer) Room(id chat.RoomID) (actors []admin.Actor, ok bool) {
	for l := range o.system.Each(admin.KindRoom) {
		if roomOf(l.ID) == id {
			actors = append(actors, show(l))
		}
	}
	if len(actors) == 0 {
		return nil, false
	}
	for _, kind := range []string{admin.KindTurn, admin.KindLine} {
		for l := range o.system.Each(kind) {
			if strings.HasPrefix(l.ID, actors[0].ID+"/") {
				actors = append(actors, show(l))
			}
		}
	}
	return actors, true
}

// byAttention are the orders of [Observer.Attention] together. No query of an administrator
// has it.
const byAttention admin.Sort = "attention"

// Attention returns the rooms that fail, hang or have much to do, the worst first, at most
// limit.
func (o *Observer) Attention(limit int) (worst []admin.Actor) {
	q := admin.Query{Kind: admin.KindRoom, Sort: byAttention, Limit: limit}
	for _, page := range o.pages(q, admin.ByFailure, admin.ByQueue, admin.ByTurn) {
		for _, a := range page.Actors {
			same := func(b admin.Actor) bool { return b.ID == a.ID }
			if (a.Failure != nil || a.Queue > 0 || a.Room.Running != nil) && len(worst) < limit && !slices.ContainsFunc(worst, same) {
				worst = append(worst, a)
			}
		}
	}
	return worst
}

// Waiting returns how many calls of tools wait for a member, and Queued how many messages
// wait in the mailboxes of a kind, and how many in the longest.
func (o *Observer) Waiting() (n int) {
	for l := range o.system.Each(admin.KindRoom) {
		if p, ok := l.About.(*room.Pulse); ok {
			n += p.Look().Waiting
		}
	}
	return n
}

func (o *Observer) Queued(kind string) (all, longest int) {
	for l := range o.system.Each(kind) {
		all += l.Queue
		longest = max(longest, l.Queue)
	}
	return all, longest
}

// Disconnect closes the connection of a session. It reports false if there is no such one.
func (o *Observer) Disconnect(id string) bool {
	for l := range o.system.Each(admin.KindSession) {
		if p, ok := l.About.(*session.Port); ok && l.ID == id {
			p.Disconnect()
			return true
		}
	}
	return false
}

// Follow tells what happens in a room, until ctx ends or the chat is gone.
func (o *Observer) Follow(ctx context.Context, by chat.User, id chat.RoomID, tell func(admin.Event) error) error {
	begin := func(seq uint64) error { return tell(admin.Event{Event: admin.EventFollowed, Seq: seq}) }
	return o.rooms.Observe(ctx, by, id, admin.Encoder, begin, func(p *room.Publication, missed int) error {
		if missed > 0 {
			if err := tell(admin.Event{Event: admin.EventMissed, Missed: missed}); err != nil {
				return err
			}
		}
		e, ok := p.Encoded.(admin.Event)
		if !ok {
			if e, ok = admin.EventOf(p.Notice); !ok {
				return nil
			}
		}
		return tell(e)
	})
}

// NewEncoder makes the encoder of rooms for [Observer.Follow].
func NewEncoder(chat.Info) room.Encoder { return encoder{} }

type encoder struct{}

// Encode implements room.Encoder.
func (encoder) Encode(_ chat.RoomID, n chat.Notice) any {
	if e, ok := admin.EventOf(n); ok {
		return e
	}
	return nil
}
