package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Directory keeps backups as files.
type Directory string

// Put implements [Target].
func (d Directory) Put(ctx context.Context, name, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	d.sweep()
	part := filepath.Join(string(d), "."+name+".part")
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(interruptible{ctx, out}, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(part, filepath.Join(string(d), name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return d.sync()
}

// abandoned is the age of a part that nobody writes any more.
const abandoned = 24 * time.Hour

// sweep removes parts that killed servers have left.
func (d Directory) sweep() {
	parts, _ := filepath.Glob(filepath.Join(string(d), ".parlor-*.db.part"))
	for _, part := range parts {
		if info, err := os.Stat(part); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(part)
		}
	}
}

// sync makes the names durable.
func (d Directory) sync() error {
	dir, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Get implements [Target].
func (d Directory) Get(ctx context.Context, name string, w io.Writer) error {
	in, err := os.Open(filepath.Join(string(d), filepath.Base(name)))
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(interruptible{ctx, w}, in)
	return err
}

// List implements [Target].
func (d Directory) List(context.Context) (items []Item, err error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("the directory of backups: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			items = append(items, Item{e.Name(), info.Size()})
		}
	}
	return items, nil
}

// Remove implements [Target].
func (d Directory) Remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(string(d), filepath.Base(name)))
}
