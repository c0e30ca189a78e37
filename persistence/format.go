package persistence

import (
	"bytes"
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
// in the bucket meta, as "parlor/4".
const (
	formatName    = "parlor/"
	formatVersion = 1 + len(migrations)
)

// migrations[i] takes a file of version i+1 to the next one. They are applied
// by [Open], oldest first, each in a transaction of its own that also writes
// the version it leads to: a crash leaves the file as one of them has it.
var migrations = [...]func(*bolt.Tx) error{
	addSessions,
	addUsage,
	addMessages,
}

// addSessions leads from version 1 to 2. The values of a file of version 1
// are not sealed; sealing them all is too much for one transaction, so it is
// left to [sealAll].
func addSessions(tx *bolt.Tx) error {
	if err := createBuckets(tx, bucketSessions, bucketSnapshots, bucketTexts); err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keySealing, []byte(unsealedBuckets[0]))
}

func createBuckets(tx *bolt.Tx, names ...[]byte) error {
	for _, name := range names {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

var (
	keyFormat   = []byte("format")
	keyEpoch    = []byte("epoch")
	keySealing  = []byte("sealing")  // how far sealAll has come; not there once it is done
	keyCharging = []byte("charging") // the same of chargeAll
	keyIndexing = []byte("indexing") // the same of indexAll
)

// examine refuses the file at path before anything could be written to it. A
// file that does not exist is fine, and one with nothing in it, which is how a
// crash during creation leaves it. If scanned is false, only the upper pages
// were looked at: see freelist.go.
//
// It opens the file read-only, in which mode bbolt scans nothing: a scan of a
// file that was cut short would end the process with a fault.
func examine(path string, o Options) (scanned bool, err error) {
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
	var file *os.File
	openFile := func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: o.LockTimeout, NoStatistics: true, OpenFile: openFile})
	if err != nil {
		return false, openError(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		scanned, err = examineTx(tx, file, o)
		return err
	})
	return scanned, err
}

// examineTx looks at the pages before bbolt does, and only then at what they
// say. A file that will be migrated at once is scanned at once.
func examineTx(tx *bolt.Tx, file *os.File, o Options) (scanned bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if tx.Size() > info.Size() {
		return false, fmt.Errorf("%w: %d bytes long where %d are in use", ErrFormat, info.Size(), tx.Size())
	}
	upper := tx.Size() > o.scanFirst && listOf(tx) != noList
	if err := examinePages(tx, file, upper); err != nil {
		return false, err
	}
	version, err := formatOf(tx)
	if err != nil || !upper || !outdated(tx, version) {
		return !upper, err
	}
	return true, examinePages(tx, file, false)
}

func examinePages(tx *bolt.Tx, file *os.File, upper bool) error {
	s := newScan(tx, file)
	s.upper = upper
	if err := s.run(); err != nil {
		return fmt.Errorf("%w: bbolt's pages are damaged: restore a backup: %w", ErrFormat, err)
	}
	return nil
}

// outdated says whether a file of that version has to be brought to the current format.
func outdated(tx *bolt.Tx, version int) bool {
	meta := tx.Bucket(bucketMeta)
	return version < formatVersion || has(meta, keySealing) || has(meta, keyCharging) || has(meta, keyIndexing)
}

// formatOf returns the version of the file, zero for one without any bucket,
// which is fresh. It refuses a foreign or newer layout.
func formatOf(tx *bolt.Tx) (version int, err error) {
	if k, _ := tx.Cursor().First(); k == nil {
		return 0, nil
	}
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return 0, fmt.Errorf("%w: another program's bbolt file", ErrFormat)
	}
	digits, ok := strings.CutPrefix(string(meta.Get(keyFormat)), formatName)
	if !ok {
		return 0, fmt.Errorf("%w: another program's bbolt file", ErrFormat)
	}
	version, err = strconv.Atoi(digits)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: format version %q", ErrFormat, digits)
	}
	if version > formatVersion {
		return 0, fmt.Errorf("%w: format version %d, this program knows up to %d", ErrFormat, version, formatVersion)
	}
	return version, nil
}

// create lays out a fresh file.
func create(tx *bolt.Tx) error {
	err := createBuckets(tx, bucketMeta, bucketChats, bucketMembers, bucketLog, bucketDedup, bucketMessages, bucketTurns,
		bucketSessions, bucketSnapshots, bucketTexts, bucketUsage, bucketCharged)
	if err != nil {
		return err
	}
	if err := putEpoch(tx); err != nil {
		return err
	}
	return putFormat(tx, formatVersion)
}

// putEpoch gives the file a new epoch.
func putEpoch(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyEpoch, []byte(rand.Text())) }

func putFormat(tx *bolt.Tx, version int) error {
	return tx.Bucket(bucketMeta).Put(keyFormat, []byte(formatName+strconv.Itoa(version)))
}

// layOut brings the file to the current format: a fresh one at once, an older
// one step by step.
func layOut(d *disk, o Options) error {
	var version int
	err := d.view(func(tx *bolt.Tx) (err error) {
		version, err = formatOf(tx) // again: now the file is locked
		return err
	})
	if err != nil {
		return err
	}
	if version == 0 {
		return d.update(func(tx *bolt.Tx) (bool, error) { return true, create(tx) })
	}
	for ; version < formatVersion; version++ {
		if err := migrate(d, version); err != nil {
			return fmt.Errorf("migrate from format version %d: %w", version, err)
		}
	}
	if err := sealAll(d); err != nil {
		return fmt.Errorf("add checksums: %w", err)
	}
	if err := chargeAll(d, o.Charges); err != nil {
		return fmt.Errorf("charge what was said before: %w", err)
	}
	if err := indexAll(d, o.MessageID); err != nil {
		return fmt.Errorf("index messages: %w", err)
	}
	return nil
}

// goOn takes the steps of a migration that is too much for one transaction.
// Each step is one. It begins where at says, which the note in bucket meta
// keeps, and returns where the next one does, or nil after the last: a crash
// costs one step. Without the note there is nothing to do.
func goOn(d *disk, note []byte, step func(tx *bolt.Tx, at []byte) (next []byte, err error)) error {
	for more := true; more; {
		err := d.update(func(tx *bolt.Tx) (changed bool, err error) {
			meta := tx.Bucket(bucketMeta)
			if more = has(meta, note); !more {
				return false, nil
			}
			next, err := step(tx, bytes.Clone(meta.Get(note)))
			switch {
			case err != nil:
				return false, err
			case next == nil:
				return true, meta.Delete(note)
			}
			return true, meta.Put(note, next)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func migrate(d *disk, from int) error {
	return d.update(func(tx *bolt.Tx) (bool, error) {
		if err := migrations[from-1](tx); err != nil {
			return false, err
		}
		return true, putFormat(tx, from+1)
	})
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
