package assistant

import (
	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// A queue is what waits behind something that is not done yet, in order.
type queue struct {
	waiting []func()
	bytes   int // of the frames among them
}

func (q *queue) add(do func()) { q.waiting = append(q.waiting, do) }

// found is the key of the queue behind a find, in which all that the client says
// later waits: it may be a join of what was found. No room is called so.
const found chat.RoomID = ""

// hold has everything that the room says from now on wait for proceed.
func (c *client) hold(id chat.RoomID) {
	if c.held == nil {
		c.held = make(map[chat.RoomID]*queue)
	}
	c.held[id] = new(queue)
}

// inOrder calls do now, or behind what is held.
func (c *client) inOrder(id chat.RoomID, do func()) {
	if q := c.held[id]; q != nil {
		q.add(do)
		return
	}
	do()
}

// proceed does what was held, up to the next hold.
func (c *client) proceed(id chat.RoomID) {
	q := c.held[id]
	if q == nil {
		return // the client has begun anew
	}
	delete(c.held, id)
	for i, do := range q.waiting {
		do()
		if next := c.held[id]; next != nil {
			next.waiting = append(next.waiting, q.waiting[i+1:]...)
			next.bytes += q.bytes
			return
		}
	}
}

// keepPublication keeps what a room tells for later. Speech is for now. A client
// that would have to keep too much is cut off, as one that does not read is.
func (c *client) keepPublication(q *queue, p *room.Publication) {
	if _, speech := p.Notice.(chat.Speech); speech {
		return
	}
	frames, _ := p.Encoded.([]engineio.Frame)
	for _, f := range frames {
		q.bytes += len(f.Data)
	}
	switch {
	case q.bytes <= c.maxReplayBytes():
		q.add(func() { c.publish(p) })
	case c.returning != nil:
		c.beginInstead()
	default:
		c.socket.CloseConnection()
	}
}
