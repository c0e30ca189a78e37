package persistence

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// A Reader reads a database: that of a [Store], or a file that nobody writes to.
// All methods may be called from any goroutine.
type Reader struct {
	disk  *disk
	epoch atomic.Pointer[string]
}

// OpenReader opens a file that no other process writes to. It never writes to it
// either, so it also refuses a file of an older format. Otherwise its errors are
// those of [Open]. Whoever opened the Reader closes it.
func OpenReader(path string, o Options) (*Reader, error) {
	r, err := openReader(path, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return r, nil
}

func openReader(path string, o Options) (*Reader, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	o.scanFirst = math.MaxInt64 // nobody waits for a Reader to begin
	if _, err := examine(path, o); err != nil {
		return nil, err
	}
	d, err := openDisk(path, o, true)
	if err != nil {
		return nil, err
	}
	r := &Reader{disk: d}
	if err := r.prepare(); err != nil {
		d.close()
		return nil, err
	}
	return r, nil
}

// prepare reads the epoch, which is kept in memory, and refuses a file that has
// to be migrated.
func (r *Reader) prepare() error {
	return r.disk.view(func(tx *bolt.Tx) error {
		version, err := formatOf(tx)
		if err != nil {
			return err
		}
		if outdated(tx, version) {
			return fmt.Errorf("%w: format version %d, and a migration to %d is to be done; \"parlor compact\" or a start of the server does it", ErrFormat, version, formatVersion)
		}
		epoch := string(tx.Bucket(bucketMeta).Get(keyEpoch))
		r.epoch.Store(&epoch)
		return nil
	})
}

// Close waits for reads that are in a transaction. Later ones return
// [ErrClosed].
func (r *Reader) Close() error { return r.disk.close() }

// Epoch returns the random name that the file got when it was created. Sequence
// numbers from a file of another epoch mean other entries.
func (r *Reader) Epoch() string { return *r.epoch.Load() }

// Head returns the room's row among the chats and the number of its last entry,
// both as of the same moment.
func (r *Reader) Head(room string) (c Chat, last uint64, err error) {
	if err := checkRoom(room); err != nil {
		return Chat{}, 0, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		if c, err = getChat(tx, room); err != nil {
			return err
		}
		last = lastSeq(tx.Bucket(bucketLog), room)
		return nil
	})
	return c, last, err
}

// ChatsAfter returns the rooms that follow after and have a row among the chats,
// sorted, at most limit and at most [MaxChatsPage]. An after of "" begins with the
// first room. The rows are not read, so rooms with a damaged row are returned too.
func (r *Reader) ChatsAfter(after string, limit int) (rooms []string, err error) {
	limit = min(limit, MaxChatsPage)
	err = r.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketChats).Cursor()
		for k, _ := c.Seek(prefix(after)); k != nil && len(rooms) < limit; k, _ = c.Next() {
			rooms = append(rooms, string(k))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rooms, nil
}

// Usage is the size of a file.
type Usage struct {
	FileBytes int64
	UsedBytes int64 // those in pages that are in use
}

// Usage returns how large the file is and how much of it is in use. The rest is
// reused by later commits; a compaction returns it to the system.
func (r *Reader) Usage() (Usage, error) {
	r.disk.reopenLock.RLock()
	defer r.disk.reopenLock.RUnlock()
	if r.disk.closed {
		return Usage{}, ErrClosed
	}
	info, err := r.disk.file.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	tx, err := r.disk.db.Begin(false)
	if err != nil {
		return Usage{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer tx.Rollback()
	stats := r.disk.db.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * int64(r.disk.db.Info().PageSize)
	return Usage{FileBytes: info.Size(), UsedBytes: max(0, tx.Size()-free)}, nil
}
