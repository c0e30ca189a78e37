package replicated

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	bolt "go.etcd.io/bbolt"
)

// A logStore is raft's log, and the few values that raft keeps besides. Its methods may be
// called from any goroutine. raft-boltdb does not build with this version of raft.
type logStore struct{ db *bolt.DB }

var (
	bucketEntries = []byte("entries") // index → entry
	bucketValues  = []byte("values")
)

// logFill leaves the pages of the log nearly full, since its entries come in order.
const logFill = 0.95

// openLogStore opens the file at path, or creates it.
func openLogStore(path string) (*logStore, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open raft's log %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketEntries)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(bucketValues)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open raft's log %s: %w", path, err), db.Close())
	}
	return &logStore{db}, nil
}

func (s *logStore) close() error { return s.db.Close() }

// FirstIndex implements [raft.LogStore].
func (s *logStore) FirstIndex() (index uint64, err error) {
	return s.edge(func(c *bolt.Cursor) []byte { k, _ := c.First(); return k })
}

// LastIndex implements [raft.LogStore].
func (s *logStore) LastIndex() (index uint64, err error) {
	return s.edge(func(c *bolt.Cursor) []byte { k, _ := c.Last(); return k })
}

func (s *logStore) edge(key func(*bolt.Cursor) []byte) (index uint64, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		if k := key(tx.Bucket(bucketEntries).Cursor()); k != nil {
			index = binary.BigEndian.Uint64(k)
		}
		return nil
	})
	return index, err
}

func indexKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

// An entry is a version (1 byte), type (1), term (8), time in nanoseconds (8), length of the data
// (4), data, extensions.
const (
	entryVersion = 1
	entryHead    = 1 + 1 + 8 + 8 + 4
)

func encodeEntry(l *raft.Log) []byte {
	b := make([]byte, 0, entryHead+len(l.Data)+len(l.Extensions))
	b = append(b, entryVersion, byte(l.Type))
	b = binary.BigEndian.AppendUint64(b, l.Term)
	at := uint64(0)
	if !l.AppendedAt.IsZero() {
		at = uint64(l.AppendedAt.UnixNano())
	}
	b = binary.BigEndian.AppendUint64(b, at)
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Data)))
	return append(append(b, l.Data...), l.Extensions...)
}

func decodeEntry(index uint64, b []byte, l *raft.Log) error {
	if len(b) < entryHead || b[0] != entryVersion || uint64(binary.BigEndian.Uint32(b[18:])) > uint64(len(b)-entryHead) {
		return fmt.Errorf("entry %d of raft's log is damaged or of another version", index)
	}
	n := entryHead + int(binary.BigEndian.Uint32(b[18:]))
	*l = raft.Log{Index: index, Type: raft.LogType(b[1]), Term: binary.BigEndian.Uint64(b[2:])}
	if at := binary.BigEndian.Uint64(b[10:]); at != 0 {
		l.AppendedAt = time.Unix(0, int64(at))
	}
	l.Data = append([]byte(nil), b[entryHead:n]...)
	l.Extensions = append([]byte(nil), b[n:]...)
	return nil
}

// GetLog implements [raft.LogStore].
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	return s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEntries).Get(indexKey(index))
		if b == nil {
			return raft.ErrLogNotFound
		}
		return decodeEntry(index, b, l)
	})
}

// StoreLog implements [raft.LogStore].
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements [raft.LogStore]. The entries are durable when it returns.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEntries)
		b.FillPercent = logFill
		for _, l := range logs {
			if err := b.Put(indexKey(l.Index), encodeEntry(l)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteRange implements [raft.LogStore].
func (s *logStore) DeleteRange(first, last uint64) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketEntries)
		var keys [][]byte // a cursor skips keys when rows are deleted under it
		c := b.Cursor()
		for k, _ := c.Seek(indexKey(first)); k != nil && binary.BigEndian.Uint64(k) <= last; k, _ = c.Next() {
			keys = append(keys, append([]byte(nil), k...))
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// errNoValue has the words by which raft knows it.
var errNoValue = errors.New("not found")

// Set implements [raft.StableStore].
func (s *logStore) Set(key, value []byte) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketValues).Put(key, value) })
}

// Get implements [raft.StableStore].
func (s *logStore) Get(key []byte) (value []byte, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketValues).Get(key)
		if v == nil {
			return errNoValue
		}
		value = append([]byte{}, v...)
		return nil
	})
	return value, err
}

// SetUint64 implements [raft.StableStore].
func (s *logStore) SetUint64(key []byte, n uint64) error { return s.Set(key, indexKey(n)) }

// GetUint64 implements [raft.StableStore].
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	switch {
	case err != nil:
		return 0, err
	case len(v) != 8:
		return 0, fmt.Errorf("raft's value %q has %d bytes, want 8", key, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

// keyLife counts the starts of the node.
var keyLife = []byte("parlor life")

// newLife returns a number that is greater than after any start before.
func (s *logStore) newLife() (life uint64, err error) {
	life, err = s.GetUint64(keyLife)
	if err != nil && !errors.Is(err, errNoValue) {
		return 0, err
	}
	life++
	return life, s.SetUint64(keyLife, life)
}
