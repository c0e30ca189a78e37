package assistant

import (
	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// behindFind is the key of the queue in which the client's commands wait for a
// find_chat: one of them may be a join of the chat that is found. No room has this id.
const behindFind chat.RoomID = ""

// hold makes everything that the room says from now on wait until proceed is called.
func (c *client) hold(id chat.RoomID) {
	if c.queues == nil {
		c.queues = make(map[chat.RoomID][]func())
	}
	c.queues[id] = nil
}

// inOrder calls do now, or puts it into the queue if there is one.
func (c *client) inOrder(id chat.RoomID, do func()) {
	if queue, waits := c.queues[id]; waits {
		c.queues[id] = append(queue, do)
		return
	}
	do()
}

// proceed does what has waited, until something of that calls hold again.
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

// wait puts a publication into the queue of its room. Speech is only for now, so it is
// dropped. If the queues of the client become too long, its connection is closed, like
// that of a slow consumer.
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
