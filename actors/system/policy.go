package system

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A Policy is what a failure, that is a panic, leads to.
type Policy int

// The policies. All of them drop the message that failed, see [Salvager].
const (
	// Resume keeps the instance and goes on with the next message.
	Resume Policy = iota
	// Restart goes on with a new instance: at once at first, then after a
	// growing delay, for ever. Children of the actor are stopped.
	Restart
	// Stop ends the actor; what waits in its mailbox is dropped.
	Stop
)

// The delay of [Restart] doubles from restartDelay to maxRestartDelay with
// each failure past the first promptRestarts, and is forgotten after a
// restartWindow without one, which is longer than any delay.
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

// restart asks for the restart by a system message, so it may come from the
// timer's goroutine. The child stays suspended, and its mailbox grows, until then.
func restart(s actor.Supervisor, child *actor.PID, failures int) {
	if failures <= promptRestarts {
		s.RestartChildren(child)
		return
	}
	delay := min(restartDelay<<min(failures-promptRestarts-1, 16), maxRestartDelay)
	time.AfterFunc(delay, func() { s.RestartChildren(child) })
}
