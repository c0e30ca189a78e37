package persistence

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A disk is the open file: bbolt, and the repair of what bbolt does not handle
// when a write or an fsync fails.
//
// bbolt ends a transaction by writing a meta page and syncing it. Readers see
// the transaction as soon as the page is written, before it is durable. If that
// last sync fails, bbolt reports an error but leaves the page in place: readers
// go on seeing the refused transaction, and the next one builds on it. A disk
// never shows a transaction that is newer than the last successful sync, and
// puts the meta pages back when a commit fails that late.
//
// view may be called from any goroutine; update and close from one at a time.
type disk struct {
	path    string
	copies  copies // backups that are open
	options bolt.Options
	log     *slog.Logger
	synced  func(time.Duration) // nil: it is read only

	keys atomic.Pointer[fileKeys] // nil: the file is not encrypted

	db        *bolt.DB      // replaced under reopenLock
	file      *os.File      // that db reads and writes
	oldMetas  []byte        // the meta pages before the commit that is under way
	durableTx atomic.Uint64 // the newest transaction that is known to be synced

	mustUndo      bool  // oldMetas have to be written back before the next transaction
	mustReopen    bool  // db cannot be used any more
	closed        bool  // under reopenLock
	refusesWrites bool  // the last transaction failed
	damage        error // if not nil, why no transaction is tried

	// commitLock is held from before a commit's meta page is written until
	// the commit is durable or undone.
	commitLock sync.RWMutex
	// reopenLock is held while the meta pages are put back and db is replaced.
	// It is taken after commitLock. Readers hold it only for moments.
	reopenLock sync.RWMutex
}

