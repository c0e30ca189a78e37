package replicated

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"parlor/persistence"
)

// Limits of one entry.
const (
	entryCommands = 1024
	entryBytes    = 1 << 20 // one command may exceed it
)

// retryDelay is the time after which commands are proposed again when the leader was lost or
// there is none.
const retryDelay = 50 * time.Millisecond

// A proposal is a command of this node, until its outcome was told.
type proposal struct {
	persistence.Proposal
	number uint64 // of the command; 0: it is refused, and waits for its turn to be told
	sent   bool   // to some leader
	doubt  bool   // its caller was told that the outcome is unknown
}

// A proposer proposes the commands of this node. While some are on their way, others wait and
// become one entry. Commands are proposed in the order of their numbers, and again from the
// first one without an outcome when it is not known what became of them.
//
// propose may be called from any goroutine, and resolve from that of the machine.
type proposer struct {
	node  string
	life  uint64
	limit int                                           // bytes that wait
	epoch func(room string) (slot int, epoch uint64)    // epoch 0: the node does not have the slot
	send  func(ctx context.Context, entry []byte) error // nil: the entry is in the log
	ready func() bool                                   // whether there is a leader

	telling sync.Mutex // held while outcomes are taken and told, which keeps their order

	mu      sync.Mutex
	wake    sync.Cond
	waiting []*proposal // in the order of the calls
	sent    int         // how many of them are on their way
	round   int         // counts up when they are proposed again
	number  uint64      // of the last command
	bytes   int
	paused  bool
	closed  bool

	work sync.WaitGroup
}

func newProposer(node string, life uint64, limit int) *proposer {
	p := &proposer{node: node, life: life, limit: limit}
	p.wake.L = &p.mu
	return p
}

// propose takes a change. It does not wait, and never calls Done itself.
func (p *proposer) propose(q persistence.Proposal) {
	slot, epoch := 0, uint64(0)
	if q.Room != "" {
		slot, epoch = p.epoch(q.Room)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case q.Refusal != nil:
	case p.closed:
		q.Refusal = persistence.ErrClosed
	case q.Room != "" && epoch == 0:
		q.Refusal = fmt.Errorf("%w: slot %d", persistence.ErrFenced, slot)
	case p.bytes > 0 && p.bytes+q.Size > p.limit:
		q.Refusal = persistence.ErrBusy
	}
	w := &proposal{Proposal: q}
	if q.Refusal == nil {
		p.number++
		w.number = p.number
		w.Fence = &persistence.Fence{Node: p.node, Life: p.life, Number: p.number, Slot: slot, Epoch: epoch}
		p.bytes += q.Size
	}
	if p.closed { // nobody takes it any more
		go q.Done(q.Refusal)
		return
	}
	p.waiting = append(p.waiting, w)
	p.wake.Signal()
}

// run proposes what waits until the proposer is closed.
func (p *proposer) run(ctx context.Context) {
	for {
		p.tell(func() []*proposal { return p.take(0) }) // refusals that are next
		entry, round, more := p.next()
		if !more {
			return
		}
		if entry == nil {
			continue
		}
		answered := make(chan error, 1)
		p.work.Go(func() { answered <- p.send(ctx, entry) })
		p.work.Go(func() {
			if err := <-answered; err != nil {
				p.lost(round)
			}
		})
	}
}

// next waits for commands that are not on their way, and returns them as an entry. It returns
// none if there are only refusals.
func (p *proposer) next() (entry []byte, round int, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && (p.paused || p.sent == len(p.waiting) || p.sent >= persistence.KeptOutcomes-entryCommands) {
		p.wake.Wait()
	}
	if p.closed {
		return nil, 0, false
	}
	if !p.ready() {
		p.pause()
		return nil, 0, true
	}
	var commands []persistence.Command
	for size := 0; p.sent < len(p.waiting) && len(commands) < entryCommands && size < entryBytes; p.sent++ {
		w := p.waiting[p.sent]
		if w.number > 0 {
			w.sent, size = true, size+w.Size
			commands = append(commands, w.Command)
		}
	}
	if len(commands) == 0 {
		return nil, p.round, true
	}
	return encodeBatch(commands), p.round, true
}

// pause lets commands wait for a moment.
func (p *proposer) pause() {
	p.paused = true
	time.AfterFunc(retryDelay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paused = false
		p.wake.Signal()
	})
}

