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

// formatVersion is the version of the layout that this package writes. A file
// names its own version in the bucket meta, as in "parlor/7".
const (
	formatName    = "parlor/"
	formatVersion = 1 + len(migrations)

	formatEncrypted = "+encrypted" // behind the version of a file that is encrypted
)

// migrations[i] brings a file of version i+1 to the next version. [Open] applies
// them, oldest first. Each has its own transaction, which also writes the new
// version number: after a crash the file is of one version or the other.
var migrations = [...]func(*bolt.Tx) error{
	addSessions,
	addUsage,
	addMessages,
	addShared,
	addOwned,
	addRead,
	addAccounts,
	addFiles,
	addHooks,
	addMarks,
	addAudit,
	addLarge,
}

// addShared leads from version 4 to 5. Until then a chat was its owner's alone.
func addShared(tx *bolt.Tx) error { return createBuckets(tx, bucketShared) }

// addSessions leads from version 1 to 2. The values of a file of version 1 are
// not sealed. To seal them all is too much for one transaction, so [sealAll]
// does it.
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
	keySealing  = []byte("sealing")  // where sealAll goes on; absent once it is done
	keyCharging = []byte("charging") // the same for chargeAll
	keyIndexing = []byte("indexing") // the same for indexAll
	keySizing   = []byte("sizing")   // the same for sizeAll
)

// examine refuses a file that cannot be used, before anything is written to it.
// It accepts a path where there is no file, and an empty file, which a crash
// during creation leaves behind. If scanned is false, only the upper pages were
// examined: see freelist.go.
//
// It opens the file read-only. In that mode bbolt does not walk over the pages,
// which in a file that was cut short would end the process with a fault.
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

// examineTx scans the pages before bbolt reads them, and then looks for the
// format. All pages of a file that has to be migrated are scanned, since the
// migration follows at once.
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
	s.upperOnly = upper
	if err := s.run(); err != nil {
		return fmt.Errorf("%w: bbolt's pages are damaged: restore a backup: %w", ErrFormat, err)
	}
	return nil
}

// outdated reports whether the file, which is of that version, has to be migrated.
func outdated(tx *bolt.Tx, version int) bool {
	meta := tx.Bucket(bucketMeta)
	return version < formatVersion || has(meta, keySealing) || has(meta, keyCharging) || has(meta, keyIndexing) || has(meta, keySizing)
}

// formatOf returns the version of the file, or zero for a fresh one, which has
// no bucket. It refuses the files of other programs and of newer versions.
func formatOf(tx *bolt.Tx) (version int, err error) {
	if k, _ := tx.Cursor().First(); k == nil {
		return 0, nil
	}
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return 0, fmt.Errorf("%w: another program's bbolt file", ErrFormat)
	}
	digits, ok := strings.CutPrefix(string(meta.Get(keyFormat)), formatName)
	digits = strings.TrimSuffix(digits, formatEncrypted)
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
		bucketSessions, bucketSnapshots, bucketTexts, bucketUsage, bucketCharged, bucketShared, bucketOwned, bucketRead, bucketAccounts,
		bucketFiles, bucketBlobs, bucketUploads, bucketHooks, bucketMarks, bucketMarkers, bucketAudit, bucketLarge)
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
	meta, name := tx.Bucket(bucketMeta), formatName+strconv.Itoa(version)
	if saysEncrypted(meta) {
		name += formatEncrypted
	}
	return meta.Put(keyFormat, []byte(name))
}

func saysEncrypted(meta *bolt.Bucket) bool {
	return bytes.HasSuffix(meta.Get(keyFormat), []byte(formatEncrypted))
}

// setEncrypted notes whether the file is encrypted, so that programs refuse it that do not
// know of that.
func setEncrypted(tx *bolt.Tx, is bool) error {
	meta := tx.Bucket(bucketMeta)
	name := bytes.TrimSuffix(meta.Get(keyFormat), []byte(formatEncrypted))
	if is {
		name = append(bytes.Clone(name), formatEncrypted...)
	}
	return meta.Put(keyFormat, bytes.Clone(name))
}

// layOut brings the file to the current format: a fresh file at once, an older
// one step by step.
func layOut(d *disk, o Options) error {
	var version int
	err := d.view(func(tx *bolt.Tx) (err error) {
		version, err = formatOf(tx) // again, since the file is locked only now
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
	if err := sizeAll(d); err != nil {
		return fmt.Errorf("add up the bytes of owners: %w", err)
	}
	return nil
}

// goOn carries on a migration that is too much for one transaction. Each step is
// one transaction. It begins at at, and returns where the next step begins, or
// nil after the last one. The note, a key of the bucket meta, keeps that place,
// so a crash costs one step. Without the note there is nothing to do.
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

// openError sorts the errors of bbolt for a file that it cannot open. Errors of
// the system stay as they are, a lock that is held is [ErrLocked], and all others
// are about the contents of the file.
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

// syncDir makes a directory entry durable. An fsync of a new file alone does not
// promise that the file can be found after a power failure. Windows has no such
// call and needs none.
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
