package persistence

import (
	"fmt"
	"runtime/debug"
)

// mend brings the file back to the last durable commit and bbolt back to the
// file, if either is needed. It is tried after the failure and before each
// transaction until it succeeds. Meanwhile readers are served: with what is
// durable, as soon as the meta pages could be written back, synced or not.
//
// bbolt has to be opened anew because its list of free pages is the one of
// the refused commit: it would hand out pages that are in use.
func (d *disk) mend() error {
	if !d.undo && !d.reopen {
		return nil
	}
	d.reopening.Lock()
	defer d.reopening.Unlock()
	if d.undo {
		if err := d.writeMetasBack(); err != nil {
			return fmt.Errorf("undo the refused commit: %w", err)
		}
		d.undo, d.reopen = false, true
	}
	d.copies.end(errDisturbed) // or Close would wait for their readers
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	if err := d.open(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	d.reopen = false
	return nil
}

// writeMetasBack must not be skipped or reordered: a page of the refused
// commit may be overwritten only when no meta page on the disk leads to it.
func (d *disk) writeMetasBack() error {
	if _, err := d.file.WriteAt(d.metas, 0); err != nil {
		return err
	}
	return d.file.Sync()
}

// guard calls fn and returns its panic, or its fault on a mapped page that the
// file no longer has, as [ErrCorrupt]. It cannot help where bbolt uses a
// goroutine of its own: while it looks for free pages.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return fn()
}
