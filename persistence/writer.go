package persistence

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A writer commits the requests of a queue, one transaction after the other.
// While one transaction is being synced, requests for the next one queue up.
type writer struct {
	queue   *queue
	disk    *disk
	log     *slog.Logger
	commits int // limit of one transaction
	bytes   int // limit of one transaction

	committed func(requests int, took time.Duration, err error)

	lock sync.Mutex // held while a transaction is made
}

// run returns when the queue is closed and empty.
func (w *writer) run() {
	for {
		batch := w.queue.take(w.commits, w.bytes)
		if batch == nil {
			return
		}
		w.commit(batch)
		for _, r := range batch {
			w.answer(r)
		}
	}
}

// commit writes the batch in one transaction. If the transaction fails, its
// error refuses the whole batch. That includes requests that were refused
// because of what an earlier request of the batch wrote: that was not written
// either.
func (w *writer) commit(batch []*request) {
	w.lock.Lock()
	defer w.lock.Unlock()
	refused, begun := make([]error, len(batch)), time.Now()
	err := w.disk.update(func(tx *bolt.Tx) (changed bool, err error) {
		for i, r := range batch {
			refused[i], err = r.apply(tx)
			if err != nil {
				return false, err
			}
			changed = changed || refused[i] == nil
		}
		return changed, nil
	})
	w.committed(len(batch), time.Since(begun), err)
	for i, r := range batch {
		switch {
		case r.err != nil: // refused before the writer took it
		case err != nil:
			r.err = err
		default:
			r.err = refused[i]
		}
	}
}

// apply writes r into the transaction. refused is why r alone is not written;
// err ends the transaction.
func (r *request) apply(tx *bolt.Tx) (refused, err error) {
	if r.err != nil {
		return r.err, nil
	}
	return alone(r.change.apply(tx))
}

// alone tells the errors that refuse one change from those that end the transaction.
func alone(err error) (refused, ends error) {
	if err == nil {
		return nil, nil
	}
	for _, alone := range []error{ErrConflict, ErrNotFound, ErrChatQuota, ErrByteQuota, ErrFolderQuota, ErrPinQuota, ErrFenced, ErrStale, ErrKey} {
		if errors.Is(err, alone) {
			return err, nil
		}
	}
	return nil, err
}

// answer calls done. If done panics, that is the fault of the caller, and must
// not end the commits of all others.
func (w *writer) answer(r *request) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("done function panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	r.done(r.err)
}
