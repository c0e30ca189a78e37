package persistence

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Restore puts the copy that r has, which [Backup.WriteTo] has written, in the place of all that
// the store holds. Epoch and [Reader.Applied] become those of the copy. The copy is examined
// as [Open] and [Check] do before anything is lost: with an error the store has what it had,
// unless the disk fails in between, and then the next start tries again.
//
// Reads see either the old or the new contents. Loops over reads may see both.
func (s *Store) Restore(r io.Reader) error {
	next := s.disk.path + ".restore"
	defer os.Remove(next)
	if err := s.receive(next, r); err != nil {
		return fmt.Errorf("restore database %s: %w", s.disk.path, err)
	}
	<-s.scanned
	s.writer.lock.Lock()
	defer s.writer.lock.Unlock()
	if s.disk.closed {
		return ErrClosed
	}
	if err := s.disk.replace(next, s.ring()); err != nil {
		return fmt.Errorf("restore database %s: %w", s.disk.path, err)
	}
	if is, err := s.isReencrypting(); is || err != nil {
		s.goOnReencrypting(nil)
	}
	return s.prepare()
}

// ring returns the operator's keys, which may have changed since the store was opened.
func (s *Store) ring() KeyRing {
	if keys := s.disk.keys.Load(); keys != nil {
		return keys.ring
	}
	return s.options.Keys
}

// receive writes the copy to a file, and examines it.
func (s *Store) receive(path string, r io.Reader) error {
	if err := os.RemoveAll(path); err != nil { // a crash may have left it
		return err
	}
	if err := WriteNew(path, func(w io.Writer) error { _, err := io.Copy(w, r); return err }); err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 { // which Open would take for a fresh file
		return cmp.Or(err, fmt.Errorf("%w: the copy is empty", ErrFormat))
	}
	o := s.options
	o.Replicated, o.Committed, o.Synced, o.Keys = true, nil, nil, s.ring()
	copied, err := open(path, o.withDefaults()) // an older format becomes the current one
	if err != nil {
		return err
	}
	if err := copied.Close(); err != nil {
		return err
	}
	return checkCopy(path, Checking{Options: o})
}

// replace puts another file in the place of the one that is open. It waits for reads.
func (d *disk) replace(with string, ring KeyRing) error {
	d.commitLock.Lock()
	defer d.commitLock.Unlock()
	d.reopenLock.Lock()
	defer d.reopenLock.Unlock()
	d.copies.end(fmt.Errorf("%w: the file was replaced", ErrUnavailable))
	defer openFiles.Delete(d.db)
	if err := d.db.Close(); err != nil {
		return err
	}
	err := os.Rename(with, d.path)
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if openErr := d.open(); openErr != nil {
		d.mustReopen = true
		return errors.Join(err, openErr)
	}
	return cmp.Or(err, d.keysOfFile(ring))
}

// keysOfFile is [disk.readKeys] while the file is being replaced. The keys of the file before
// stay, as they do in [disk.setKeys], and mean nothing to the values of this one.
func (d *disk) keysOfFile(ring KeyRing) error {
	return d.db.View(func(tx *bolt.Tx) error {
		record, by, err := openRecord(tx, ring)
		if err == nil && record != nil {
			d.setKeys(record.use(ring, by))
		}
		return err
	})
}
