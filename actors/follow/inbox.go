package follow

import (
	"context"
	"sync"

	"parlor/actors/room"
	"parlor/protocol/chat"
)

// An inbox takes what a room says to a follower until that is told.
type inbox struct {
	limit   int // of bytes
	cancel  context.CancelCauseFunc
	replies chan room.Reply // to the last join
	filled  chan struct{}   // gets an element when there is something to take

	mu    sync.Mutex
	ref   uint64 // of the last join
	open  bool   // the room has admitted the follower
	queue []*room.Publication
	bytes int
	over  bool // something was dropped
}

func newInbox(limit int, cancel context.CancelCauseFunc) *inbox {
	return &inbox{limit: limit, cancel: cancel, replies: make(chan room.Reply, 1), filled: make(chan struct{}, 1)}
}

// expect empties the inbox, and returns the number of a join whose answer opens it.
func (b *inbox) expect() (ref uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ref++
	b.open, b.queue, b.bytes, b.over = false, nil, 0, false
	return b.ref
}

var (
	errDeleted = chat.Refuse(chat.CodeNotFound, "this chat was deleted")
	errRemoved = chat.Refuse(chat.CodeNotFound, "you are no longer a member of this chat")
)

// Deliver implements room.Recipient.
func (b *inbox) Deliver(d room.Delivery) {
	switch d := d.(type) {
	case room.Reply:
		b.answered(d)
	case *room.Publication:
		if gone, ok := d.Notice.(chat.Removal); ok {
			b.cancel(why(gone))
			return
		}
		b.add(d)
	}
}

func why(gone chat.Removal) error {
	if gone.Left {
		return errRemoved
	}
	return errDeleted
}

func (b *inbox) answered(r room.Reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Ref != b.ref || b.open {
		return // of a Leave
	}
	b.open = r.Err == nil
	select {
	case b.replies <- r:
	default: // the room refused the join, and then did it after all
	}
}

func (b *inbox) add(p *room.Publication) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || b.over {
		return
	}
	if b.bytes += weigh(p.Notice); b.bytes > b.limit && len(b.queue) > 0 {
		b.over = true
	} else {
		b.queue = append(b.queue, p)
	}
	select {
	case b.filled <- struct{}{}:
	default:
	}
}

// take returns the next publication, or nil. In that case it reports whether more will
// come: if something was dropped, the follower has to join again.
func (b *inbox) take() (p *room.Publication, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return nil, !b.over
	}
	p = b.queue[0]
	b.queue[0] = nil
	b.queue = b.queue[1:]
	b.bytes -= weigh(p.Notice)
	return p, true
}

// weightOfOne is about what a publication takes besides its text.
const weightOfOne = 256

// weigh returns about how many bytes a publication takes. Its encoding, which it shares
// with other followers, is about as long as what it says.
func weigh(n chat.Notice) int {
	switch n := n.(type) {
	case chat.Text:
		return weightOfOne + len(n.Piece)
	case chat.Thought:
		return weightOfOne + len(n.Piece)
	case chat.Speech:
		return weightOfOne + len(n.Audio)
	case chat.Presence:
		return weightOfOne * (1 + len(n.Members) + len(n.Left))
	case chat.Record:
		m, _ := n.Message()
		return 2*weightOfOne + len(m.Content) + len(m.Thought)
	}
	return weightOfOne
}
