// Package backups makes backups on a schedule, and keeps the newest ones.
//
//	the store → a file beside the data file → verified → a [Target]: a directory, or a store that speaks S3
//
// A backup counts when it has been verified and is whole in its place. If one fails, those
// before stay, also those that are older than they should be.
package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A Copy is the data file as it was at one moment.
type Copy interface {
	io.WriterTo
	Close()
}

// A Target keeps backups. Only one of its methods is called at a time.
type Target interface {
	// Put keeps the file under a name, as a whole or not at all.
	Put(ctx context.Context, name, file string) error

	// Get writes what is kept under a name.
	Get(ctx context.Context, name string, w io.Writer) error

	// List returns what is there.
	List(ctx context.Context) ([]Item, error)

	Remove(ctx context.Context, name string) error
}

// An Item is what a target keeps under a name.
type Item struct {
	Name string
	Size int64
}

// Made returns when the backup was made. It reports false for another file.
func (i Item) Made() (at time.Time, ok bool) {
	at, err := time.Parse(form, i.Name)
	return at, err == nil
}

// form is the names of backups. They sort as their times do.
const form = "parlor-20060102T150405Z.db"

// Options configure a [Keeper].
type Options struct {
	Target Target
	Begin  func() (Copy, error)                         // begins a copy
	Verify func(ctx context.Context, file string) error // finds out whether a backup can be used
	Dir    string                                       // for the copy until it is kept; the directory of the data file

	Every   time.Duration
	Keep    int           // how many; 0: any number
	KeepFor time.Duration // 0: for ever. The newest one always stays
	Timeout time.Duration // of one backup

	Told   func(took time.Duration, size int64, err error) // of each backup; nil: nobody
	Logger *slog.Logger                                    // nil discards
}

// A Keeper makes backups until it is closed.
type Keeper struct {
	Options
	stop context.CancelFunc
	done chan struct{}
	busy chan struct{} // holds one while a backup is made
	last atomic.Int64  // Unix time of the newest backup
}

// maxRetry limits the time from a backup that has failed to the next try.
const maxRetry = 10 * time.Minute

// leftover begins the names of copies that are being made.
const leftover = ".backup-"

// Start makes the first backup as soon as the newest one is old enough.
func Start(o Options) *Keeper {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Told == nil {
		o.Told = func(time.Duration, int64, error) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{Options: o, stop: stop, done: make(chan struct{}), busy: make(chan struct{}, 1)}
	go k.run(ctx)
	return k
}

// Close ends a backup that is being made, and waits for that until ctx ends: a directory on
// another computer may not answer.
func (k *Keeper) Close(ctx context.Context) error {
	k.stop()
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a backup did not end: %w", ctx.Err())
	}
}

// Last returns when the newest backup was made, zero for never.
func (k *Keeper) Last() time.Time {
	if at := k.last.Load(); at > 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

func (k *Keeper) run(ctx context.Context) {
	defer close(k.done)
	k.sweep()
	wait := k.first(ctx)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if wait = k.Every; k.once(ctx) != nil {
			wait = min(k.Every, maxRetry)
		}
	}
}

// sweep removes copies that a killed server has left.
func (k *Keeper) sweep() {
	left, _ := filepath.Glob(filepath.Join(k.Dir, leftover+"*"))
	for _, file := range left {
		_ = os.Remove(file)
	}
}

// first returns how long it is to the first backup.
func (k *Keeper) first(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	items, err := k.Target.List(ctx)
	if err != nil {
		k.Logger.Error("backups cannot be listed", "err", err)
		return 0
	}
	made := backupsIn(items)
	if len(made) == 0 {
		return 0
	}
	at, _ := made[0].Made()
	k.last.Store(at.Unix())
	return max(0, k.Every-time.Since(at))
}

// once makes a backup, and removes those that need not be kept any longer.
func (k *Keeper) once(ctx context.Context) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	size, err := k.within(ctx, func() (int64, error) { return k.make(ctx, begun) })
	took := time.Since(begun)
	k.Told(took, size, err)
	if err != nil {
		k.Logger.Error("a backup has failed", "err", err, "took", took)
		return err
	}
	k.last.Store(begun.Unix())
	k.Logger.Info("backup", "name", begun.UTC().Format(form), "bytes", size, "took", took)
	if err := k.prune(ctx, begun); err != nil {
		k.Logger.Error("old backups cannot be removed", "err", err)
	}
	return nil
}

// within returns when fn does or ctx ends: a disk that does not answer cannot be interrupted.
// Until fn has returned no other one begins.
func (k *Keeper) within(ctx context.Context, fn func() (int64, error)) (int64, error) {
	select {
	case k.busy <- struct{}{}:
	default:
		return 0, errors.New("the backup before has not ended: its target does not answer")
	}
	type result struct {
		size int64
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-k.busy }()
		size, err := fn()
		done <- result{size, err}
	}()
	select {
	case r := <-done:
		return r.size, r.err
	case <-ctx.Done():
		select {
		case r := <-done:
			return r.size, r.err
		case <-time.After(tidyTime):
			return 0, ctx.Err()
		}
	}
}

// tidyTime is how long a backup that has no time left may take to tidy up.
const tidyTime = time.Second

func (k *Keeper) make(ctx context.Context, at time.Time) (size int64, err error) {
	f, err := os.CreateTemp(k.Dir, leftover+"*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if size, err = k.copy(ctx, f); err != nil {
		return size, err
	}
	if err := k.Verify(ctx, f.Name()); err != nil {
		return size, fmt.Errorf("the copy cannot be used: %w", err)
	}
	return size, k.Target.Put(ctx, at.UTC().Format(form), f.Name())
}

func (k *Keeper) copy(ctx context.Context, f *os.File) (int64, error) {
	c, err := k.Begin()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	size, err := c.WriteTo(interruptible{ctx, f})
	if err == nil {
		err = f.Sync()
	}
	return size, err
}

// interruptible is a writer that fails once ctx has ended.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

func (i interruptible) Write(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.w.Write(p)
}

// backupsIn returns the backups among what a target keeps, newest first.
func backupsIn(items []Item) (made []Item) {
	for _, i := range items {
		if _, ok := i.Made(); ok {
			made = append(made, i)
		}
	}
	slices.SortFunc(made, func(a, b Item) int { return strings.Compare(b.Name, a.Name) })
	return made
}

// prune removes backups past Keep, and those older than KeepFor.
func (k *Keeper) prune(ctx context.Context, now time.Time) error {
	items, err := k.Target.List(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for n, i := range backupsIn(items) {
		at, _ := i.Made()
		tooMany, tooOld := k.Keep > 0 && n >= k.Keep, k.KeepFor > 0 && now.Sub(at) > k.KeepFor
		if n > 0 && (tooMany || tooOld) {
			faults = append(faults, k.Target.Remove(ctx, i.Name))
		}
	}
	return errors.Join(faults...)
}

// List returns the backups of a target, newest first.
func List(ctx context.Context, t Target) ([]Item, error) {
	items, err := t.List(ctx)
	return backupsIn(items), err
}
