package openwebui

import (
	"cmp"
	"context"
	"slices"
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

	// surelyFor is how old something that was sent to a client has to be to have surely
	// arrived: a connection that is dead is noticed by its heartbeat.
	surelyFor = time.Minute
)

// An absence is that a user has lost a connection not long ago.
type absence struct {
	until time.Time
	rooms []left // oldest first
}

// A left is a room that a client of a user listened to when its connection ended, or in which
// the user has asked since.
type left struct {
	chat  chat.ID
	epoch string // empty: it is not compared
	seq   uint64 // of the last record that was sent to the client
	sure  uint64 // of the last one that has surely arrived
	why   reason
	until time.Time
}

// A progress is how far a client is in a room.
type progress struct {
	seq    uint64 // of the last record that was sent to the client
	sure   uint64 // see [left]
	recent []sent
}

type sent struct {
	seq uint64
	at  time.Time
}

// add notes that a record is sent.
func (p *progress) add(seq uint64) {
	if seq <= p.seq {
		return
	}
	now := time.Now()
	p.seq, p.recent = seq, append(p.recent, sent{seq, now})
	p.settle(now)
}

// settle notes what has surely arrived.
func (p *progress) settle(now time.Time) {
	for len(p.recent) > 0 && now.Sub(p.recent[0].at) >= surelyFor {
		p.sure, p.recent = p.recent[0].seq, p.recent[1:]
	}
}

// remember notes where the client was, unless it has left for good. Other connections of the
// user may be the same client, which has come back before its end was noticed.
func (c *client) remember(disconnected string) {
	if disconnected == session.ReasonClientDisconnect || disconnected == session.ReasonServerDisconnect {
		return
	}
	now := time.Now()
	c.pool.lost(c.user.ID, now)
	for _, m := range c.rooms {
		if m.joined {
			m.settle(now)
			c.pool.remember(c.user.ID, left{m.chat, m.epoch, m.seq, m.sure, m.why, now.Add(leftFor)})
		}
	}
	if len(c.rooms) == 0 {
		return
	}
	for _, other := range c.pool.clients(c.user.ID) {
		other.socket.Do(other.comeBack)
	}
}

// Asked notes that a user has asked in a chat, with the message that is record seq. If the
// user has lost a connection it is told the answer when it comes back.
func (n *Namespace) Asked(u chat.UserID, id chat.ID, seq uint64) {
	if n.pool.away(u) {
		n.pool.remember(u, left{chat: id, seq: seq, sure: seq, why: ofQuestion, until: time.Now().Add(leftFor)})
	}
}

// lost notes that a user has lost a connection.
func (p *pool) lost(u chat.UserID, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.absences == nil {
		p.absences = make(map[chat.UserID]*absence)
	}
	if p.absences[u] == nil {
		p.absences[u] = new(absence)
	}
	p.absences[u].until = at.Add(leftFor)
	time.AfterFunc(leftFor, func() { p.leftOf(u) })
}

// away reports whether a user has lost a connection not long ago.
func (p *pool) away(u chat.UserID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.absences[u]
	return a != nil && time.Now().Before(a.until)
}

// remember notes a room of a user who is away. Of one that several of the user's connections
// have lost it notes what is missing most.
func (p *pool) remember(u chat.UserID, l left) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.absences[u]
	if a == nil {
		return
	}
	if i := slices.IndexFunc(a.rooms, func(other left) bool { return other.chat == l.chat }); i >= 0 {
		if other := a.rooms[i]; time.Now().Before(other.until) && (other.epoch == "" || l.epoch == "" || other.epoch == l.epoch) {
			l.seq, l.sure, l.epoch = min(l.seq, other.seq), min(l.sure, other.sure), cmp.Or(l.epoch, other.epoch)
		}
		a.rooms = slices.Delete(a.rooms, i, i+1)
	}
	a.rooms = append(a.rooms, l)
	a.rooms = a.rooms[max(0, len(a.rooms)-maxLeft):]
}

// leftOf returns the rooms that are remembered of a user, and forgets the others.
func (p *pool) leftOf(u chat.UserID) []left {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.absences[u]
	if a == nil {
		return nil
	}
	now := time.Now()
	a.rooms = slices.DeleteFunc(a.rooms, func(l left) bool { return !now.Before(l.until) })
	if len(a.rooms) == 0 && !now.Before(a.until) {
		delete(p.absences, u)
	}
	return slices.Clone(a.rooms)
}

// comeBack listens again to the rooms in which its user had asked and a connection of the
// user has ended since. The client is told the answers that it has missed.
func (c *client) comeBack() {
	for _, l := range c.pool.leftOf(c.user.ID) {
		switch m := c.rooms[l.chat.Room()]; {
		case m != nil && m.joined:
			c.catchUp(m)
		case m == nil && l.why < ofWish:
			c.follow(l.chat, ofQuestion, func(room.Joined, *chat.Error) {})
		}
	}
}

// catchUp tells the client what was recorded in a room while it may have been away: ends of
// answers, also those that it may know, and the messages that nobody of its user was sent.
func (c *client) catchUp(m *membership) {
	for _, l := range c.pool.leftOf(c.user.ID) {
		if l.chat != m.chat || l.epoch != "" && l.epoch != m.epoch || l.sure >= m.seq || m.caught >= m.seq {
			continue
		}
		encoder, last := wire.NewEncoder(m.form, m.info), m.seq
		m.caught = last
		c.socket.Go(func(ctx context.Context) func() {
			frames := c.missed(ctx, encoder, l, last)
			return func() { c.socket.Send(frames...) }
		})
	}
}

// missed returns the frames of what is behind the place where a client was, up to record last.
func (c *client) missed(ctx context.Context, encoder *wire.Encoder, l left, last uint64) (frames []engineio.Frame) {
	n := 0
	for record, err := range c.Rooms.Records(ctx, c.user, l.chat.Room(), l.sure) {
		if n++; err != nil || record.Seq > last || n > maxMissed {
			break
		}
		switch record.Event.(type) {
		case chat.TurnEnded:
			frames = append(frames, encoder.Frames(chat.Missed{Record: record})...)
		case chat.MessageAdded:
			if record.Seq > l.seq {
				frames = append(frames, encoder.Frames(chat.Missed{Record: record})...)
			}
		}
	}
	return frames
}
