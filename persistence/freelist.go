package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A large file that was closed well is served promptly. To find the free pages,
// bbolt walks over all pages, in a goroutine where nobody can recover from a
// damaged one. So [examine] has to scan all of them before. bbolt can also write
// a list of the free pages, and then needs no walk. To write the list with each
// commit would take too long, so only the last transaction of a store does:
//
//	Open with a list                  → scan of the upper pages → reads
//	                                    scan of all pages → commits
//	Open without one, after a crash   → scan of all pages → bbolt's walk → reads and commits
//
// The writer does the second scan, before its first commit. The list belongs to
// one transaction, as all pages do: the next commit leaves it out, so a list that
// is there is the right one. A read of a page that was not scanned can fail, but
// cannot loop, since the branches above the page were scanned. A commit that
// fails would let bbolt walk over the pages, so none is tried before the scan.

const (
	noList = math.MaxUint64            // stands in place of the list's page if there is no list
	listAt = pageHeaderLen + 4*4 + 2*8 // where a meta page names the list's page: behind magic, version, page size, flags, root
	listID = 8                         // bytes of a page's number in the list
	manyID = math.MaxUint16            // the count in the header of a list that is too long: the list begins with the real one
)

// listOf returns the page of the list of free pages that tx has, or noList.
func listOf(tx *bolt.Tx) uint64 { return binary.NativeEndian.Uint64(metaPages(tx)[listAt:]) }

// freeList checks the list, if there is one, once all pages in use are known:
// bbolt overwrites the pages that are in the list.
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
		if id <= last || id >= s.end || s.inUse[id] {
			return fmt.Errorf("%w: it names page %d behind %d", ErrCorrupt, id, last)
		}
		last = id
	}
	return nil
}

// keepFreeList writes the list for the next start, if there is none yet and the
// file has more than so many bytes in use. If that fails, the next start takes
// longer.
func (d *disk) keepFreeList(above int64) {
	if d.damage != nil || d.refusesWrites {
		return
	}
	err := d.update(func(tx *bolt.Tx) (changed bool, err error) {
		if tx.Size() <= above || listOf(tx) != noList {
			return false, nil
		}
		tx.DB().NoFreelistSync = false // the commit reads this
		return true, nil
	})
	if err != nil {
		d.log.Warn("the next start will look at the whole file first", "file", d.path, "err", err)
	}
}

// scan examines all pages of a file that is served already, before its first
// update. If a page is damaged or cannot be read, or if stop makes the scan give
// up, every update is refused from then on.
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
		d.log.Error("pages are damaged: what can be read is served, nothing is written: restore a backup", "file", d.path, "err", err)
		err = fmt.Errorf("%w: restore a backup", ErrCorrupt)
	}
	d.damage = err
}
