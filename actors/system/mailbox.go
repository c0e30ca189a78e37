package system

import (
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// A mailbox holds what waits for one actor, and calls the actor. It takes the place of the
// framework's mailbox, which has the same order, for three reasons: it is one object and not
// five, a message goes to the actor without the framework's twelve calls, and a run of it takes
// one allocation and not three.
//
// Each run is a goroutine of its own: a run that blocks holds up nobody else, and an actor
// that has nothing to do has no goroutine.
type mailbox[M any] struct {
	framework actor.MessageInvoker
	adapter   *adapter[M] // the present instance; changes while no other message is handled

	mu        sync.Mutex
	orders    []any // of the framework: they come before messages
	messages  []M
	first     int  // index of the first message that waits
	running   bool // a goroutine calls run
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
	if b.closed {
		return
	}
	if len(b.messages) == cap(b.messages) && b.first > len(b.messages)/2 { // else a queue that is never empty would grow for ever
		n := copy(b.messages, b.messages[b.first:])
		clear(b.messages[n:])
		b.messages, b.first = b.messages[:n], 0
	}
	b.messages = append(b.messages, m)
	b.wakeLocked()
}

func (b *mailbox[M]) wakeLocked() {
	if !b.running {
		b.running = true
		go b.run()
	}
}

// close drops the messages that wait, and those that come.
func (b *mailbox[M]) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.messages, b.first = true, nil, 0
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
	return len(b.messages) - b.first
}

// run handles what waits, until nothing does.
func (b *mailbox[M]) run() {
	growStack(0)
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
	if b.suspended || b.first == len(b.messages) {
		b.running = false
		return nil, m, false
	}
	var none M
	m, b.messages[b.first] = b.messages[b.first], none
	if b.first++; b.first == len(b.messages) {
		b.messages, b.first = b.messages[:0], 0
		if cap(b.messages) > spareMessages {
			b.messages = nil
		}
	}
	return nil, m, true
}

// growStack makes the stack of a new goroutine 16 KiB large, the largest size
// that each processor of the runtime keeps for reuse. A goroutine starts with
// 2 KiB, and handling a message takes up to 16. The runtime would double the
// stack three times in the middle of the run, and each time look at every call
// on it to move it: that was a sixth of the processor time of a busy server. A
// pool of goroutines that keep their stacks saves no more than this does, holds
// memory after a burst, and must be closed.
//
// Each call of a function makes sure that there is room for all its variables,
// used or not: with 0 the array is not touched. The stack goes back when the
// goroutine ends.
//
//go:noinline
func growStack(n int) byte {
	if n == 0 {
		return 0
	}
	var room [12 << 10]byte
	return room[n]
}
