package persistence

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// A listPlace is a row of a list of chats.
type listPlace struct{ owner, room, key string }

// lists reads the lists and checks their lengths.
func (k *checker) lists(tx *bolt.Tx) map[listPlace]bool {
	places, counts := make(map[listPlace]bool), make(map[string]int)
	c := tx.Bucket(bucketMembers).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		owner, rest, ok := bytes.Cut(key, []byte{0})
		switch {
		case ok && len(rest) == 0:
			n, err := unsealSeq(key, v)
			if err != nil {
				k.fault("", 0, "the count of the list of %q: %v", owner, err)
				continue
			}
			counts[string(owner)] -= int(n)
		case ok && len(rest) > memberTimeLen:
			places[listPlace{string(owner), string(rest[memberTimeLen:]), string(key)}] = true
			counts[string(owner)]++
		default:
			k.fault("", 0, "a list has a key of %d bytes", len(key))
		}
	}
	for owner, more := range counts {
		if more != 0 {
			k.fault("", 0, "the list of %q has %+d chats more than it says", owner, more)
		}
	}
	return places
}

// shares compares the shares that are kept with the rows.
func (k *checker) shares(tx *bolt.Tx) {
	c := tx.Bucket(bucketOwned).Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		owner := string(bytes.TrimSuffix(key, []byte{0}))
		kept, err := unsealShare(key, v)
		switch has := k.owned[owner]; {
		case err != nil:
			k.fault("", 0, "the share of %q: %v", owner, err)
		case k.owned != nil && has != kept:
			k.fault("", 0, "%q has %d chats of %d bytes, which are counted as %d of %d", owner, has.Chats, has.Bytes, kept.Chats, kept.Bytes)
		}
		delete(k.owned, owner)
	}
	for owner, has := range k.owned {
		k.fault("", 0, "%q has %d chats of %d bytes, which are not counted", owner, has.Chats, has.Bytes)
	}
}
