package persistence

import (
	"bytes"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// MaxSessionLen is the greatest length of the value of a [Session], in bytes.
const MaxSessionLen = 64 << 10

// A Session is what the store keeps of a client's session. With it the session can
// be resumed, also by the next process.
type Session struct {
	Key   string // 1 to MaxSessionKeyLen bytes, any bytes
	Value []byte // the caller's own encoding, at most MaxSessionLen bytes
}

// PutSession queues the value, which replaces the one under key, and returns. It
// keeps its place among the requests for sessions. done is called as [Store.Append] calls it:
// with [ErrInvalid], [ErrTooLarge], [ErrBusy], [ErrClosed] or [ErrUnavailable] if
// nothing was changed. done may be nil. The value belongs to the store until done
// is called, and for good if done is nil.
func (s *Writes) PutSession(key string, value []byte, done func(error)) {
	size := requestOverhead + len(key) + len(value)
	s.enqueue(&request{change: &putSession{key, value}, size: size, err: checkSession(key, value), done: done})
}

func (c *putSession) apply(tx *bolt.Tx) error {
	return putWords(tx, bucketSessions, []byte(c.key), c.value)
}

func checkSession(key string, value []byte) error {
	if len(value) > MaxSessionLen {
		return fmt.Errorf("%w: session of %d bytes, want at most %d", ErrTooLarge, len(value), MaxSessionLen)
	}
	return checkSessionKey(key)
}

// DeleteSessions queues the removal of the sessions and returns. Either all of
// them are removed or, with an error, none. Keys that are not there are no error.
// done is called as with [Store.PutSession], and the keys belong to the store for
// as long as the value does there.
func (s *Writes) DeleteSessions(keys []string, done func(error)) {
	size := requestOverhead
	for _, key := range keys {
		size += len(key)
	}
	s.enqueue(&request{change: &deleteSessions{keys}, size: size, err: s.checkSessionKeys(keys, size), done: done})
}

func (s *Writes) checkSessionKeys(keys []string, size int) error {
	if size > s.limit {
		return fmt.Errorf("%w: %d bytes of session keys, want at most %d", ErrTooLarge, size, s.limit)
	}
	return (&deleteSessions{keys}).check()
}

func (c *deleteSessions) check() error {
	for _, key := range c.keys {
		if err := checkSessionKey(key); err != nil {
			return err
		}
	}
	return nil
}

func (c *deleteSessions) apply(tx *bolt.Tx) error {
	sessions := tx.Bucket(bucketSessions)
	for _, key := range c.keys {
		if err := sessions.Delete([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// Session returns the value under key, as the caller's copy.
func (r *Reader) Session(key string) (value []byte, ok bool, err error) {
	if err := checkSessionKey(key); err != nil {
		return nil, false, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketSessions).Get([]byte(key))
		if v == nil {
			return nil
		}
		v, err := unsealWords(tx, bucketSessions, []byte(key), v)
		value, ok = bytes.Clone(v), err == nil
		return err
	})
	return value, ok, err
}

// Sessions yields all sessions, sorted by key. A session that is put or deleted
// while the loop runs may be yielded or not. A damaged one is left out and logged:
// its client begins anew. After an error it yields no more.
//
// The loop may take its time and may use the store; it runs in no transaction.
func (r *Reader) Sessions() iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		from := []byte{}
		for n := firstChunkEntries; ; n = min(2*n, maxChunkEntries) {
			chunk, next, err := r.sessionChunk(from, n)
			for _, session := range chunk {
				if !yield(session, nil) {
					return
				}
			}
			if err != nil {
				yield(Session{}, err)
				return
			}
			if next == nil {
				return
			}
			from = next
		}
	}
}

// sessionChunk reads up to n sessions in one transaction, those whose keys are not
// less than from. It returns where to go on, or nil after the last session.
func (r *Reader) sessionChunk(from []byte, n int) (chunk []Session, next []byte, err error) {
	err = r.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketSessions).Cursor()
		k, v := c.Seek(from)
		var last []byte
		for size := 0; k != nil && len(chunk) < n && size < maxChunkBytes; k, v = c.Next() {
			last = k
			value, err := unsealWords(tx, bucketSessions, k, v)
			if err != nil {
				r.disk.log.Error("a session cannot be read", "err", err)
				continue
			}
			chunk = append(chunk, Session{Key: string(k), Value: bytes.Clone(value)})
			size += len(value)
		}
		if k != nil {
			next = append(bytes.Clone(last), 0) // the next possible key
		}
		return nil
	})
	return chunk, next, err
}
