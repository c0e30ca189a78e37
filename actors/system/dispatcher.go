package system

// dispatcher starts a goroutine for each run of a mailbox, as the framework's
// own dispatcher does: a run that blocks holds up nobody else, and an actor
// that has nothing to do has no goroutine.
//
// It also makes the stack large before the run begins. A goroutine starts with
// 2 KiB, and handling a message takes up to 16. The runtime would double the
// stack three times in the middle of the run, and each time look at every call
// on it to move it: that was a sixth of the processor time of a busy server. A
// pool of goroutines that keep their stacks saves no more than this does, holds
// memory after a burst, and must be closed.
type dispatcher struct{}

// throughput is the number of messages after which a run lets others go first.
// It is the framework's default.
const throughput = 300

// Schedule implements actor.Dispatcher.
func (dispatcher) Schedule(run func()) {
	go func() {
		growStack(0)
		run()
	}()
}

// Throughput implements actor.Dispatcher.
func (dispatcher) Throughput() int { return throughput }

// growStack makes the stack of a new goroutine 16 KiB large, the largest size
// that each processor of the runtime keeps for reuse. Each call of a function
// makes sure that there is room for all its variables, used or not: with 0 the
// array is not touched. The stack goes back when the goroutine ends.
//
//go:noinline
func growStack(n int) byte {
	if n == 0 {
		return 0
	}
	var room [12 << 10]byte
	return room[n]
}
