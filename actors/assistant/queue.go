package assistant

import (
	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// behindFind is the key of the queue in which the client's commands wait for a
// find_chat: one of them may be a join of the chat that is found. No room has this id.
const behindFind chat.RoomID = ""

// behindHistory is the key of the queue in which calls of history wait for the one
// before. No room has this id either.
const behindHistory chat.RoomID = "history"

// queues keep what a client cannot be told yet, in order, for each room by itself.
// The zero value is empty.
type queues struct {
	of    map[chat.RoomID][]func() // a room that is held has one, which may be empty
	bytes int                      // of the publications in all queues
}

// hold makes everything that the room says from now on wait until proceed is called.
func (q *queues) hold(id chat.RoomID) {
	if q.of == nil {
		q.of = make(map[chat.RoomID][]func())
	}
	q.of[id] = nil
}

// holds reports whether what the room says has to wait.
func (q *queues) holds(id chat.RoomID) bool {
	_, ok := q.of[id]
	return ok
}

// inOrder calls do now, or puts it into the queue if there is one.
func (q *queues) inOrder(id chat.RoomID, do func()) {
	if q.holds(id) {
		q.of[id] = append(q.of[id], do)
		return
	}
	do()
}

// proceed does what has waited, until something of that calls hold again.
func (q *queues) proceed(id chat.RoomID) {
	queue := q.of[id]
	delete(q.of, id)
	for i, do := range queue {
		do()
		if q.holds(id) {
			q.of[id] = append(q.of[id], queue[i+1:]...)
			return
		}
	}
}

// drop empties all queues. What the rooms say next does not wait.
func (q *queues) drop() {
	clear(q.of)
	q.bytes = 0
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
	q := &c.queues
	switch q.bytes += size; {
	case q.bytes <= c.maxReplayBytes():
		q.inOrder(p.Room, func() {
			q.bytes = max(0, q.bytes-size)
			c.publish(p)
		})
	case c.comeback != nil:
		c.beginInstead()
	default:
		c.socket.CloseConnection()
	}
}
