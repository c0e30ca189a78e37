package commands

import (
	"context"
	"sync/atomic"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// Halt stops a turn for an operator, who needs no role in the chat, or the running turn if
// none is named. It wakes no room.
func (c *Commands) Halt(ctx context.Context, by chat.User, id chat.RoomID, turn chat.TurnID, reason string) (stopped chat.TurnID, err error) {
	body, err := asked[room.Stopped](ctx, c, id, by, func(by room.Caller) room.Command { return &room.Halt{Caller: by, TurnID: turn, Reason: reason} })
	return body.TurnID, err
}

// Restart has the supervisor start a room anew, for an operator. It wakes no room.
func (c *Commands) Restart(ctx context.Context, by chat.User, id chat.RoomID) error {
	_, err := c.ask(ctx, id, by, func(by room.Caller) room.Command { return &room.Kill{Caller: by} })
	return err
}

// observed is how many publications may wait for an observer.
const observed = 256

// Observe tells an operator what a room says, until ctx ends, tell returns an error, or the
// chat is gone. It begins with the number of the last record. Publications that are not taken
// in time are dropped, and counted: a slow observer costs the room nothing. It returns an
// error of the room if that does not exist.
func (c *Commands) Observe(ctx context.Context, by chat.User, id chat.RoomID, encoder string, begin func(seq uint64) error, tell func(p *room.Publication, missed int) error) error {
	o := &observer{replies: make(chan room.Reply, 1), publications: make(chan *room.Publication, observed), gone: make(chan struct{})}
	caller := room.Caller{User: by, Address: c.rooms.Open(o)}
	defer c.rooms.Forget(caller.Address)
	c.rooms.Tell(id, &room.Observe{Caller: caller, Encoder: encoder})
	defer c.rooms.Tell(id, &room.Leave{Caller: caller})
	select {
	case reply := <-o.replies:
		if reply.Err != nil {
			return reply.Err
		}
		if err := begin(reply.Body.(room.Observed).Seq); err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return o.watch(ctx, tell)
}

// An observer takes what a room says to an operator.
type observer struct {
	replies      chan room.Reply
	publications chan *room.Publication
	missed       atomic.Int64 // publications since the last one that was told
	removal      *room.Publication
	gone         chan struct{} // closed behind removal, with which the chat is gone
}

// Deliver implements room.Recipient.
func (o *observer) Deliver(d room.Delivery) {
	switch d := d.(type) {
	case room.Reply:
		select {
		case o.replies <- d:
		default: // of the Leave
		}
	case *room.Publication:
		if _, gone := d.Notice.(chat.Removal); gone && o.removal == nil {
			o.removal = d
			close(o.gone)
			return
		}
		select {
		case o.publications <- d:
		default:
			o.missed.Add(1)
		}
	}
}

func (o *observer) watch(ctx context.Context, tell func(p *room.Publication, missed int) error) error {
	for {
		select {
		case p := <-o.publications:
			if err := tell(p, int(o.missed.Swap(0))); err != nil {
				return err
			}
		case <-o.gone:
			for len(o.publications) > 0 {
				if err := tell(<-o.publications, int(o.missed.Swap(0))); err != nil {
					return err
				}
			}
			return tell(o.removal, 0)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
