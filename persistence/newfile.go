package persistence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// WriteNew makes a file of what write writes. Only its owner can read it. Either
// the whole file is there and durable, or there is no file. It fails with
// [fs.ErrExist] if the name is taken.
func WriteNew(path string, write func(io.Writer) error) error {
	return writeNew(path, write, func(string) error { return nil })
}

// WriteBackup is [WriteNew] for [Backup.WriteTo]. The copy gets an epoch of its
// own, see [Store.Epoch]. Once the copy is served in place of the original, the
// numbers that the original has given out since then mean other entries.
func WriteBackup(path string, write func(io.Writer) error) error {
	return writeNew(path, write, func(copied string) error {
		d, err := openDisk(copied, Options{keyless: true}.withDefaults(), false)
		if err != nil {
			return err
		}
		err = d.update(func(tx *bolt.Tx) (bool, error) { return true, putEpoch(tx) })
		return errors.Join(err, d.close())
	})
}

func writeNew(path string, write func(io.Writer) error, finish func(name string) error) (err error) {
	dir := filepath.Dir(path)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("write %s: %w", path, fs.ErrExist)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := finish(f.Name()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := publish(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// publish gives the file its name, unless the name has been taken meanwhile: a
// rename would replace the other file. Some file systems have no links, and there
// it is a rename nevertheless.
func publish(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(from, to)
}
