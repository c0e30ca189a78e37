package system

import (
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A Look is one actor as it is while somebody looks at the tree.
type Look struct {
	ID       string // its path, such as rooms/r1.7/turn-1
	Kind     string
	About    any
	Since    time.Time // of its first instance
	Queue    int       // messages in its mailbox
	Restarts int
	Failed   bool     // it waits to be restarted
	Failure  *Failure // the last one, or nil
}

// A Failure is a panic of an actor.
type Failure struct {
	At     time.Time
	Reason string
}

// maxReason limits the reason of a failure, in bytes.
const maxReason = 256

// Each yields the actors of a kind, in the order in which they started. It asks no actor
// anything, and holds up none for longer than it takes to look at a few hundred: actors that
// start or stop meanwhile may be among them or not.
func (s *System) Each(kind string) iter.Seq[Look] {
	return func(yield func(Look) bool) {
		l := s.shared.tree.list(kind)
		c := cursor{list: l}
		defer c.close()
		for batch := make([]Look, 0, batchSize); ; batch = batch[:0] {
			batch = c.next(batch)
			for _, look := range batch {
				if !yield(look) {
					return
				}
			}
			if len(batch) < batchSize {
				return
			}
		}
	}
}

// Count returns how many actors of a kind there are.
func (s *System) Count(kind string) int {
	l := s.shared.tree.list(kind)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// batchSize is how many actors are looked at while none can start or stop.
const batchSize = 256

// A tree knows the actors that run, by kind.
type tree struct {
	mu    sync.Mutex
	kinds map[string]*nodes
}

func (t *tree) list(kind string) *nodes {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.kinds[kind]
	if l == nil {
		l = new(nodes)
		l.head.next, l.head.prev = &l.head, &l.head
		if t.kinds == nil {
			t.kinds = make(map[string]*nodes)
		}
		t.kinds[kind] = l
	}
	return l
}

// add adds an actor that starts, and does nothing if it is a restart.
func (t *tree) add(n *node, id string) {
	if n.list != nil {
		return
	}
	l := t.list(n.kind)
	l.mu.Lock()
	defer l.mu.Unlock()
	n.id, n.since, n.list = id, time.Now().UnixNano(), l
	l.n++
	n.insert(&l.head)
}

func (t *tree) remove(n *node) {
	if n.list == nil {
		return
	}
	n.list.mu.Lock()
	defer n.list.mu.Unlock()
	n.list.n--
	n.unlink()
}

// nodes are a ring around head: a list in which a cursor can stand between two actors.
type nodes struct {
	mu   sync.Mutex
	head node
	n    int
}

// A node is what is known of an actor from outside. Its id, kind and about do not change.
type node struct {
	prev, next *node // guarded by the list
	list       *nodes

	id      string
	kind    string
	about   any
	since   int64
	mailbox actor.Mailbox // nil: it is a cursor, or the head

	restarts atomic.Uint32
	failed   atomic.Bool
	failure  atomic.Pointer[Failure]
}

func (n *node) fail(reason any) {
	text := fmt.Sprint(reason)
	n.failure.Store(&Failure{time.Now(), text[:min(len(text), maxReason)]})
	n.failed.Store(true)
}

// goesOn notes that the actor handles messages.
func (n *node) goesOn() {
	if n.failed.Load() {
		n.failed.Store(false)
	}
}

func (n *node) insert(before *node) {
	n.prev, n.next = before.prev, before
	n.prev.next, n.next.prev = n, n
}

func (n *node) unlink() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}

func (n *node) look() Look {
	return Look{
		ID: n.id, Kind: n.kind, About: n.about, Since: time.Unix(0, n.since), Queue: n.mailbox.UserMessageCount(),
		Restarts: int(n.restarts.Load()), Failed: n.failed.Load(), Failure: n.failure.Load(),
	}
}

// A cursor stands in a list, behind what was looked at.
type cursor struct {
	list *nodes
	node
}

// next appends the next actors to batch, as far as it has room.
func (c *cursor) next(batch []Look) []Look {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	at := c.list.head.next
	if c.node.next != nil {
		at = c.node.next
		c.unlink()
	}
	for ; at != &c.list.head && len(batch) < cap(batch); at = at.next {
		if at.mailbox != nil {
			batch = append(batch, at.look())
		}
	}
	c.insert(at)
	return batch
}

func (c *cursor) close() {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	if c.node.next != nil {
		c.unlink()
	}
}
