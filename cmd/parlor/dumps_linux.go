package main

import "golang.org/x/sys/unix"

// keepOutOfDumps makes sure that the memory of this process, in which keys are from now on,
// gets into no core dump, and that no other process of the same user can read it. If the
// system refuses, nothing else is lost.
func keepOutOfDumps() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
