//go:build unix

package persistence

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives the file at path the mode and owner of old. Without it an
// operator with another account would take the file from the server.
func keepOwner(path string, old fs.FileInfo) error {
	if err := os.Chmod(path, old.Mode().Perm()); err != nil {
		return err
	}
	stat, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Chown(path, int(stat.Uid), int(stat.Gid))
}
