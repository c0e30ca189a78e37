package assistant

import (
	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// behindFind is the key of the queue behind a find, in which all that the client
// says later waits: it may be a join of the chat that is found. No room is called
// so.
const behindFind chat.RoomID = ""

// hold has everything that the room says from now on wait for proceed.
func (c *client) hold(id chat.RoomID) {
	if c.queues == nil {
		c.queues = make(map[chat.RoomID][]func())
	}
	c.queues[id] = nil
}

// inOrder calls do now, or behind what waits already.
func (c *client) inOrder(id chat.RoomID, do func()) {
	if queue, waits := c.queues[id]; waits {
		c.queues[id] = append(queue, do)
		return
	}
	do()
}

// proceed does what has waited, up to the next hold.
func (c *client) proceed(id chat.RoomID) {
	queue := c.queues[id]
	delete(c.queues, id)
	for i, do := range queue {
		do()
		if later, waits := c.queues[id]; waits {
			c.queues[id] = append(later, queue[i+1:]...)
			return
		}
	}
}

// wait has a publication wait in its room's queue. Speech is for now, so it is
// dropped. A client for which too much would wait is cut off, as one that does
// not read is.
func (c *client) wait(p *room.Publication) {
	if _, speech := p.Notice.(chat.Speech); speech {
		return
	}
	size := 0
	frames, _ := p.Encoded.([]engineio.Frame)
	for _, f := range frames {
		size += len(f.Data)
	}
	switch c.queuedBytes += size; {
	case c.queuedBytes <= c.maxReplayBytes():
		c.queues[p.Room] = append(c.queues[p.Room], func() {
			c.queuedBytes = max(0, c.queuedBytes-size)
			c.publish(p)
		})
	case c.returning != nil:
		c.beginInstead()
	default:
		c.socket.CloseConnection()
	}
}
