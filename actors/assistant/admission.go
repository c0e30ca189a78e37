package assistant

import (
	"context"
	"errors"
	"math"

	"parlor/actors/resume"
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// An admission is a room's answer to a join that the client has not been told yet.
type admission struct {
	event   *session.Event
	request wire.JoinRoom
	joined  room.Joined
	late    bool // see isLate

	after    uint64 // the record after which the client is told everything
	missed   []replayed
	snapshot *wire.Snapshot // instead of missed, or nil
}

// answerJoin tells the client that it is a member. If the client asked to resume, the
// records that it has missed follow; they are read before it is told anything. What
// the room says meanwhile waits.
func (c *client) answerJoin(e *session.Event, r wire.JoinRoom, j room.Joined) {
	a := &admission{event: e, request: r, joined: j, late: c.isLate(r, j), after: j.Seq}
	c.hold(j.Chat.Room)
	c.listens(j.Chat.Room, r.Dialect)
	switch {
	case r.After == nil:
		c.admit(a)
	case r.Epoch != "" && r.Epoch != j.Epoch:
		c.readSnapshot(a, wire.SnapshotEpoch)
	case *r.After > j.Seq:
		c.readSnapshot(a, wire.SnapshotAhead)
	default:
		c.readAfter(a, *r.After)
	}
}

// listens notes that the room has admitted the client.
func (c *client) listens(id chat.RoomID, d wire.Dialect) {
	if c.rooms[id] == nil {
		c.enter(id, &membership{dialect: d})
	}
	c.rooms[id].listens = true
}

// readAfter reads the records that the client has missed.
func (c *client) readAfter(a *admission, after uint64) {
	source, last := c.source(a.joined.Chat.Room, a.request.Dialect, a.joined.Epoch), a.joined.Seq
	c.socket.Go(func(ctx context.Context) func() {
		missed, err := c.Replays.Read(ctx, source, after, last, c.maxReplayBytes())
		return func() {
			switch {
			case errors.Is(err, resume.ErrTooMuch), err == nil && !c.fits(missed, a.joined.Turn):
				c.readSnapshot(a, wire.SnapshotTooFar)
			case err != nil:
				c.turnDown(a, err)
			default:
				a.after, a.missed = after, missed
				c.admit(a)
			}
		}
	})
}

// fits reports whether the records with their offsets, and the text so far, are no
// more than the client may be sent. The offsets are made later, and will be about as
// long as the client's last one.
func (c *client) fits(missed []replayed, t *room.Running) bool {
	size, offset := 0, max(len(c.standing.Offset()), shortOffset)
	for _, m := range missed {
		for _, f := range m.Frames {
			size += len(f.Data) + offset
		}
	}
	if t != nil && len(t.Content) > 0 {
		size += len(t.Content)
	}
	return size <= c.maxReplayBytes() || len(missed) <= 1
}

// shortOffset is the length of an offset of a client that is in one room.
const shortOffset = 24

// readSnapshot reads the newest messages, for a client that cannot be told what it
// has missed.
func (c *client) readSnapshot(a *admission, reason wire.SnapshotReason) {
	c.socket.Go(func(ctx context.Context) func() {
		messages, more, err := c.Rooms.History(ctx, c.user, a.joined.Chat.Room, a.joined.Seq+1, wire.DefaultHistory)
		return func() {
			if err != nil {
				c.turnDown(a, err)
				return
			}
			a.snapshot = &wire.Snapshot{Reason: reason, Messages: page(messages, more)}
			c.admit(a)
		}
	})
}

// turnDown refuses the join of a client that the room has admitted. The client
// leaves the room, unless it has asked to join it once more.
func (c *client) turnDown(a *admission, err error) {
	id := a.joined.Chat.Room
	c.forget(id)
	if m := c.rooms[id]; m != nil {
		m.listens = true
	} else {
		c.leave(id)
	}
	c.refuse(a.event, a.request, chat.AsError(err))
	c.proceed(id)
}

// admit tells the client that it is a member, once that is on disk.
//
// When the SPA reconnects it joins without naming a room, and waits for an answer
// under the name "undefined". It gets that, and one under the room's name
// (WIRE-ASSISTANT §9.2).
func (c *client) admit(a *admission) {
	id, r, j := a.joined.Chat.Room, a.request, a.joined
	c.standing.Join(id, r.Dialect.String(), j.Epoch, a.after, func(p *resume.Place) {
		m := c.rooms[id]
		m.place, m.dialect = p, r.Dialect
		joined := roomJoined(j)
		joined.Snapshot = a.snapshot
		if r.Room == "" {
			c.emit("room_joined", undefined, joined)
		}
		c.emitWithOffset("room_joined", string(id), joined)
		c.ok(a.event, joined)
		switch {
		case a.late:
			c.socket.Send(wire.NewEncoder(wire.SPA).Frames(id, chat.TextSoFar{Turn: j.Turn.Turn, Text: j.Turn.Content})...)
		case r.After != nil && a.snapshot == nil:
			to := backlog{limit: math.MaxInt} // room_joined has promised all of it
			c.catchUp(&to, p, r.Dialect, a.missed, j)
			c.socket.Send(to.frames...)
		}
		c.proceed(id)
	})
}
