package persistence

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// addHooks leads from version 9 to 10. Until then nobody was told of records over HTTP.
func addHooks(tx *bolt.Tx) error { return createBuckets(tx, bucketHooks) }

// PutHook queues a value about who is told of the records of a room, which replaces the
// one of that name. It goes with the room. A value of no room has the room "". done is
// called as [Store.Append] calls it, with the errors and limits of [Store.PutSession].
func (s *Writes) PutHook(room, name string, value []byte, done func(error)) {
	size := requestOverhead + len(room) + len(name) + len(value)
	s.enqueue(&request{room: room, change: &putHook{room, name, value}, size: size, err: checkHook(room, name, value), done: done})
}

func (c *putHook) apply(tx *bolt.Tx) error {
	return putWords(tx, bucketHooks, nameKey(c.room, c.name), c.value)
}

// DeleteHook queues the removal of a value, which need not be there.
func (s *Writes) DeleteHook(room, name string, done func(error)) {
	size := requestOverhead + len(room) + len(name)
	s.enqueue(&request{room: room, change: &deleteHook{room, name}, size: size, err: checkHook(room, name, nil), done: done})
}

func checkHook(room, name string, value []byte) error {
	if room != "" {
		if err := checkRoom(room); err != nil {
			return err
		}
	}
	return checkSession(name, value)
}

// Hook returns the value of that name, as the caller's copy, or nil if there is none.
func (r *Reader) Hook(room, name string) (value []byte, err error) {
	if err := checkHook(room, name, nil); err != nil {
		return nil, err
	}
	err = r.disk.view(func(tx *bolt.Tx) error {
		key := nameKey(room, name)
		v := tx.Bucket(bucketHooks).Get(key)
		if v == nil {
			return nil
		}
		v, err := unsealWords(tx, bucketHooks, key, v)
		value = append([]byte{}, v...)
		return err
	})
	return value, err
}

// EachHook calls yield with each value, sorted by room and name, in one transaction. The
// value is the callee's to keep. A damaged one is left out and logged.
func (r *Reader) EachHook(yield func(room, name string, value []byte)) error {
	return r.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketHooks).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			value, err := unsealWords(tx, bucketHooks, k, v)
			if err != nil {
				r.disk.log.Error("what is known of a webhook cannot be read", "err", err)
				continue
			}
			room, name, _ := bytes.Cut(k, []byte{0})
			yield(string(room), string(name), bytes.Clone(value))
		}
		return nil
	})
}

func (k *checker) hooks(tx *bolt.Tx) {
	c := tx.Bucket(bucketHooks).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		if _, err := unsealWords(tx, bucketHooks, key, v); err != nil {
			k.fault("", 0, "a webhook: %v", err)
		}
	}
}
