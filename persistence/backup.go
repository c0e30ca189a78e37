package persistence

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// errMending ends a backup that stands in the way of mending the file.
var errMending = fmt.Errorf("%w: a write failed meanwhile; try again", ErrUnavailable)

// backupChunk is how many bytes of a backup are read at once.
const backupChunk = 1 << 20

// A Backup is a copy of the database as it was at one moment. While it is open,
// commits go on and use pages that the copy does not need: the file grows by what
// is rewritten meanwhile.
//
// A Backup is used by one goroutine, which may be slow. Whoever began the Backup
// closes it. It ends early when the store is closed, and when a write fails,
// since the file then has to be mended.
type Backup struct {
	copies *copies
	file   *os.File
	size   int64
	metas  []byte
	scan   *pageScan

	mu    sync.Mutex
	tx    *bolt.Tx // nil before the beginning and after the end
	cause error    // why the backup has ended, nil before
}

// Backup begins a copy of what is durable now. It fails with [ErrCorrupt] if a
// page is damaged.
func (r *Reader) Backup() (*Backup, error) {
	b := &Backup{copies: &r.disk.copies}
	b.copies.add(b)
	if err := b.begin(r.disk); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Backup) begin(d *disk) error {
	tx, err := d.snapshot()
	if err != nil {
		return err
	}
	if err := b.hold(tx, d.currentFile()); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := b.scan.run(); err != nil {
		return errors.Join(b.ended(), err)
	}
	return nil
}

// hold keeps tx open, and notes what the copy needs to know of it.
func (b *Backup) hold(tx *bolt.Tx, file *os.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause != nil {
		return b.cause
	}
	b.tx, b.file, b.size = tx, file, tx.Size()
	b.metas, b.scan = metaPages(tx), newScan(tx, file)
	return nil
}

// Size returns the length of the copy in bytes.
func (b *Backup) Size() int64 { return b.size }

// WriteTo implements [io.WriterTo]. Free pages are written as zeros, so that a
// backup holds nothing that was deleted.
func (b *Backup) WriteTo(w io.Writer) (n int64, err error) {
	chunk := make([]byte, max(backupChunk, len(b.metas)))
	for n < b.size {
		part := chunk[:min(int64(len(chunk)), b.size-n)]
		if _, err := b.file.ReadAt(part, n); err != nil {
			return n, fmt.Errorf("read %s: %w", b.file.Name(), errors.Join(b.ended(), err))
		}
		if err := b.ended(); err != nil {
			return n, err // what was read may be newer than the backup
		}
		b.blank(part, n)
		written, err := w.Write(part)
		n += int64(written)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// blank clears the free pages in part, which lies at offset in the file, and
// replaces the file's root pages, which may be newer, by those of the backup.
func (b *Backup) blank(part []byte, offset int64) {
	size := b.scan.pageSize
	for at := int64(0); at < int64(len(part)); at += size {
		if !b.scan.inUse[(offset+at)/size] {
			clear(part[at : at+size])
		}
	}
	if offset == 0 {
		copy(part, b.metas)
	}
}

// Close ends the backup.
func (b *Backup) Close() {
	b.copies.remove(b)
	b.end(ErrClosed)
}

// end makes the rest of the backup fail with cause. It does not wait for a Write
// that is under way.
func (b *Backup) end(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause == nil {
		b.cause = cause
	}
	if b.tx != nil {
		b.tx.Rollback()
		b.tx = nil
	}
}

func (b *Backup) ended() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause
}

// metaPages returns the two root pages of a file that holds what tx sees.
func metaPages(tx *bolt.Tx) []byte {
	first := &head{room: 2 * tx.DB().Info().PageSize}
	tx.WriteTo(first) // fails behind the root pages
	return first.bytes
}

// A head takes as many bytes as it has room for, and refuses the rest.
type head struct {
	room  int
	bytes []byte
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.room-len(h.bytes))
	h.bytes = append(h.bytes, p[:n]...)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// copies are the open backups of a disk.
type copies struct {
	mu   sync.Mutex
	open map[*Backup]bool
}

func (c *copies) add(b *Backup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[*Backup]bool)
	}
	c.open[b] = true
}

func (c *copies) remove(b *Backup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, b)
}

// end ends all backups, also those that are about to begin.
func (c *copies) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.open {
		b.end(cause)
	}
}
