package persistence

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// A disk is the open file: bbolt, and around it what bbolt leaves open when a
// write or an fsync fails.
//
// bbolt ends a transaction by writing a meta page and syncing it. Readers see
// the transaction from the write on, before it is durable; and if that last
// sync fails, bbolt reports an error but leaves the page in place, so that the
// refused transaction is what everybody reads and the next one builds on. A
// disk shows no snapshot that is newer than the last successful sync, and
// puts the meta pages back when a commit fails that late.
//
// view may be called from any goroutine; update and close from one at a time.
type disk struct {
	path    string
	copies  copies // backups under way
	options bolt.Options
	log     *slog.Logger

	db       *bolt.DB      // replaced under reopening
	file     *os.File      // the one that db writes to
	metas    []byte        // the meta pages before the commit at hand
	durable  atomic.Uint64 // the newest transaction that is known to be synced
	undo     bool          // metas have to be written back before the next transaction
	reopen   bool          // db is no longer of use
	closed   bool          // under reopening
	refusing bool          // the last transaction failed
	damage   error         // if not nil, why no transaction may be tried

	// committing is held from before a commit's meta page is written until
	// the commit is durable or undone.
	committing sync.RWMutex
	// reopening is held while the meta pages are put back and db is replaced.
	// It is taken after committing, and only for moments by readers.
	reopening sync.RWMutex
}

// openDisk opens the file, which [examine] has passed.
func openDisk(path string, o Options, readOnly bool) (*disk, error) {
	d := &disk{path: path, log: o.Logger}
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
	return d, nil
}

// openFile is how bbolt opens the file; the disk needs it too.
func (d *disk) openFile(name string, flag int, mode os.FileMode) (f *os.File, err error) {
	f, err = os.OpenFile(name, flag, mode)
	d.file = f
	return f, err
}

// headroom makes room in the mapping for a file to double, whatever its size:
// a mapping that is too small is replaced, and that waits for all readers.
func (d *disk) headroom() {
	if info, err := os.Stat(d.path); err == nil && info.Size() < math.MaxInt/4 {
		d.options.InitialMmapSize = max(d.options.InitialMmapSize, 2*int(info.Size()))
	}
}

// open opens the file and makes what it holds durable: a process that was
// killed may have left its last commit in the page cache.
func (d *disk) open() error {
	var db *bolt.DB
	d.headroom()
	err := guard(func() (err error) {
		db, err = bolt.Open(d.path, 0o600, &d.options)
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		d.file.Close() // bbolt has panicked and still holds the lock
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
	d.db, d.metas = db, make([]byte, 2*db.Info().PageSize)
	d.durable.Store(newest)
	return nil
}

// sameFile makes sure that path leads to the file that is locked now: while
// this process waited for the lock, a compaction may have put another there.
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

// newestOf returns the transaction that readers see.
func newestOf(db *bolt.DB) (uint64, error) {
	tx, err := db.Begin(false)
	if err != nil {
		return 0, err
	}
	return uint64(tx.ID()), tx.Rollback()
}

// close ends backups and waits for the snapshots that are open. Later calls of
// view return [ErrClosed].
func (d *disk) close() error {
	d.reopening.Lock()
	defer d.reopening.Unlock()
	d.copies.end(ErrClosed)
	d.closed = true
	return d.db.Close()
}

// view calls fn with a snapshot that is durable. What fn reads is valid only
// inside. A fault or a panic on a damaged page is returned as [ErrCorrupt].
func (d *disk) view(fn func(*bolt.Tx) error) error {
	tx, err := d.snapshot()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return guard(func() error { return fn(tx) })
}

// snapshot begins a read transaction. If it caught a commit between its write
// and its sync, it waits for the outcome.
func (d *disk) snapshot() (*bolt.Tx, error) {
	tx, err := d.begin()
	if err != nil || uint64(tx.ID()) <= d.durable.Load() {
		return tx, err
	}
	if err := tx.Rollback(); err != nil {
		return nil, err
	}
	d.committing.RLock()
	defer d.committing.RUnlock()
	tx, err = d.begin()
	if err == nil && uint64(tx.ID()) > d.durable.Load() { // refused, and not undone either
		return nil, errors.Join(ErrUnavailable, tx.Rollback())
	}
	return tx, err
}

func (d *disk) begin() (*bolt.Tx, error) {
	d.reopening.RLock()
	defer d.reopening.RUnlock()
	if d.closed {
		return nil, ErrClosed
	}
	tx, err := d.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return tx, nil
}

// currentFile returns the file that transactions read which are open now.
func (d *disk) currentFile() *os.File {
	d.reopening.RLock()
	defer d.reopening.RUnlock()
	return d.file
}

// update commits what fn writes, durably, unless fn says that it changed
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
		d.reopen = true
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
	if _, err := d.file.ReadAt(d.metas, 0); err != nil {
		return err
	}
	return d.commit(tx)
}

func (d *disk) commit(tx *bolt.Tx) error {
	d.committing.Lock()
	defer d.committing.Unlock()
	id := uint64(tx.ID())
	err := guard(tx.Commit)
	if err == nil {
		d.durable.Store(id)
		d.accepts()
		return nil
	}
	guard(tx.Rollback) // if it panicked, bbolt's locks are still held
	newest, beginErr := newestOf(d.db)
	switch {
	case beginErr != nil: // the mapping is lost
		d.reopen = true
	case newest >= id:
		d.undo = true
	}
	return errors.Join(err, d.mend())
}

// refuses and accepts tell of the first failure and of its end, not of each
// failure between.
func (d *disk) refuses(err error) {
	if !d.refusing {
		d.log.Error("storage refuses writes", "file", d.path, "error", err)
	}
	d.refusing = true
}

func (d *disk) accepts() {
	if d.refusing {
		d.log.Info("storage accepts writes again", "file", d.path)
	}
	d.refusing = false
}
