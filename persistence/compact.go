package persistence

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// compactTxBytes is about how many bytes one transaction of a compaction holds.
const compactTxBytes = 4 << 20

// Compact replaces the file by one that holds the same without free space and
// without anything that was deleted. Nobody may have the file open. The new file
// is written beside the old one, checked as [Check] does, made durable, and only
// then put in its place. After any error or crash the old file is there. It is
// unchanged, unless its format was older: then it has been migrated. The error
// names the file.
func Compact(path string, c Checking) (before, after int64, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return 0, 0, fmt.Errorf("compact database: %w", err)
	}
	c.Options.scanFirst = math.MaxInt64 // damaged pages cannot be copied
	s, err := Open(path, c.Options)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }() // keeps the lock until the new file is in place
	before, after, err = s.compact(path, c)
	if err != nil {
		return 0, 0, fmt.Errorf("compact database %s: %w", path, err)
	}
	return before, after, nil
}

func (s *Store) compact(path string, c Checking) (before, after int64, err error) {
	next := path + ".compact"
	if err := os.RemoveAll(next); err != nil { // a crash may have left it
		return 0, 0, err
	}
	defer os.Remove(next)
	old, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	if err := s.copyTo(next); err != nil {
		return 0, 0, err
	}
	if err := checkCopy(next, c); err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(next)
	if err != nil {
		return 0, 0, err
	}
	if err := keepOwner(next, old); err != nil {
		return 0, 0, err
	}
	if err := os.Rename(next, path); err != nil {
		return 0, 0, err
	}
	return old.Size(), info.Size(), syncDir(filepath.Dir(path))
}

func checkCopy(path string, c Checking) error {
	faults, report := 0, c.Report
	c.Report = func(f Fault) {
		faults++
		if report != nil {
			report(f)
		}
	}
	_, err := Check(path, c)
	if err == nil && faults > 0 {
		err = fmt.Errorf("%w: %d faults, so it was left as it is", ErrCorrupt, faults)
	}
	return err
}

// copyTo copies all rows into a new file and makes that durable.
func (r *Reader) copyTo(path string) error {
	o := &bolt.Options{FreelistType: bolt.FreelistMapType, NoSync: true} // writes the list of free pages
	db, err := bolt.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	db.AllocSize = compactTxBytes // with bbolt's own a small file is 16 MiB long
	err = r.disk.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, from *bolt.Bucket) error { return copyBucket(db, name, from) })
	})
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

func copyBucket(db *bolt.DB, name []byte, from *bolt.Bucket) error {
	c := from.Cursor()
	k, v := c.First()
	for first := true; first || k != nil; first = false {
		err := db.Update(func(tx *bolt.Tx) error {
			to, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			to.FillPercent = logFill
			if string(name) == string(bucketLarge) {
				to.FillPercent = largeFill
			}
			if err := to.SetSequence(from.Sequence()); err != nil {
				return err
			}
			for size := 0; k != nil && size < compactTxBytes; k, v = c.Next() {
				if err := to.Put(k, v); err != nil {
					return err
				}
				size += len(k) + len(v)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
