package persistence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"
)

// bbolt trusts its pages. A damaged page leads it into a panic or a fault, and in
// part this happens on goroutines of its own, where nobody can recover. A scan
// reads all pages that a transaction reaches, as bytes, and finds whatever would
// do that to bbolt. It costs one pass over the file. A scan of the upper pages
// leaves out the leaves, and reads a few pages in a hundred.

// The layout of bbolt's pages, version 2 of its format: a header, then elements
// of 16 bytes, then keys and values. Numbers have the byte order of the machine.
// The layout is private to bbolt: layout_test.go fails when bbolt is upgraded.
const (
	pageHeaderLen  = 16 // id (8 bytes), flags (2), count (2), overflow (4)
	pageElementLen = 16 // branch: pos, ksize (4 each), page (8); leaf: flags, pos, ksize, vsize (4 each)
	bucketLen      = 16 // root (8), sequence (8); with root 0 a leaf page follows

	branchFlag = 1
	leafFlag   = 2
	listFlag   = 16
	bucketFlag = 1 // of an element of a leaf

	maxDepth   = 64      // levels of pages; no real file has more than ten
	maxKeySize = 1 << 15 // bbolt's own limit
)

// A pageScan is the state of one scan.
type pageScan struct {
	file     io.ReaderAt
	pageSize int64
	end      uint64 // the number behind that of the last page
	root     uint64
	list     uint64 // the first page of the list of free ones, or noList
	inUse    []bool // by page
	buffers  [maxDepth + 1][]byte
	faults   []error

	// upperOnly leaves out all leaves of a tree but the first. It then still holds
	// that no branch leads back to a page above it, as long as the pages that were
	// left out really are leaves.
	upperOnly bool
	leafDepth int // of the tree that is being scanned; 0 before its first leaf

	stop func() bool // if not nil, reports whether to give up, with ErrClosed
}

// newScan returns a scan of all pages that tx reaches. file is the file that tx
// reads. The scan does not use tx, but tx has to stay open.
func newScan(tx *bolt.Tx, file *os.File) *pageScan {
	size := int64(tx.DB().Info().PageSize)
	s := &pageScan{file: file, pageSize: size, end: uint64(tx.Size() / size)}
	s.root, s.list = uint64(tx.Cursor().Bucket().Root()), listOf(tx)
	s.inUse = make([]bool, s.end)
	s.inUse[0], s.inUse[1] = true, true
	return s
}

// run scans, and returns the first faults that it finds.
func (s *pageScan) run() error {
	s.tree(s.root, bounds{}, true, 0)
	if s.stopped() {
		return ErrClosed
	}
	if err := s.freeList(); err != nil {
		s.report(fmt.Errorf("page %d, the list of free pages: %w", s.list, err))
	}
	return errors.Join(s.faults...)
}

func (s *pageScan) stopped() bool { return s.stop != nil && s.stop() }

const maxScanFaults = 100

func (s *pageScan) report(err error) {
	if len(s.faults) < maxScanFaults {
		s.faults = append(s.faults, err)
	}
}

// bounds limit the keys of a page: none is less than from, and all are less than
// to, unless that is nil.
type bounds struct{ from, to []byte }

// tree scans a page and all pages below it. Only the tree of the root may hold
// buckets.
func (s *pageScan) tree(id uint64, in bounds, root bool, depth int) {
	if s.stopped() {
		return
	}
	page, err := s.read(id, depth)
	if err == nil {
		err = s.page(page, in, root, depth)
	}
	if err != nil {
		s.report(fmt.Errorf("page %d: %w", id, err))
	}
}

// read returns a page with its overflow pages. It refuses pages that are in use
// already.
func (s *pageScan) read(id uint64, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: referred to at depth %d", ErrCorrupt, depth)
	}
	if err := s.use(id, 0); err != nil {
		return nil, err
	}
	page := s.buffer(depth, s.pageSize)
	if _, err := s.file.ReadAt(page, int64(id)*s.pageSize); err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint64(page); got != id {
		return nil, fmt.Errorf("%w: it says that it is page %d", ErrCorrupt, got)
	}
	overflow := uint64(binary.NativeEndian.Uint32(page[12:]))
	if overflow == 0 {
		return page, nil
	}
	if err := s.use(id+1, overflow-1); err != nil {
		return nil, err
	}
	page = s.buffer(depth, (1+int64(overflow))*s.pageSize)
	if _, err := s.file.ReadAt(page, int64(id)*s.pageSize); err != nil {
		return nil, err
	}
	return page, nil
}

// use marks a page, and as many as more behind it, as in use.
func (s *pageScan) use(id, more uint64) error {
	if id < 2 || id >= s.end || more >= s.end-id {
		return fmt.Errorf("%w: pages %d to %d of %d are referred to", ErrCorrupt, id, id+more, s.end)
	}
	for i := id; i <= id+more; i++ {
		if s.inUse[i] {
			return fmt.Errorf("%w: page %d is used twice", ErrCorrupt, i)
		}
		s.inUse[i] = true
	}
	return nil
}

