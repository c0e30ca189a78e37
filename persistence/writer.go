package persistence

import (
	"errors"
	"log/slog"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// A writer commits what a queue holds, one transaction after the other. While
// one is being synced the next one gathers.
type writer struct {
	queue   *queue
	disk    *disk
	log     *slog.Logger
	commits int // limit of one transaction
	bytes   int // limit of one transaction
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

// commit writes the batch in one transaction. If the transaction fails, all
// of the batch is refused with its error, also those that were refused for
// what an earlier one of them had written: it has not been written.
func (w *writer) commit(batch []*request) {
	refused := make([]error, len(batch))
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
	for i, r := range batch {
		switch {
		case r.err != nil: // refused before it came here
		case err != nil:
			r.err = err
		default:
			r.err = refused[i]
		}
	}
}

// apply writes r into the transaction. refused concerns r alone; err is the
// end of the transaction.
func (r *request) apply(tx *bolt.Tx) (refused, err error) {
	if r.err != nil {
		return r.err, nil
	}
	err = r.write(tx)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return err, nil
	}
	return nil, err
}

// answer calls done. A panic there is the caller's, and must not end the
// commits of everybody else.
func (w *writer) answer(r *request) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("done function panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	r.done(r.err)
}
