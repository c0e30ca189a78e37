//go:build unix

package main

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// readByGroup reports whether this process can read a file because of the file's group alone: an
// administrator has given it that way.
func readByGroup(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() == 0 || int(s.Uid) == os.Geteuid() {
		return false
	}
	groups, err := os.Getgroups()
	return int(s.Gid) == os.Getegid() || err == nil && slices.Contains(groups, int(s.Gid))
}
