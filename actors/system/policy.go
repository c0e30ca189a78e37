package system

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A Policy says what happens after an actor has failed, that is, panicked.
type Policy int

// The policies. Each drops the message that the actor panicked on, see
// [Salvager].
const (
	// Resume keeps the instance and goes on with the next message.
	Resume Policy = iota
	// Restart goes on with a new instance. The first restarts are immediate,
	// later ones come after a growing delay; there is no last one. The actor's
	// children are stopped.
	Restart
	// Stop ends the actor. The messages in its mailbox are dropped.
	Stop
)

// An actor panics with a Deliberate reason to be dealt with as if it had failed, because
// somebody wants that. It is not logged as a failure.
type Deliberate string

// The delay of [Restart] begins at restartDelay after promptRestarts failures
// and doubles with each further one, up to maxRestartDelay. An actor that has
// not failed for restartWindow begins anew. The window is longer than any delay,
// so the delay itself does not count as success.
const (
	restartWindow   = 10 * time.Second
	promptRestarts  = 3
	restartDelay    = 10 * time.Millisecond
	maxRestartDelay = 5 * time.Second
)

// HandleFailure implements actor.SupervisorStrategy.
func (p Policy) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, _, _ any) {
	if rs.NumberOfFailures(restartWindow) == 0 {
		rs.Reset()
	}
	rs.Fail()
	switch p {
	case Resume:
		s.ResumeChildren(child)
	case Restart:
		restart(s, child, rs.FailureCount())
	case Stop:
		s.StopChildren(child)
	}
}

// restart orders the restart, now or after a delay. The order is a system
// message, so a timer's goroutine may send it. Until then the child is suspended
// and its mailbox grows.
func restart(s actor.Supervisor, child *actor.PID, failures int) {
	if failures <= promptRestarts {
		s.RestartChildren(child)
		return
	}
	delay := min(restartDelay<<min(failures-promptRestarts-1, 16), maxRestartDelay)
	time.AfterFunc(delay, func() { s.RestartChildren(child) })
}
