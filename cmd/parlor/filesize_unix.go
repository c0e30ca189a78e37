//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// outliveFileSizeLimit makes a write past the limit of "ulimit -f" fail, as on a
// full disk, instead of ending the process.
func outliveFileSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
