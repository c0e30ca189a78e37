package assistant

import (
	"context"
	"slices"

	"parlor/actors/resume"
	"parlor/actors/room"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// returning is a client that was here before, until all its rooms have answered
// and what it has missed is read. That is collected, and follows the
// confirmation. Should too much have been missed, or a room not be able to tell,
// the client begins anew and has been sent nothing of what it had.
//
// The reference server sends what was missed ahead of the confirmation. But an
// official client keeps that for later without moving its offset, and if the
// connection ends in between it asks for all of it again, and has it twice.
type returning struct {
	backlog
	joins   map[uint64]*resume.Place // that wait for a room's answer, by their Ref
	behind  []behind                 // rooms whose records are to be read, one after the other
	reading bool
	later   []*resume.Place // where the client comes back after all that
	gone    []*resume.Place // their chats were deleted
}

// behind is a room that has admitted the client again, which has missed something.
type behind struct {
	place  *resume.Place
	joined room.Joined
}

// comeBack joins the rooms of a client that was here before.
func (c *client) comeBack() {
	c.socket.Defer()
	c.returning = &returning{backlog: backlog{limit: c.maxReplayBytes()}, joins: make(map[uint64]*resume.Place)}
	places := c.standing.Places()
	if len(places) > c.maxRooms() {
		c.beginInstead()
		return
	}
	if len(places) == 1 {
		c.last = places[0].Room
	}
	// An offset has room for a part of one record only, so the rest of that
	// record comes ahead of everything else.
	if i := slices.IndexFunc(places, (*resume.Place).Partly); i >= 0 {
		c.returning.later = slices.Delete(slices.Clone(places), i, i+1)
		places = places[i : i+1]
	}
	c.rejoin(places)
}

// rejoin joins rooms as the client had joined them.
func (c *client) rejoin(places []*resume.Place) {
	for _, p := range places {
		d, ok := dialectOf(p.Encoder)
		if !ok {
			c.beginInstead()
			return
		}
		call := c.caller()
		c.returning.joins[call.Ref] = p
		c.enter(p.Room, &membership{dialect: d})
		c.Rooms.Tell(p.Room, &room.Join{Caller: call, Encoder: p.Encoder})
	}
	c.goOn()
}

// dialectOf returns the dialect whose encoder has the name.
func dialectOf(encoder string) (wire.Dialect, bool) {
	i := slices.IndexFunc(wire.Dialects, func(d wire.Dialect) bool { return d.String() == encoder })
	if i < 0 {
		return 0, false
	}
	return wire.Dialects[i], true
}

// goOn does what is next if nothing is waited for.
func (c *client) goOn() {
	r := c.returning
	switch {
	case len(r.joins) > 0 || r.reading:
	case len(r.later) > 0:
		later := r.later
		r.later = nil
		c.rejoin(later)
	default:
		c.confirm()
	}
}

// rejoined takes a room's answer to a join of comeBack; it reports whether it
// was one. The client has to be back in every room that it knows of, but those
// whose chats were deleted, which it is told.
func (c *client) rejoined(d room.Reply) bool {
	p, ok := c.returning.joins[d.Ref]
	if !ok {
		return false
	}
	delete(c.returning.joins, d.Ref)
	j, admitted := d.Body.(room.Joined)
	switch {
	case !admitted && d.Err.Code == chat.CodeNotFound:
		delete(c.rooms, p.Room)
		c.returning.gone = append(c.returning.gone, p)
		c.goOn()
	case !admitted, !p.In(j.Epoch), !p.Within(j.Seq):
		c.beginInstead()
	case p.Seq() == j.Seq:
		c.caughtUp(p, j, nil)
	default:
		c.hold(p.Room)
		c.returning.behind = append(c.returning.behind, behind{p, j})
		c.readNext()
	}
	return true
}

// readNext reads what the client has missed in the next room, unless another one
// is being read: all rooms together may have told no more than fits. What a room
// says meanwhile waits.
func (c *client) readNext() {
	r := c.returning
	if r.reading || len(r.behind) == 0 {
		return
	}
	r.reading = true
	p, j := r.behind[0].place, r.behind[0].joined
	r.behind = r.behind[1:]
	dialect, limit := c.rooms[p.Room].dialect, r.limit
	c.socket.Go(func(ctx context.Context) func() {
		missed, err := c.missed(ctx, p, dialect, j, limit)
		return func() {
			switch {
			case c.returning != r: // the client has begun anew
			case err != nil:
				c.beginInstead()
			default:
				r.reading = false
				c.caughtUp(p, j, missed)
			}
		}
	})
}

// caughtUp adds what the client has missed in a room to what it is sent.
func (c *client) caughtUp(p *resume.Place, j room.Joined, missed []replayed) {
	r, m := c.returning, c.rooms[p.Room]
	m.place = p
	if !c.catchUp(&r.backlog, p, m.dialect, missed, j) {
		c.beginInstead()
		return
	}
	c.proceed(p.Room)
	if c.returning == r {
		c.readNext()
		c.goOn()
	}
}

// confirm ends the return: from here on the client is like any other.
func (c *client) confirm() {
	r := c.returning
	c.returning = nil
	for _, p := range r.gone {
		c.standing.Leave(p)
		d, _ := dialectOf(p.Encoder)
		r.frames = append(r.frames, c.allWithOffset(wire.NewEncoder(d).Frames(p.Room, chat.Removal{}))...)
	}
	c.socket.Confirm()
	c.socket.Send(r.frames...)
}

// beginInstead begins anew for a client that cannot have what it had.
func (c *client) beginInstead() {
	c.leaveAll()
	clear(c.rooms)
	clear(c.queues)
	c.queuedBytes = 0
	c.returning = nil
	c.standing.Begin()
	c.socket.Confirm()
}
