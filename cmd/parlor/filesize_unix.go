//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// outliveFileSizeLimit makes a write past the limit of "ulimit -f" an error,
// which is met like a full disk, and not the end of the process.
func outliveFileSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
