package persistence

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// formatVersion is the layout that this package writes. A file says its own
// in the bucket meta, as "parlor/1".
const (
	formatName    = "parlor/"
	formatVersion = 1
)

var (
	keyFormat = []byte("format")
	keyEpoch  = []byte("epoch")
)

// examine refuses the file at path before anything could be written to it.
// It reports whether a store is to be created there: the file does not exist,
// or has nothing in it, which is how a crash during creation leaves it.
//
// It opens the file read-only, in which mode bbolt scans nothing: a scan of a
// file that was cut short would end the process with a fault.
func examine(path string, o Options) (create bool, err error) {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return false, fmt.Errorf("the directory %s does not exist", dir)
	}
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%w: not a regular file", ErrFormat)
	case info.Size() == 0:
		return true, nil
	}
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: o.LockTimeout, NoStatistics: true})
	if err != nil {
		return false, openError(err)
	}
	defer db.Close()
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			if tx.Size() > info.Size() {
				return fmt.Errorf("%w: %d bytes long where %d are in use", ErrFormat, info.Size(), tx.Size())
			}
			create, err = checkFormat(tx)
			return err
		})
	})
	if errors.Is(err, ErrCorrupt) {
		return false, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return create, err
}

// checkFormat refuses a foreign or newer layout. A file without any bucket is
// fresh.
func checkFormat(tx *bolt.Tx) (fresh bool, err error) {
	if k, _ := tx.Cursor().First(); k == nil {
		return true, nil
	}
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return false, fmt.Errorf("%w: another program's bbolt file", ErrFormat)
	}
	version, ok := strings.CutPrefix(string(meta.Get(keyFormat)), formatName)
	if !ok {
		return false, fmt.Errorf("%w: another program's bbolt file", ErrFormat)
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		return false, fmt.Errorf("%w: format version %q", ErrFormat, version)
	}
	if n > formatVersion {
		return false, fmt.Errorf("%w: format version %d, this program knows up to %d", ErrFormat, n, formatVersion)
	}
	return false, nil
}

// create lays out a fresh file.
func create(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketChats, bucketMembers, bucketLog, bucketDedup, bucketTurns} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if err := meta.Put(keyEpoch, []byte(rand.Text())); err != nil {
		return err
	}
	return meta.Put(keyFormat, []byte(formatName+strconv.Itoa(formatVersion)))
}

// openError sorts what bbolt says of a file that it cannot open: the system's
// errors stay what they are, the lock has its own, and the rest is about the
// contents.
func openError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.As(err, &errno), errors.Is(err, ErrCorrupt):
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// syncDir makes a directory entry durable: an fsync of a new file alone does
// not promise that the file can be found after a power failure. Windows has
// no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
