package persistence

import (
	"fmt"
	"runtime/debug"
)

// mend brings the file back to the last durable commit, and opens bbolt anew, if
// that is needed. It is tried after a failure, and then before each transaction
// until it succeeds. Readers are served meanwhile. They see what is durable as
// soon as the meta pages have been written back, even before these are synced.
//
// bbolt has to be opened anew because its list of free pages is still that of
// the refused commit: bbolt would hand out pages that are in use.
func (d *disk) mend() error {
	if !d.mustUndo && !d.mustReopen {
		return nil
	}
	d.reopenLock.Lock()
	defer d.reopenLock.Unlock()
	if d.mustUndo {
		if err := d.writeMetasBack(); err != nil {
			return fmt.Errorf("undo the refused commit: %w", err)
		}
		d.mustUndo, d.mustReopen = false, true
	}
	d.copies.end(errMending) // or Close would wait for those who read them
	defer openFiles.Delete(d.db)
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	if err := d.open(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	d.mustReopen = false
	return nil
}

// writeMetasBack undoes a commit. It has to be done, with its sync, before
// anything else is written: a page of the refused commit may be overwritten only
// when no meta page on the disk leads to it.
func (d *disk) writeMetasBack() error {
	if _, err := d.file.WriteAt(d.oldMetas, 0); err != nil {
		return err
	}
	return d.file.Sync()
}

// guard calls fn and returns a panic as [ErrCorrupt], and also a fault on a
// mapped page that the file no longer has. It cannot help while bbolt looks for
// free pages, which it does in a goroutine of its own.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return fn()
}
