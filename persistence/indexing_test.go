package persistence

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func init() { children["index"] = indexChild }

// version3 is a file that a program of version 3 has written: two rooms, one
// of them with all that a room can have, and a session.
var version3 = map[string]map[string]string{
	"meta":  {"format": "parlor/3", "epoch": "QXTM5NDIQR25EMRMTCQDSKLOAG"},
	"chats": {"a": "\x00\x00\x00\x00h\x00\x00\x00\x00\x00\x00\a\x05aliceinfo6 \x02\x8f"},
	"members": {
		"\x00": "\x00\x00\x00\x00\x00\x00\x00\x01I\x8e\xeb\xa0",
		"\x00\x7f\xff\xff\xff\x97\xff\xff\xff\xff\xff\xff\xf8a": "",
		"alice\x00": "\x00\x00\x00\x00\x00\x00\x00\x01%\xfb\xbe\x1b",
		"alice\x00\x7f\xff\xff\xff\x97\xff\xff\xff\xff\xff\xff\xf8a": "",
	},
	"log": {
		"a\x00\x00\x00\x00\x00\x00\x00\x00\x01": "created&\xcb$U",
		"a\x00\x00\x00\x00\x00\x00\x00\x00\x02": "message ones\xba\x15\x81",
		"a\x00\x00\x00\x00\x00\x00\x00\x00\x03": "message two:\x87\xc0\xfb",
		"b\x00\x00\x00\x00\x00\x00\x00\x00\x01": "created\xc6\xe6@\xb4",
		"b\x00\x00\x00\x00\x00\x00\x00\x00\x02": "message oned\xa4\x93\xb6",
		"b\x00\x00\x00\x00\x00\x00\x00\x00\x03": "message oneU\xd5G\x86",
	},
	"dedup":     {"a\x00key": "\x00\x00\x00\x00\x00\x00\x00\x02v/\x98O"},
	"turns":     {"a": ""},
	"sessions":  {"session": "value\xb1\xaa\x96\x98"},
	"snapshots": {"a": "\x00\x00\x00\x00\x00\x00\x00\x03state\xdcg\u0588"},
	"texts":     {"a\x00\x00\x00\x00\x00\x00\x00\x00\x00": "text\xacFQ\x9e"},
	"usage":     {"alice\x00\x00\x00\x00\x01a\x00model": "\x01\x00\x02\x03E\x99\xfaB"},
	"charged":   {"a\x00\x00\x00\x00\x01alice": ""},
}

// wordOf takes an entry "message X" for the message with the id X.
func wordOf(e Entry) (id string, ok bool) { return strings.CutPrefix(string(e.Data), "message ") }

// rowsOf returns what is in each bucket.
func rowsOf(t *testing.T, s *Store) map[string]map[string]string {
	t.Helper()
	all := make(map[string]map[string]string)
	err := s.disk.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			rows := make(map[string]string)
			all[string(name)] = rows
			return b.ForEach(func(k, v []byte) error {
				rows[string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A file of version 3 gets the index and is otherwise left as it is.
func TestVersion3IsMigrated(t *testing.T) {
	path := newPath(t)
	if err := writeRows(path, version3); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for range 2 { // with and without a migration
		s := openStore(t, path, Options{MessageID: func(e Entry) (string, bool) {
			asked++
			return wordOf(e)
		}})
		rows := rowsOf(t, s)
		if got := len(rows["messages"]); got != 3 {
			t.Errorf("the index has %d rows, want 3", got)
		}
		for _, bucket := range cameAfter(3) {
			delete(rows, string(bucket))
		}
		rows["meta"]["format"] = "parlor/3"
		if diff := cmp.Diff(version3, rows); diff != "" {
			t.Errorf("the rest (-want +got):\n%s", diff)
		}
		for _, tt := range []struct {
			room, id string
			seq      uint64
		}{{"a", "one", 2}, {"a", "two", 3}, {"b", "one", 3}, {"b", "two", 0}} {
			seq, ok, err := s.Message(tt.room, tt.id)
			if seq != tt.seq || ok != (tt.seq > 0) || err != nil {
				t.Errorf("Message(%q, %q) = %d, %v, want %d", tt.room, tt.id, seq, err, tt.seq)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSound(t, path)
	}
	if asked != 6 {
		t.Errorf("asked about %d entries, want each of 6 once", asked)
	}
}

// Entries that cannot be indexed do not keep the file from being served.
func TestIndexLeavesOut(t *testing.T) {
	path := newPath(t)
	if err := writeRows(path, version3); err != nil {
		t.Fatal(err)
	}
	writeBolt(t, path, func(tx *bolt.Tx) error {
		log := tx.Bucket(bucketLog)
		err := log.Put(logKey("a", 2), []byte("damaged"))
		for seq, word := range map[uint64]string{4: "", 5: strings.Repeat("x", MaxKeyLen+1), 6: "last"} {
			key := logKey("a", seq)
			err = errors.Join(err, log.Put(key, seal(key, []byte("message "+word))))
		}
		return err
	})
	s := openStore(t, path, Options{MessageID: wordOf})
	got := make(map[string]bool)
	for key := range rowsOf(t, s)["messages"] {
		got[key] = true
	}
	if diff := cmp.Diff(map[string]bool{"a\x00two": true, "a\x00last": true, "b\x00one": true}, got); diff != "" {
		t.Errorf("indexed (-want +got):\n%s", diff)
	}
}

// killAt is the entry, in the second transaction, at which an indexChild kills
// itself.
const killAt = indexingEntries + indexingEntries/2

// indexChild opens a file of version 3, and kills itself while it is migrated.
func indexChild(path string) error {
	asked := 0
	_, err := Open(path, Options{MessageID: func(e Entry) (string, bool) {
		if asked++; asked == killAt {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
		return wordOf(e)
	}})
	return errors.Join(errors.New("not killed"), err)
}

// After a kill, indexing goes on where it was, and leaves nothing out.
func TestIndexingIsResumed(t *testing.T) {
	path := newPath(t)
	if err := writeRows(path, version3); err != nil {
		t.Fatal(err)
	}
	const more = 2*indexingEntries + 10
	writeBolt(t, path, func(tx *bolt.Tx) (err error) {
		for seq := uint64(1); seq <= more; seq++ {
			key := logKey("c", seq)
			err = errors.Join(err, tx.Bucket(bucketLog).Put(key, seal(key, fmt.Append(nil, "message ", seq))))
		}
		return err
	})
	if out, err := child(t, "index", path).CombinedOutput(); err == nil || len(out) > 0 {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	if _, err := OpenReader(path, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenReader: %v, want ErrFormat", err)
	}
	asked := 0
	s := openStore(t, path, Options{MessageID: func(e Entry) (string, bool) {
		asked++
		return wordOf(e)
	}})
	if want := 6 + more - indexingEntries; asked != want {
		t.Errorf("asked about %d entries, want %d", asked, want)
	}
	for want := uint64(1); want <= more; want++ {
		if seq, ok, err := s.Message("c", fmt.Sprint(want)); seq != want || !ok || err != nil {
			t.Fatalf("message %d is entry %d, %v, %v", want, seq, ok, err)
		}
	}
	if got := len(rowsOf(t, s)["messages"]); got != 3+more {
		t.Errorf("the index has %d rows, want %d", got, 3+more)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
}
