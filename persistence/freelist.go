package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A large file starts promptly if it was closed well. bbolt finds its free
// pages by walking all pages, in a goroutine where nobody can recover from a
// damaged one; so [examine] has to look at all of them before. It can also
// write a list of them. With each commit that would take too long, so only the
// last transaction of a store does:
//
//	Open, a list is there  → the upper pages → served
//	                         all pages → written (the writer, before its first commit)
//	Open, none: it crashed → all pages → bbolt's walk → served and written
//
// The list is one transaction's, as all pages are: the next commit has none, so
// a list that is there is the right one. Reads of pages that were not looked at
// can fail but not loop, since their branches were; a commit that fails would
// let bbolt walk them, so none is tried.

const (
	noList = math.MaxUint64            // in place of the list's page
	listAt = pageHeaderLen + 4*4 + 2*8 // where a meta page names it: behind magic, version, page size, flags, root
	listID = 8                         // bytes of a page's number in the list
	manyID = math.MaxUint16            // the count of a list that begins with its count
)

// listOf returns the page where tx has the list of free pages, or noList.
func listOf(tx *bolt.Tx) uint64 { return binary.NativeEndian.Uint64(metaPages(tx)[listAt:]) }

// freeList checks the list, if there is one, once all pages in use are known.
// bbolt would write over whatever is in it.
func (s *pageScan) freeList() error {
	if s.list == noList {
		return nil
	}
	page, err := s.read(s.list, 0)
	if err != nil {
		return err
	}
	count, ids := uint64(binary.NativeEndian.Uint16(page[10:])), page[pageHeaderLen:]
	if count == manyID {
		count, ids = binary.NativeEndian.Uint64(ids), ids[listID:]
	}
	if flags := binary.NativeEndian.Uint16(page[8:]); flags != listFlag || count > uint64(len(ids)/listID) {
		return fmt.Errorf("%w: flags %#x, %d pages", ErrCorrupt, flags, count)
	}
	last := uint64(1)
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[i*listID:])
		if id <= last || id >= s.end || s.used[id] {
			return fmt.Errorf("%w: it names page %d behind %d", ErrCorrupt, id, last)
		}
		last = id
	}
	return nil
}

// keepFreeList writes the list for the next start, if the file is larger than
// that and there is none yet. If that fails, the next start takes longer.
func (d *disk) keepFreeList(above int64) {
	if d.damage != nil || d.refusing {
		return
	}
	err := d.update(func(tx *bolt.Tx) (changed bool, err error) {
		if tx.Size() <= above || listOf(tx) != noList {
			return false, nil
		}
		tx.DB().NoFreelistSync = false // read by the commit
		return true, nil
	})
	if err != nil {
		d.log.Warn("the next start will look at the whole file first", "file", d.path, "error", err)
	}
}

// scan looks at all pages of a file that is served already, before its first
// update. If one is damaged or cannot be read, every update is refused, and so
// it is if stop has made it give up.
func (d *disk) scan(stop func() bool) {
	began := time.Now()
	err := d.view(func(tx *bolt.Tx) error {
		d.log.Info("looking at all pages of the file; what is sent waits", "file", d.path, "bytes", tx.Size())
		s := newScan(tx, d.file)
		s.stop = stop
		return s.run()
	})
	switch {
	case err == nil:
		d.log.Info("all pages are sound", "file", d.path, "took", time.Since(began))
		return
	case !errors.Is(err, ErrClosed):
		d.log.Error("pages are damaged: what can be read is served, nothing is written: restore a backup", "file", d.path, "error", err)
		err = fmt.Errorf("%w: restore a backup", ErrCorrupt)
	}
	d.damage = err
}
