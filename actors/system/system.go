// Package system runs actors. It is the only package of parlor that uses
// protoactor-go, and it hides that framework's traps:
//
//	Spec → Spawn → Ref.Tell → mailbox → Actor.Receive
//	                             ↑ panic: log, policy of the parent, Started again
//
// # What an actor can rely on
//
// An actor handles one message at a time. The messages of one sender come in the
// order in which it sent them. A panic in Receive or Started ends neither the
// mailbox nor the process: the message that caused it goes to [Salvager], the
// messages behind it stay in the mailbox, and the actor's [Policy] decides
// whether a new instance goes on, the same one goes on, or the actor stops.
//
// # What it cannot rely on
//
// Mailboxes are unbounded: senders must limit how many of their messages are
// under way. Messages to an actor that has stopped are dropped silently.
package system

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
)

// A System is a set of actors. Its methods may be called from any goroutine.
type System struct {
	sys    *actor.ActorSystem
	shared *shared
}

// shared is what all actors of a system share.
type shared struct {
	log      *slog.Logger
	restarts atomic.Uint64
	tree     tree
	crew     crew
}

// New returns an empty system that logs to log. Nil discards the records. A
// system needs no closing: it has goroutines only while actors have messages.
func New(log *slog.Logger) *System {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	framework := slog.New(aboveInfo{log.Handler()})
	sys := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return framework }))
	// The new event stream has no listeners. The framework's listener for dead
	// letters would start a goroutine for each message to an actor that has
	// stopped.
	sys.EventStream = eventstream.NewEventStream()
	return &System{sys: sys, shared: &shared{log: log}}
}

// Restarts returns how often an actor was given a new instance after it had failed.
func (s *System) Restarts() uint64 { return s.shared.restarts.Load() }

// aboveInfo drops the framework's records of level Info and below: one for each
// restart and each dead letter. Our own records of failures say more.
type aboveInfo struct{ slog.Handler }

func (h aboveInfo) Enabled(ctx context.Context, l slog.Level) bool {
	return l > slog.LevelInfo && h.Handler.Enabled(ctx, l)
}

// A Ref addresses an actor whose mailbox accepts M. The zero Ref addresses
// no actor. Refs are comparable, and stay valid when the actor restarts.
type Ref[M any] struct {
	sys *actor.ActorSystem
	pid *actor.PID
	box *mailbox[M]
}

// IsZero reports whether r addresses no actor.
func (r Ref[M]) IsZero() bool { return r.pid == nil }

// Tell puts m into the actor's mailbox and returns at once. It may be called
// from any goroutine. It panics if m is nil.
func (r Ref[M]) Tell(m M) {
	if any(m) == nil {
		panic("system: nil message")
	}
	if r.box != nil {
		r.box.post(m)
	}
}

// Stop stops the actor after the message that it is handling. The messages that
// wait in its mailbox are dropped.
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

	// Stopping is called when a stop or a restart ends this instance, which gets
	// no more messages then. A panic in it is only logged.
	Stopping()
}

// A Salvager is an [Actor] that wants the message it panicked on. The framework
// drops that message, but its sender may be waiting for an answer. Salvage is
// called at once, on the instance that failed. A panic in it is only logged.
type Salvager[M any] interface{ Salvage(m M) }

// A Parent is an [Actor] that wants to know when a child has stopped, whatever
// the reason. The child's name must not be used again before.
type Parent interface{ ChildStopped(name string) }

// A Spec describes an actor.
type Spec[M any] struct {
	// Name is unique among the children of one parent and among the actors
	// without a parent; it contains no '/' and no '$'. An actor without a
	// parent may leave it empty.
	Name string

	// Kind and About are shown to those who look at the tree of actors: which sort of actor
	// it is, and what tells more of it. About may be read by any goroutine.
	Kind  string
	About any

	// New makes an instance, at the start and for each restart. The first time
	// it runs on the goroutine that spawns the actor. State that has to outlive
	// a restart belongs in variables that New captures.
	New func() Actor[M]

	// Policy says what happens after the actor has failed, if it has no parent.
	// Children says what happens after one of its children has failed.
	Policy, Children Policy

	// Stopped is called once, when the actor and all its children have
	// stopped. It may be nil.
	Stopped func()
}

// Self lets an actor address itself, set timers and spawn children. All but Ref
// may only be used while the actor handles a message.
type Self[M any] struct {
	ref    Ref[M]
	ctx    actor.Context
	shared *shared
}

// Ref returns the actor's own address.
func (s *Self[M]) Ref() Ref[M] { return s.ref }

// After tells m to the actor when d has passed, unless the timer is stopped
// before. If the actor has restarted by then, m reaches the new instance.
func (s *Self[M]) After(d time.Duration, m M) *time.Timer {
	ref := s.ref
	return time.AfterFunc(d, func() { ref.Tell(m) })
}

// Spawn starts an actor without a parent.
func Spawn[M any](s *System, spec Spec[M]) (Ref[M], error) {
	box := &mailbox[M]{crew: &s.shared.crew}
	name := spec.Name
	if name == "" {
		name = s.sys.ProcessRegistry.NextId()
	}
	pid, err := s.sys.Root.SpawnNamed(props(box, s.sys, s.shared, spec, actor.WithGuardian(spec.Policy)), name)
	if err != nil {
		return Ref[M]{}, err
	}
	return Ref[M]{s.sys, pid, box}, nil
}

// SpawnChild starts an actor that stops when its parent stops or restarts.
func SpawnChild[M, P any](parent *Self[P], spec Spec[M]) (Ref[M], error) {
	box, sys := &mailbox[M]{crew: &parent.shared.crew}, parent.ctx.ActorSystem()
	pid, err := parent.ctx.SpawnNamed(props(box, sys, parent.shared, spec), spec.Name)
	if err != nil {
		return Ref[M]{}, err
	}
	return Ref[M]{sys, pid, box}, nil
}

func props[M any](box *mailbox[M], sys *actor.ActorSystem, shared *shared, spec Spec[M], more ...actor.PropsOption) *actor.Props {
	life := &life{onStopped: spec.Stopped, node: node{kind: spec.Kind, about: spec.About, mailbox: box}}
	if life.onStopped == nil {
		life.onStopped = func() {}
	}
	instance := spec.New // the closure would keep all of spec for the actor's lifetime
	produce := func(*actor.ActorSystem) actor.Actor {
		a := &adapter[M]{shared: shared, life: life, box: box, ended: life.over}
		box.adapter = a
		if life.over {
			return a
		}
		if life.begun {
			shared.restarts.Add(1)
			life.restarts.Add(1)
		}
		life.begun = true
		a.actor = instance()
		return a
	}
	return actor.PropsFromProducerWithActorSystem(produce, append(more, actor.WithSupervisor(spec.Children), actor.WithMailbox(func() actor.Mailbox { return box }))...)
}
