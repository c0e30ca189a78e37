package assistant

import (
	"context"
	"slices"

	"parlor/actors/resume"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A comeback is the return of a client that was here before, until all its rooms have answered
// and what it has missed is read. The frames are collected, and are sent after the
// confirmation. If that fails, since too much was missed or a room refuses, nothing has
// been sent, and the client begins anew.
//
// The reference server sends what was missed before the confirmation. An official
// client then keeps the events for later and does not move its offset. If the
// connection ends in between, it asks for all of them again, and has them twice.
type comeback struct {
	c *client
	backlog
	joins   map[uint64]*resume.Place // places whose room has not answered, by the Ref of the join
	behind  []behind                 // rooms whose records are yet to be read
	reading bool
	later   []*resume.Place // places whose rooms are joined when nothing else waits
	gone    []*resume.Place // places whose chats were deleted
}

// behind is a room that has admitted the client again, and in which the client has
// missed records.
type behind struct {
	place  *resume.Place
	joined room.Joined
}

// comeBack joins the rooms of a client that was here before.
func (c *client) comeBack() {
	c.socket.Defer()
	r := &comeback{c: c, backlog: backlog{limit: c.maxReplayBytes(), returning: true}, joins: make(map[uint64]*resume.Place)}
	c.comeback = r
	places := c.standing.Places()
	if len(places) > c.maxRooms() {
		c.beginInstead()
		return
	}
	if len(places) == 1 {
		c.lastRoom = places[0].Room
	}
	// An offset can say of one record only that the client has a part of it. So the
	// rest of this record is sent before anything else.
	if i := slices.IndexFunc(places, (*resume.Place).Partly); i >= 0 {
		r.later = slices.Delete(slices.Clone(places), i, i+1)
		places = places[i : i+1]
	}
	r.rejoin(places)
}

// rejoin joins rooms as the client had joined them.
func (r *comeback) rejoin(places []*resume.Place) {
	c := r.c
	for _, p := range places {
		d, ok := dialectOf(p.Encoder)
		if !ok {
			c.beginInstead()
			return
		}
		call := c.caller()
		r.joins[call.Ref] = p
		c.enter(p.Room, &membership{dialect: d})
		c.Rooms.Tell(p.Room, &room.Join{Caller: call, Encoder: p.Encoder, Returning: true})
	}
	r.goOn()
}

// dialectOf returns the dialect whose encoder has the name.
func dialectOf(encoder string) (wire.Dialect, bool) {
	i := slices.IndexFunc(wire.Dialects, func(d wire.Dialect) bool { return d.String() == encoder })
	if i < 0 {
		return 0, false
	}
	return wire.Dialects[i], true
}

// goOn takes the next step of the return, unless something is still waited for.
func (r *comeback) goOn() {
	switch {
	case len(r.joins) > 0 || r.reading:
	case len(r.later) > 0:
		later := r.later
		r.later = nil
		r.rejoin(later)
	default:
		r.confirm()
	}
}

// rejoined handles a room's answer to a join of rejoin, and reports whether it was one.
// The client must get back into every room in which it knows itself to be. Only of a
// deleted chat it is told instead that it is gone.
func (r *comeback) rejoined(d room.Reply) bool {
	c := r.c
	p, ok := r.joins[d.Ref]
	if !ok {
		return false
	}
	delete(r.joins, d.Ref)
	j, admitted := d.Body.(room.Joined)
	switch {
	case !admitted && d.Err.Code == chat.CodeNotFound:
		delete(c.rooms, p.Room)
		r.gone = append(r.gone, p)
		r.goOn()
	case !admitted, !p.In(j.Epoch), !p.Within(j.Seq):
		c.beginInstead()
	case p.Seq() == j.Seq:
		r.caughtUp(p, j, nil)
	default:
		c.queues.hold(p.Room)
		r.behind = append(r.behind, behind{p, j})
		r.readNext()
	}
	return true
}

// readNext reads the records that the client has missed in the next room. One room is
// read at a time, since the limit is one for all rooms together. What a room says
// meanwhile waits.
func (r *comeback) readNext() {
	c := r.c
	if r.reading || len(r.behind) == 0 {
		return
	}
	r.reading = true
	p, j := r.behind[0].place, r.behind[0].joined
	r.behind = r.behind[1:]
	dialect, limit := c.rooms[p.Room].dialect, r.limit
	c.socket.Go(func(ctx context.Context) func() {
		missed, err := c.missed(ctx, c.user, p, dialect, j, limit)
		return func() {
			switch {
			case c.comeback != r: // the client has begun anew
			case err != nil:
				c.beginInstead()
			default:
				r.reading = false
				r.caughtUp(p, j, missed)
			}
		}
	})
}

// caughtUp adds the records that the client has missed in a room to the backlog.
func (r *comeback) caughtUp(p *resume.Place, j room.Joined, missed []replayed) {
	c, m := r.c, r.c.rooms[p.Room]
	m.place = p
	before := len(r.frames)
	if !c.standing.catchUp(&r.backlog, p, m.dialect, missed, j) {
		c.beginInstead()
		return
	}
	r.count(p.Room, m.dialect, before)
	c.queues.proceed(p.Room)
	if c.comeback == r {
		r.readNext()
		r.goOn()
	}
}

// confirm ends the return. From now on the client is like any other.
func (r *comeback) confirm() {
	c := r.c
	c.comeback = nil
	for _, p := range r.gone {
		c.standing.Leave(p)
		d, _ := dialectOf(p.Encoder)
		r.frames = append(r.frames, c.standing.allWithOffset(wire.NewEncoder(d).Frames(p.Room, chat.Removal{Away: true}))...)
	}
	c.returned(true)
	c.socket.Confirm()
	c.socket.Send(r.all()...)
}

// beginInstead gives a client that cannot come back a new seat, and no rooms.
func (c *client) beginInstead() {
	c.leaveAll()
	clear(c.rooms)
	c.queues.drop()
	c.comeback = nil
	c.returned(false)
	c.standing.Begin()
	c.socket.Confirm()
}
