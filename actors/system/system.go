// Package system runs actors. It is the only package of parlor that touches
// protoactor-go, and it fences off what bites there:
//
//	Spec → Spawn → Ref.Tell → mailbox → Actor.Receive
//	                             ↑ panic: log, policy of the parent, Started again
//
// # What an actor can rely on
//
// One message at a time, in the order in which each sender told them. A panic
// in Receive or Started ends neither the mailbox nor the process: the message
// that caused it is handed to [Salvager], what waits behind it stays in place,
// and the [Policy] of the actor decides whether a new instance goes on, the
// same one does, or the actor stops.
//
// # What it cannot rely on
//
// Mailboxes are unbounded: whoever feeds one bounds what is in flight. What is
// told to an actor that has stopped is dropped without a trace.
package system

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
)

// A System is a set of actors. Its methods may be called from any goroutine.
type System struct {
	sys *actor.ActorSystem
	log *slog.Logger
}

// New returns an empty system. Nil discards the records. An actor system owns
// no goroutine and needs no closing: stop its actors instead.
func New(log *slog.Logger) *System {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	framework := slog.New(aboveInfo{log.Handler()})
	sys := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return framework }))
	// Without its listeners: the one for dead letters starts a goroutine
	// whenever something is told to an actor that has stopped.
	sys.EventStream = eventstream.NewEventStream()
	return &System{sys: sys, log: log}
}

// aboveInfo drops what the framework says in passing: a record for every
// restart and every dead letter, which we tell better ourselves.
type aboveInfo struct{ slog.Handler }

func (h aboveInfo) Enabled(ctx context.Context, l slog.Level) bool {
	return l > slog.LevelInfo && h.Handler.Enabled(ctx, l)
}

// A Ref addresses an actor whose mailbox accepts M. The zero Ref addresses
// nobody. Refs are comparable; they stay valid over restarts of the actor.
type Ref[M any] struct {
	sys *actor.ActorSystem
	pid *actor.PID
}

// IsZero reports whether r addresses nobody.
func (r Ref[M]) IsZero() bool { return r.pid == nil }

// Tell puts m into the actor's mailbox and returns at once. It may be called
// from any goroutine. A nil m is a bug of the caller and panics here: inside
// the framework it would burn a core for ever.
func (r Ref[M]) Tell(m M) {
	if any(m) == nil {
		panic("system: nil message")
	}
	if r.pid == nil {
		return
	}
	r.sys.Root.Send(r.pid, m)
}

// Stop stops the actor before it looks at what is waiting in its mailbox.
func (r Ref[M]) Stop() {
	if r.pid != nil {
		r.sys.Root.Stop(r.pid)
	}
}

// An Actor handles the messages of one mailbox, one at a time.
type Actor[M any] interface {
	// Started is called before the first message, and on each new instance
	// after a restart.
	Started(self *Self[M])

	// Receive handles one message.
	Receive(m M)

	// Stopping is called on the instance that ends, by a stop or a restart,
	// after which it gets no more messages. A panic in it is only logged.
	Stopping()
}

// A Salvager is an [Actor] that wants the message it panicked on: the
// framework drops it, and somebody may wait for its answer. Salvage is called
// at once, on the instance that failed. A panic in it is only logged.
type Salvager[M any] interface{ Salvage(m M) }

// A Parent is an [Actor] that wants to know when a child has stopped, for
// whatever reason. Only then may the child's name be used again.
type Parent interface{ ChildStopped(name string) }

// A Spec describes an actor.
type Spec[M any] struct {
	// Name is unique among the children of one parent and among the actors
	// without a parent; it contains no '/' and no '$'. An actor without a
	// parent may leave it empty.
	Name string

	// New makes an instance, at the start and for each restart. It runs on
	// the goroutine that spawns. State that has to outlive a restart belongs
	// in variables that New captures.
	New func() Actor[M]

	// Policy is what a failure of the actor leads to, if it has no parent.
	// Children is what a failure of one of its children leads to.
	Policy, Children Policy

	// Stopped is called once, when the actor and all its children have
	// stopped. It may be nil.
	Stopped func()
}

// Self is what an actor knows of itself. All but Ref may only be used while
// the actor handles a message.
type Self[M any] struct {
	ref Ref[M]
	ctx actor.Context
	log *slog.Logger
}

// Ref returns the actor's own address.
func (s *Self[M]) Ref() Ref[M] { return s.ref }

// After tells m to the actor when d has passed, unless the timer is stopped
// before. An instance that started it may be gone by then: m reaches the one
// that is there.
func (s *Self[M]) After(d time.Duration, m M) *time.Timer {
	ref := s.ref
	return time.AfterFunc(d, func() { ref.Tell(m) })
}

// Spawn starts an actor without a parent.
func Spawn[M any](s *System, spec Spec[M]) (Ref[M], error) {
	props := props(s.sys, s.log, spec, actor.WithGuardian(spec.Policy))
	name := spec.Name
	if name == "" {
		name = s.sys.ProcessRegistry.NextId()
	}
	pid, err := s.sys.Root.SpawnNamed(props, name)
	return Ref[M]{s.sys, pid}, err
}

// SpawnChild starts an actor that stops with its parent, and whenever the
// parent restarts.
func SpawnChild[M, P any](parent *Self[P], spec Spec[M]) (Ref[M], error) {
	sys := parent.ctx.ActorSystem()
	pid, err := parent.ctx.SpawnNamed(props(sys, parent.log, spec), spec.Name)
	return Ref[M]{sys, pid}, err
}

func props[M any](sys *actor.ActorSystem, log *slog.Logger, spec Spec[M], more ...actor.PropsOption) *actor.Props {
	life := &life{stopped: spec.Stopped}
	if life.stopped == nil {
		life.stopped = func() {}
	}
	instance := spec.New // captured by itself, since it is kept for as long as the actor
	produce := func(*actor.ActorSystem) actor.Actor {
		if life.over {
			return &adapter[M]{log: log, life: life, ended: true}
		}
		return &adapter[M]{log: log, life: life, actor: instance()}
	}
	return actor.PropsFromProducerWithActorSystem(produce, append(more, actor.WithSupervisor(spec.Children), actor.WithMailbox(mailbox), actor.WithDispatcher(dispatcher{}))...)
}

// mailbox makes a queue of linked messages. The framework's default one is a
// ring, of which an actor that has nothing to do keeps the largest that it ever
// needed, and 200 bytes at least.
var mailbox = actor.UnboundedLockfree()