// lost has all commands proposed again that were on their way in a round: nobody knows what
// became of them. It tells those who want to know.
func (p *proposer) lost(round int) {
	p.telling.Lock()
	defer p.telling.Unlock()
	var doubted []*proposal
	p.mu.Lock()
	if round != p.round || p.closed {
		p.mu.Unlock()
		return
	}
	p.round, p.sent = p.round+1, 0
	for _, w := range p.waiting {
		if w.sent && !w.doubt && w.Doubts {
			w.doubt = true
			doubted = append(doubted, w)
		}
	}
	if !p.paused {
		p.pause()
	}
	p.mu.Unlock()
	for _, w := range doubted {
		w.Done(persistence.ErrUnknown)
	}
}

// leaderChanged is called when another node leads: what is on its way to the one before may be
// answered late or never.
func (p *proposer) leaderChanged() {
	p.mu.Lock()
	round, underway := p.round, p.sent > 0
	p.mu.Unlock()
	if underway {
		p.lost(round)
	}
}

// original returns the command of a waiting proposal, in place of its copy from the log: its
// caller gets results from it.
func (p *proposer) original(c persistence.Command) persistence.Command {
	if !p.owns(c.Fence) {
		return c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		if w.number == c.Fence.Number {
			return w.Command
		}
	}
	return c
}

func (p *proposer) owns(f *persistence.Fence) bool {
	return f != nil && f.Node == p.node && f.Life == p.life
}

// errOvertaken is the outcome of a command that a later one of the node has overtaken. The stores
// refuse it from then on.
var errOvertaken = fmt.Errorf("%w: the leader was lost before it had the command", persistence.ErrUnavailable)

// resolve takes the outcome of a command of this node. Those before it that have none will not be
// recorded any more.
func (p *proposer) resolve(number uint64, err error) {
	if errors.Is(err, persistence.ErrStale) {
		return // the outcome was told, or is told with that of the one that has overtaken it
	}
	p.tell(func() []*proposal {
		taken := p.take(number)
		for _, w := range taken {
			switch w.number {
			case 0:
			case number:
				w.Refusal = err
			default:
				w.Refusal = errOvertaken
			}
		}
		return taken
	})
}

// tell tells the outcomes of the proposals that take returns.
func (p *proposer) tell(take func() []*proposal) {
	p.telling.Lock()
	defer p.telling.Unlock()
	for _, w := range take() {
		w.Done(w.Refusal)
	}
}

// take removes the proposals up to a number, and the refusals behind it.
func (p *proposer) take(number uint64) (taken []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) > 0 && p.waiting[0].number <= number {
		w := p.waiting[0]
		p.waiting[0] = nil
		taken, p.waiting = append(taken, w), p.waiting[1:]
		p.sent = max(0, p.sent-1)
		p.wake.Signal()
		if w.number > 0 {
			p.bytes -= w.Size
		}
	}
	return taken
}

// errRefused is the outcome of a command of which only that is known.
var errRefused = fmt.Errorf("%w: the command was refused while the node was behind", persistence.ErrUnavailable)

// learn takes the outcomes that a copy of another node's store holds. There are those of all
// commands on their way: next sends no more than are kept.
func (p *proposer) learn(o persistence.Outcomes) error {
	if o.Life != p.life {
		return nil
	}
	var unknown error
	p.tell(func() []*proposal {
		taken := p.take(o.Last)
		for _, w := range taken {
			if w.number == 0 {
				continue
			}
			recorded, known := o.Of(w.number)
			switch {
			case !known:
				unknown = fmt.Errorf("replicated: the outcome of command %d of %d is not kept", w.number, o.Last)
				w.Refusal = persistence.ErrUnknown
			case !recorded:
				w.Refusal = errRefused
			}
		}
		return taken
	})
	return unknown
}

// close ends run. What was never sent is refused; what was has no outcome any more, and its
// caller is told so if it has not been.
func (p *proposer) close() {
	p.mu.Lock()
	p.closed = true
	p.wake.Broadcast()
	p.mu.Unlock()
	p.tell(func() []*proposal {
		var told []*proposal
		for _, w := range p.take(p.number) {
			switch {
			case w.number == 0:
			case !w.sent:
				w.Refusal = persistence.ErrClosed
			case w.doubt:
				continue
			default:
				w.Refusal = persistence.ErrUnknown
			}
			told = append(told, w)
		}
		return told
	})
	p.work.Wait()
}
