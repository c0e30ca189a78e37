package system

import (
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// A mailbox holds what waits for one actor, and calls the actor. It takes the place of the
// framework's mailbox, which has the same order, for three reasons: it is one object and not
// five, a message goes to the actor without the framework's twelve calls, and a run of it takes
// no allocation instead of three.
//
// An actor that has nothing to do has no goroutine: see [crew].
type mailbox[M any] struct {
	crew      *crew
	framework actor.MessageInvoker
	adapter   *adapter[M] // the present instance; changes while no other message is handled

	mu        sync.Mutex
	orders    []any // of the framework: they come before messages
	messages  fifo[M]
	running   bool // the crew runs it, or will
	suspended bool // the actor has failed, and what is to happen is not decided
	closed    bool // the actor has stopped
}

const (
	// throughput is the number of messages after which a run lets others go first. It is
	// the framework's default.
	throughput = 300

	// spareMessages is how many places for messages an idle actor keeps at most.
	spareMessages = 4
)

// post adds a message, unless the actor has stopped.
func (b *mailbox[M]) post(m M) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.messages.push(m)
		b.wakeLocked()
	}
}

func (b *mailbox[M]) wakeLocked() {
	if !b.running {
		b.running = true
		b.crew.take(b)
	}
}

// close drops the messages that wait, and those that come.
func (b *mailbox[M]) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.messages = true, fifo[M]{}
}

// PostUserMessage implements actor.Mailbox. Nobody sends messages through the framework.
func (b *mailbox[M]) PostUserMessage(m any) { b.post(m.(M)) }

// PostSystemMessage implements actor.Mailbox.
func (b *mailbox[M]) PostSystemMessage(m any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, m)
	b.wakeLocked()
}

// RegisterHandlers implements actor.Mailbox.
func (b *mailbox[M]) RegisterHandlers(framework actor.MessageInvoker, _ actor.Dispatcher) {
	b.framework = framework
}

// Start implements actor.Mailbox.
func (b *mailbox[M]) Start() {}

// UserMessageCount implements actor.Mailbox.
func (b *mailbox[M]) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages.len()
}

// run handles what waits, until nothing does.
func (b *mailbox[M]) run() {
	for b.work() {
	}
}

// work is run, but it ends early, and reports true, when the actor has failed.
func (b *mailbox[M]) work() (failed bool) {
	defer func() {
		if r := recover(); r != nil {
			b.framework.EscalateFailure(r, nil)
			failed = true
		}
	}()
	for n := 0; ; n++ {
		if n == throughput {
			n = 0
			runtime.Gosched()
		}
		order, m, ok := b.take()
		switch {
		case !ok:
			return false
		case order != nil:
			b.framework.InvokeSystemMessage(order)
		default:
			b.adapter.receive(m)
		}
	}
}

// take takes what comes next out of the mailbox: an order or, if that is nil, a message. If
// there is nothing, the run has ended.
func (b *mailbox[M]) take() (order any, m M, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.orders) > 0 {
		order, b.orders = b.orders[0], b.orders[1:]
		switch order.(type) {
		case *actor.SuspendMailbox:
			b.suspended = true
		case *actor.ResumeMailbox:
			b.suspended = false
		default:
			return order, m, true
		}
	}
	b.orders = nil
	if b.suspended || b.messages.len() == 0 {
		b.running = false
		return nil, m, false
	}
	return nil, b.messages.pop(spareMessages), true
}
