package assistant

import (
	"context"
	"errors"
	"math"
	"slices"

	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// An admission is a room's answer to a join that the client has not been told yet.
type admission struct {
	c       *client
	event   *session.Event
	request wire.JoinRoom
	joined  room.Joined
	late    bool // see isLate

	after    uint64 // the record after which the client is told everything
	missed   []replayed
	snapshot *wire.Snapshot // instead of missed, or nil

	// For a page that was here before and has begun anew:
	former *resume.Place    // where it was, or nil
	recap  []engineio.Frame // the newest messages, instead of missed if that is too much
}

// answerJoin tells the client that it has joined. If the client asked to resume, the
// records that it has missed follow; they are read before it is told anything. What
// the room says meanwhile waits.
func (c *client) answerJoin(e *session.Event, r wire.JoinRoom, j room.Joined) {
	a := &admission{c: c, event: e, request: r, joined: j, late: c.rooms[j.Chat.Room].isLate(r, j), after: j.Seq}
	c.queues.hold(j.Chat.Room)
	a.noteListening()
	switch a.former = a.formerPlace(); {
	case a.former != nil:
		a.readFormer()
	case r.After == nil:
		a.admit()
	case r.Epoch != "" && r.Epoch != j.Epoch:
		a.readSnapshot(wire.SnapshotEpoch)
	case *r.After > j.Seq:
		a.readSnapshot(wire.SnapshotAhead)
	default:
		a.readAfter(*r.After)
	}
}

// noteListening notes that the room has admitted the client.
func (a *admission) noteListening() {
	c, id := a.c, a.joined.Chat.Room
	if c.rooms[id] == nil {
		c.enter(id, &membership{dialect: a.request.Dialect})
	}
	c.rooms[id].listens = true
}

// readAfter reads the records that the client has missed.
func (a *admission) readAfter(after uint64) {
	c := a.c
	source, last := c.source(c.user, a.joined.Chat.Room, a.request.Dialect, a.joined.Epoch), a.joined.Seq
	c.socket.Go(func(ctx context.Context) func() {
		missed, err := c.Replays.Read(ctx, source, after, last, c.maxReplayBytes())
		return func() {
			switch {
			case errors.Is(err, resume.ErrTooMuch), err == nil && !a.fits(missed):
				a.readSnapshot(wire.SnapshotTooFar)
			case err != nil:
				a.turnDown(err)
			default:
				a.after, a.missed = after, missed
				a.admit()
			}
		}
	})
}

// formerPlace returns where the page was in a room that it joins again by itself: without
// naming the room, as it does behind each connection (WIRE-ASSISTANT §9.2). A page that
// names the room has just read its history, and other clients say where they were.
func (a *admission) formerPlace() *resume.Place {
	c, r, j := a.c, a.request, a.joined
	if m := c.rooms[j.Chat.Room]; r.Room != "" || r.After != nil || r.Dialect == wire.Documented || m != nil && m.place != nil {
		return nil
	}
	p := c.standing.Former(j.Chat.Room, j.Epoch)
	if p == nil || !p.Within(j.Seq) {
		return nil
	}
	return p
}

// readFormer reads what the page has missed since it was at its former place.
func (a *admission) readFormer() {
	c := a.c
	c.socket.Go(func(ctx context.Context) func() {
		missed, err := c.missed(ctx, c.user, a.former, a.request.Dialect, a.joined, c.maxReplayBytes())
		return func() {
			switch {
			case errors.Is(err, resume.ErrTooMuch), err == nil && !a.fits(missed):
				a.readRecap()
			case err != nil:
				a.turnDown(err)
			default:
				a.after, a.missed = a.former.Seq(), missed
				a.admit()
			}
		}
	})
}

// readRecap reads the newest messages for a page that has missed too much to be told all
// of it. The page knows no snapshot.
func (a *admission) readRecap() {
	c, id := a.c, a.joined.Chat.Room
	c.socket.Go(func(ctx context.Context) func() {
		messages, _, err := c.Rooms.History(ctx, c.user, id, a.joined.Seq+1, wire.DefaultHistory)
		return func() {
			if err != nil {
				a.turnDown(err)
				return
			}
			messages = slices.DeleteFunc(messages, func(m chat.Message) bool { return m.Seq <= a.former.Seq() })
			a.recap = wire.Recap(id, messages)
			a.admit()
		}
	})
}

// fits reports whether the records with their offsets, and the text so far, are no
// more than the client may be sent. The offsets are made later, and will be about as
// long as the client's last one.
func (a *admission) fits(missed []replayed) bool {
	size, offset := 0, max(len(a.c.standing.Offset()), shortOffset)
	for _, m := range missed {
		for _, f := range m.Frames {
			size += len(f.Data) + offset
		}
	}
	if t := a.joined.Turn; t != nil {
		size += len(t.Content)
	}
	return size <= a.c.maxReplayBytes() || len(missed) <= 1
}

// shortOffset is the length of an offset of a client that is in one room.
const shortOffset = 36

// readSnapshot reads the newest messages, for a client that cannot be told what it
// has missed.
func (a *admission) readSnapshot(reason wire.SnapshotReason) {
	c := a.c
	c.socket.Go(func(ctx context.Context) func() {
		messages, more, err := c.Rooms.History(ctx, c.user, a.joined.Chat.Room, a.joined.Seq+1, wire.DefaultHistory)
		return func() {
			if err != nil {
				a.turnDown(err)
				return
			}
			a.snapshot = &wire.Snapshot{Reason: reason, Messages: page(messages, more)}
			a.admit()
		}
	})
}

// turnDown refuses the join of a client that the room has admitted. The client
// leaves the room, unless it has asked to join it once more.
func (a *admission) turnDown(err error) {
	c, id := a.c, a.joined.Chat.Room
	c.forget(id)
	if m := c.rooms[id]; m != nil {
		m.listens = true
	} else {
		c.leave(id)
	}
	c.refuse(a.event, a.request, chat.AsError(err))
	c.queues.proceed(id)
}

// admit tells the client that it has joined, once that is on disk.
//
// When the SPA reconnects it joins without naming a room, and waits for an answer
// under the name "undefined". It gets that, and one under the room's name
// (WIRE-ASSISTANT §9.2).
func (a *admission) admit() {
	c, id, r, j := a.c, a.joined.Chat.Room, a.request, a.joined
	c.standing.Join(id, r.Dialect.String(), j.Epoch, a.after, func(p *resume.Place) {
		m := c.rooms[id]
		m.place, m.dialect = p, r.Dialect
		if a.former != nil && a.recap == nil {
			p.SetText(a.former.Text())
		}
		joined := wire.ShowEntered(j.Entered())
		joined.Snapshot = a.snapshot
		if r.Room == "" {
			c.emit("room_joined", undefined, joined)
		}
		c.emitWithOffset("room_joined", string(id), joined)
		c.ok(a.event, joined)
		a.tellMissed(p)
		c.queues.proceed(id)
	})
}

// tellMissed tells the client, behind room_joined, what it has missed.
func (a *admission) tellMissed(p *resume.Place) {
	c, r, j := a.c, a.request, a.joined
	to := backlog{limit: math.MaxInt, returning: a.former != nil} // room_joined has promised all of it
	switch {
	case a.late && a.former == nil:
		to.frames = c.standing.soFar(p, wire.SPA, j)
	case a.recap != nil:
		to.frames = c.standing.allWithOffset(a.recap)
		c.standing.catchUp(&to, p, r.Dialect, nil, j)
	case a.former != nil, r.After != nil && a.snapshot == nil:
		c.standing.catchUp(&to, p, r.Dialect, a.missed, j)
		to.count(j.Chat.Room, r.Dialect, 0)
	}
	c.socket.Send(to.all()...)
}
