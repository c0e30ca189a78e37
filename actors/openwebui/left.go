package openwebui

import (
	"context"
	"time"

	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	wire "parlor/protocol/openwebui"
)

const (
	// leftFor is how long it is remembered where a user was whose connection has ended. An
	// official client comes back by itself, and says nothing of what it has missed.
	leftFor = 10 * time.Minute

	// maxLeft is of how many rooms that is remembered for one user.
	maxLeft = 16

	// maxMissed is how many records are read of what was missed in a room. A client that has
	// missed more reads the chat.
	maxMissed = 1000
)

// A left is a room that a client of a user listened to when its connection ended.
type left struct {
	chat  chat.ID
	epoch string
	seq   uint64 // of the last record that the client was told
	why   reason
	until time.Time
}

// remember notes where the client was, unless it has left for good.
func (c *client) remember(disconnected string) {
	if disconnected == session.ReasonClientDisconnect || disconnected == session.ReasonServerDisconnect {
		return
	}
	until := time.Now().Add(leftFor)
	for _, m := range c.rooms {
		if m.joined {
			c.pool.remember(c.user.ID, left{m.chat, m.epoch, m.seq, m.why, until})
		}
	}
}

// remember notes a room of a user. Of one that several of the user's connections have lost
// it notes what is missing most. What is too old, or too much, is forgotten, oldest first.
func (p *pool) remember(u chat.UserID, l left) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.leftLocked(u)
	for i, other := range kept {
		if other.chat == l.chat {
			if other.epoch == l.epoch {
				l.seq = min(l.seq, other.seq)
			}
			kept = append(kept[:i], kept[i+1:]...)
			break
		}
	}
	kept = append(kept, l)
	if p.left == nil {
		p.left = make(map[chat.UserID][]left)
	}
	p.left[u] = kept[max(0, len(kept)-maxLeft):]
	time.AfterFunc(leftFor, func() { p.leftOf(u) })
}

// leftLocked returns the rooms that are remembered of a user, and forgets the others.
func (p *pool) leftLocked(u chat.UserID) (kept []left) {
	for _, l := range p.left[u] {
		if time.Now().Before(l.until) {
			kept = append(kept, l)
		}
	}
	if len(kept) == 0 {
		delete(p.left, u)
	} else {
		p.left[u] = kept
	}
	return append([]left(nil), kept...)
}

func (p *pool) leftOf(u chat.UserID) []left {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leftLocked(u)
}

// comeBack listens again to the rooms in which its user had asked and a connection of the
// user has ended since. The client is told the answers that it has missed.
func (c *client) comeBack() {
	for _, l := range c.pool.leftOf(c.user.ID) {
		if l.why < ofWish && c.rooms[l.chat.Room()] == nil {
			c.follow(l.chat, ofQuestion, func(room.Joined, *chat.Error) {})
		}
	}
}

// catchUp tells the client what was recorded while no connection of its user was there.
func (c *client) catchUp(m *membership, j room.Joined) {
	for _, l := range c.pool.leftOf(c.user.ID) {
		if l.chat != m.chat || l.epoch != j.Epoch || l.seq >= j.Seq {
			continue
		}
		encoder := wire.NewEncoder(m.form, j.Chat)
		c.socket.Go(func(ctx context.Context) func() {
			frames := c.missed(ctx, encoder, l, j.Seq)
			return func() { c.socket.Send(frames...) }
		})
	}
}

// missed returns the frames of the messages and the ends of answers behind where the client
// was, up to record last.
func (c *client) missed(ctx context.Context, encoder *wire.Encoder, l left, last uint64) (frames []engineio.Frame) {
	n := 0
	for record, err := range c.Rooms.Records(ctx, c.user, l.chat.Room(), l.seq) {
		if n++; err != nil || record.Seq > last || n > maxMissed {
			break
		}
		switch record.Event.(type) {
		case chat.MessageAdded, chat.TurnEnded:
			frames = append(frames, encoder.Frames(chat.Missed{Record: record})...)
		}
	}
	return frames
}
