//go:build unix

package main

import (
	"math"
	"os/signal"
	"syscall"
)

// outliveFileSizeLimit makes a write past the limit of "ulimit -f" fail, as on a
// full disk, instead of ending the process.
func outliveFileSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }

// openFiles returns how many files, and so connections, this process may have open. Go
// has raised the limit as far as it may (package os). It returns 0 if that is not known.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