// openDisk opens a file that [examine] has accepted.
func openDisk(path string, o Options, readOnly bool) (*disk, error) {
	d := &disk{path: path, log: o.Logger, synced: o.Synced}
	d.options = bolt.Options{
		Timeout:         o.LockTimeout,
		InitialMmapSize: o.InitialMmapSize,
		FreelistType:    bolt.FreelistMapType,
		NoFreelistSync:  true,
		OpenFile:        d.openFile,
		ReadOnly:        readOnly,
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	if o.keyless {
		return d, nil
	}
	if err := d.readKeys(o.Keys); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// openFile opens the file for bbolt, and keeps it for the disk too.
func (d *disk) openFile(name string, flag int, mode os.FileMode) (f *os.File, err error) {
	f, err = os.OpenFile(name, flag, mode)
	d.file = f
	return f, err
}

// headroom makes the mapping large enough for the file to double. A mapping that
// has become too small is replaced, and that waits for all readers.
func (d *disk) headroom() {
	if info, err := os.Stat(d.path); err == nil && info.Size() < math.MaxInt/4 {
		d.options.InitialMmapSize = max(d.options.InitialMmapSize, 2*int(info.Size()))
	}
}

// open opens the file and makes its contents durable: the last commit of a
// process that was killed may be in the page cache only.
func (d *disk) open() error {
	var db *bolt.DB
	d.headroom()
	err := guard(func() (err error) {
		db, err = bolt.Open(d.path, 0o600, &d.options)
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		d.file.Close() // bbolt has panicked, and the lock is still held
	}
	if err != nil {
		return openError(err)
	}
	newest, err := newestOf(db)
	if err == nil {
		err = d.sameFile()
	}
	if err == nil && !d.options.ReadOnly {
		err = db.Sync()
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d.db, d.oldMetas = db, make([]byte, 2*db.Info().PageSize)
	d.durableTx.Store(newest)
	d.setKeys(d.keys.Load())
	return nil
}

// sameFile makes sure that path still leads to the file that is locked: while
// this process waited for the lock, a compaction may have put another file there.
func (d *disk) sameFile() error {
	opened, err := d.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, named) {
		return fmt.Errorf("%w: it was replaced while it was opened, try again", ErrLocked)
	}
	return nil
}

// newestOf returns the number of the transaction that readers see.
func newestOf(db *bolt.DB) (uint64, error) {
	tx, err := db.Begin(false)
	if err != nil {
		return 0, err
	}
	return uint64(tx.ID()), tx.Rollback()
}

// close ends backups and waits for open read transactions. Later calls of view
// return [ErrClosed].
func (d *disk) close() error {
	d.reopenLock.Lock()
	defer d.reopenLock.Unlock()
	d.copies.end(ErrClosed)
	d.closed = true
	defer openFiles.Delete(d.db)
	return d.db.Close()
}

// view calls fn with a read transaction that sees only what is durable. What fn
// reads is valid until it returns. A fault or a panic on a damaged page is
// returned as [ErrCorrupt].
func (d *disk) view(fn func(*bolt.Tx) error) error {
	tx, err := d.snapshot()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return guard(func() error { return fn(tx) })
}

// snapshot begins a read transaction. If that sees a commit which is written but
// not synced yet, snapshot waits for the outcome.
func (d *disk) snapshot() (*bolt.Tx, error) {
	tx, err := d.begin()
	if err != nil || uint64(tx.ID()) <= d.durableTx.Load() {
		return tx, err
	}
	if err := tx.Rollback(); err != nil {
		return nil, err
	}
	d.commitLock.RLock()
	defer d.commitLock.RUnlock()
	tx, err = d.begin()
	if err == nil && uint64(tx.ID()) > d.durableTx.Load() { // the commit failed and could not be undone
		return nil, errors.Join(ErrUnavailable, tx.Rollback())
	}
	return tx, err
}

func (d *disk) begin() (*bolt.Tx, error) {
	d.reopenLock.RLock()
	defer d.reopenLock.RUnlock()
	if d.closed {
		return nil, ErrClosed
	}
	tx, err := d.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return tx, nil
}

// currentFile returns the file that the open transactions read.
func (d *disk) currentFile() *os.File {
	d.reopenLock.RLock()
	defer d.reopenLock.RUnlock()
	return d.file
}

// update commits what fn writes, durably, unless fn reports that it changed
// nothing. After any error nothing of it can be read.
func (d *disk) update(fn func(*bolt.Tx) (changed bool, err error)) error {
	if err := d.tryUpdate(fn); err != nil {
		d.refuses(err)
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (d *disk) tryUpdate(fn func(*bolt.Tx) (changed bool, err error)) error {
	if d.damage != nil {
		return d.damage
	}
	if err := d.mend(); err != nil {
		return err
	}
	tx, err := d.db.Begin(true)
	if err != nil {
		d.mustReopen = true
		return err
	}
	defer guard(tx.Rollback) // does nothing after a commit
	var changed bool
	err = guard(func() error {
		changed, err = fn(tx)
		return err
	})
	if err != nil || !changed {
		return err
	}
	if _, err := d.file.ReadAt(d.oldMetas, 0); err != nil {
		return err
	}
	return d.commit(tx)
}

func (d *disk) commit(tx *bolt.Tx) error {
	d.commitLock.Lock()
	defer d.commitLock.Unlock()
	id := uint64(tx.ID())
	err := guard(tx.Commit)
	if err == nil {
		d.durableTx.Store(id)
		d.accepts()
		if stats := tx.Stats(); d.synced != nil {
			d.synced(stats.GetWriteTime())
		}
		return nil
	}
	guard(tx.Rollback) // releases bbolt's locks if the commit panicked
	newest, beginErr := newestOf(d.db)
	switch {
	case beginErr != nil: // the mapping is gone
		d.mustReopen = true
	case newest >= id:
		d.mustUndo = true
	}
	return errors.Join(err, d.mend())
}

// refuses and accepts log the first failure and the first success after it, not
// each failure between them.
func (d *disk) refuses(err error) {
	if !d.refusesWrites {
		d.log.Error("storage refuses writes", "file", d.path, "err", err)
	}
	d.refusesWrites = true
}

func (d *disk) accepts() {
	if d.refusesWrites {
		d.log.Info("storage accepts writes again", "file", d.path)
	}
	d.refusesWrites = false
}
