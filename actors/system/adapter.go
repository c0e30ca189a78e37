package system

import (
	"path"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// adapter turns the framework's one Receive into the methods of an Actor.
type adapter[M any] struct {
	actor  Actor[M]
	shared *shared
	life   *life
	box    *mailbox[M]
	ended  bool // the instance gets no more calls
}

// life is the state that all instances of one actor share.
type life struct {
	node
	over      bool // the actor stops or has stopped
	begun     bool // it has had an instance
	onStopped func()
}

// Receive implements actor.Actor. It handles what the framework tells. The framework obeys
// an order to restart that comes after an order to stop; the adapter keeps that from the
// actor.
func (a *adapter[M]) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Stopped:
		a.box.close()
		a.shared.tree.remove(&a.life.node)
		a.guard(a.life.onStopped)
	case *actor.Stopping:
		a.life.over = true
		a.end()
	case *actor.Restarting:
		a.end()
	case *actor.Started:
		if a.ended {
			ctx.Stop(ctx.Self())
			return
		}
		a.shared.tree.add(&a.life.node, ctx.Self().Id)
		a.life.goesOn()
		defer a.report()
		a.actor.Started(&Self[M]{Ref[M]{ctx.ActorSystem(), ctx.Self(), a.box}, ctx, a.shared})
	case *actor.Terminated:
		defer a.report()
		if p, ok := a.actor.(Parent); ok && !a.ended {
			p.ChildStopped(path.Base(m.Who.Id))
		}
	}
}

// receive hands a message to the actor. The mailbox goes on delivering messages while the
// actor's children stop; the adapter drops them.
func (a *adapter[M]) receive(m M) {
	if !a.ended {
		a.life.goesOn()
		defer a.salvage(m)
		a.actor.Receive(m)
	}
}

// salvage gives the actor the message that it panicked on. The panic goes on.
func (a *adapter[M]) salvage(m M) {
	r := recover()
	if r == nil {
		return
	}
	a.failed(r)
	if s, ok := a.actor.(Salvager[M]); ok {
		a.guard(func() { s.Salvage(m) })
	}
	panic(r)
}

// report logs a panic, which goes on.
func (a *adapter[M]) report() {
	if r := recover(); r != nil {
		a.failed(r)
		panic(r)
	}
}

// failed logs a panic with its stack. The framework does not log the stack.
func (a *adapter[M]) failed(r any) {
	a.life.fail(r)
	if why, ok := r.(Deliberate); ok {
		a.shared.log.Info("actor is restarted", "actor", a.life.id, "why", string(why))
		return
	}
	a.shared.log.Error("actor failed", "actor", a.life.id, "panic", r, "stack", string(debug.Stack()))
}

// end tells the instance that it stops. After that it gets no more calls.
func (a *adapter[M]) end() {
	if !a.ended {
		a.ended = true
		a.guard(a.actor.Stopping)
	}
}

// guard logs a panic of f and ends it. The framework must not see it: the actor
// would never stop, or its parent would wait for it for ever.
func (a *adapter[M]) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			a.failed(r)
		}
	}()
	f()
}
