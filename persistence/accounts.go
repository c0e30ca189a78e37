package persistence

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// addAccounts leads from version 7 to 8. Until then nobody signed in here.
func addAccounts(tx *bolt.Tx) error { return createBuckets(tx, bucketAccounts) }

// PutAccount queues a value about who may sign in, which replaces the one under key,
// with the errors and limits of [Store.PutSession].
func (s *Writes) PutAccount(key string, value []byte, done func(error)) {
	size := requestOverhead + len(key) + len(value)
	s.enqueue(&request{change: &putAccount{key, value}, size: size, err: checkSession(key, value), done: done})
}

func (c *putAccount) apply(tx *bolt.Tx) error {
	return putWords(tx, bucketAccounts, []byte(c.key), c.value)
}

// DeleteAccount queues the removal of the value under key, which need not be there.
func (s *Writes) DeleteAccount(key string, done func(error)) {
	s.enqueue(&request{change: &deleteAccount{key}, size: requestOverhead + len(key), err: checkSessionKey(key), done: done})
}

// EachAccount calls yield with each key and value, sorted by key, which are the callee's
// to keep. They are few, so it reads them in one transaction. A damaged one is left out
// and logged.
func (r *Reader) EachAccount(yield func(key string, value []byte)) error {
	return r.disk.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketAccounts).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			value, err := unsealWords(tx, bucketAccounts, k, v)
			if err != nil {
				r.disk.log.Error("what is known of a sign-in cannot be read", "err", err)
				continue
			}
			yield(string(k), bytes.Clone(value))
		}
		return nil
	})
}

func (k *checker) accounts(tx *bolt.Tx) {
	c := tx.Bucket(bucketAccounts).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		if _, err := unsealWords(tx, bucketAccounts, key, v); err != nil {
			k.fault("", 0, "an account: %v", err)
		}
	}
}