// buffer returns the buffer of a depth. One page of each depth is needed at a
// time.
func (s *pageScan) buffer(depth int, size int64) []byte {
	if int64(cap(s.buffers[depth])) < size {
		s.buffers[depth] = make([]byte, size)
	}
	return s.buffers[depth][:size]
}

func (s *pageScan) page(page []byte, in bounds, root bool, depth int) error {
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	switch {
	case flags != branchFlag && flags != leafFlag:
		return fmt.Errorf("%w: flags %#x", ErrCorrupt, flags)
	case pageHeaderLen+count*pageElementLen > len(page):
		return fmt.Errorf("%w: %d elements", ErrCorrupt, count)
	case flags == leafFlag:
		return s.leaf(page, count, in, root, depth)
	case count == 0:
		return fmt.Errorf("%w: a branch without elements", ErrCorrupt)
	}
	return s.branch(page, count, in, root, depth)
}

func (s *pageScan) branch(page []byte, count int, in bounds, root bool, depth int) error {
	keys := make([][]byte, count)
	for i := range count {
		e := element(page, i)
		key, err := slice(page, i, e, binary.NativeEndian.Uint32(e[4:]), 0)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	if err := in.check(keys); err != nil {
		return err
	}
	for i, key := range keys {
		id := binary.NativeEndian.Uint64(element(page, i)[8:])
		if s.upperOnly && s.leafDepth == depth+1 { // all leaves of a tree have the same depth
			if err := s.use(id, 0); err != nil {
				return err
			}
			continue
		}
		below := bounds{from: key, to: in.to}
		if i+1 < count {
			below.to = keys[i+1]
		}
		s.tree(id, below, root, depth+1)
	}
	return nil
}

func (s *pageScan) leaf(page []byte, count int, in bounds, root bool, depth int) error {
	if !root { // the leaves of the root lead to buckets, whose trees have their own depth
		s.leafDepth = depth
	}
	keys := make([][]byte, count)
	for i := range count {
		e := element(page, i)
		ksize, vsize := binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
		both, err := slice(page, i, e[4:], ksize, vsize)
		if err != nil {
			return err
		}
		keys[i] = both[:ksize]
		switch flags := binary.NativeEndian.Uint32(e); {
		case flags == 0 && !root:
		case flags == bucketFlag && root:
			if err := s.bucket(both[ksize:], depth); err != nil {
				return fmt.Errorf("bucket %q: %w", keys[i], err)
			}
		default:
			return fmt.Errorf("%w: element %d has flags %#x", ErrCorrupt, i, flags)
		}
	}
	return in.check(keys)
}

// bucket scans a bucket of the root. Its tree begins at a page of its own or, if
// the bucket is small, is one page within the value.
func (s *pageScan) bucket(value []byte, depth int) error {
	if len(value) < bucketLen {
		return fmt.Errorf("%w: a value of %d bytes", ErrCorrupt, len(value))
	}
	s.leafDepth = 0
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		s.tree(root, bounds{}, false, depth+1)
		return nil
	}
	inline := value[bucketLen:]
	if len(inline) < pageHeaderLen || binary.NativeEndian.Uint16(inline[8:]) != leafFlag {
		return fmt.Errorf("%w: an inline page of %d bytes", ErrCorrupt, len(inline))
	}
	return s.page(inline, bounds{}, false, depth+1)
}

func element(page []byte, i int) []byte {
	return page[pageHeaderLen+i*pageElementLen:][:pageElementLen]
}

// slice returns key and value of element i. The first number of e is how far
// behind the beginning of the element they lie.
func slice(page []byte, i int, e []byte, ksize, vsize uint32) ([]byte, error) {
	at := int64(pageHeaderLen+i*pageElementLen) + int64(binary.NativeEndian.Uint32(e))
	size := int64(ksize) + int64(vsize)
	if ksize == 0 || ksize > maxKeySize || at+size > int64(len(page)) {
		return nil, fmt.Errorf("%w: element %d has a key of %d bytes and a value of %d at %d", ErrCorrupt, i, ksize, vsize, at)
	}
	return page[at : at+size], nil
}

// check returns an error if keys are out of order or out of bounds.
func (in bounds) check(keys [][]byte) error {
	for i, key := range keys {
		switch {
		case i > 0 && bytes.Compare(keys[i-1], key) >= 0,
			bytes.Compare(key, in.from) < 0,
			in.to != nil && bytes.Compare(key, in.to) >= 0:
			return fmt.Errorf("%w: key %d is out of order", ErrCorrupt, i)
		}
	}
	return nil
}
