package persistence

import (
	"bytes"
	"errors"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// version1 is a file as version 1 laid it out: two rooms, one of them with
// alice's chat, a key and an open turn.
var version1 = map[string]map[string]string{
	"meta":  {"format": "parlor/1", "epoch": "an epoch of version one"},
	"chats": {"a": "\x00\x00\x00\x00\x68\x00\x00\x00" + "\x00\x00\x00\x07" + "\x05alice" + "info"},
	"members": {
		"\x00": "\x00\x00\x00\x00\x00\x00\x00\x01",
		"\x00" + "\x7f\xff\xff\xff\x97\xff\xff\xff" + "\xff\xff\xff\xf8" + "a": "",
		"alice\x00": "\x00\x00\x00\x00\x00\x00\x00\x01",
		"alice\x00" + "\x7f\xff\xff\xff\x97\xff\xff\xff" + "\xff\xff\xff\xf8" + "a": "",
	},
	"log": {
		"a\x00\x00\x00\x00\x00\x00\x00\x00\x01": "one",
		"a\x00\x00\x00\x00\x00\x00\x00\x00\x02": "two",
		"b\x00\x00\x00\x00\x00\x00\x00\x00\x01": strings.Repeat("x", 10_000),
	},
	"dedup": {"a\x00key": "\x00\x00\x00\x00\x00\x00\x00\x02"},
	"turns": {"a": ""},
}

// writeVersion1 lays version1 out in a new file.
func writeVersion1(path string) error { return writeRows(path, version1) }

// writeRows makes a file of the rows in each bucket.
func writeRows(path string, rows map[string]map[string]string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for name, rows := range rows {
			bucket, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for k, v := range rows {
				if err := bucket.Put([]byte(k), []byte(v)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// chargeEntries charges somebody an hour for each entry.
func chargeEntries(room string, entries iter.Seq[Entry]) (charges []Charge) {
	for e := range entries {
		charges = append(charges, Charge{User: "alice", Hour: Hour(e.Seq), Room: room, Count: Count{1, 0, 0, uint64(len(e.Data))}})
	}
	return charges
}

func TestVersion1IsMigrated(t *testing.T) {
	path := newPath(t)
	if err := writeVersion1(path); err != nil {
		t.Fatal(err)
	}
	charges := []Charge{
		{"alice", 1, "a", "", Count{1, 0, 0, 3}}, {"alice", 1, "b", "", Count{1, 0, 0, 10_000}}, {"alice", 2, "a", "", Count{1, 0, 0, 3}},
	}
	for range 2 { // with and without a migration
		s := openStore(t, path, Options{Charges: chargeEntries})
		checkVersion1(t, s)
		got, err := collect(s.Charges(0, EndOfHours))
		if diff := cmp.Diff(charges, got); diff != "" || err != nil {
			t.Errorf("charges, %v (-want +got):\n%s", err, diff)
		}
		if got, err := readSessions(s); len(got) != 0 || err != nil {
			t.Errorf("%d sessions, %v, want none", len(got), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkFile(path); err != nil {
		t.Error(err)
	}
	s := openStore(t, path, Options{})
	mustPutSession(t, s, "key", "value")
	mustAppend(t, s, Commit{Room: "a", After: 2, Entries: entries("three")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, Options{})
	got, err := readSessions(s)
	if diff := cmp.Diff(map[string]string{"key": "value"}, got); diff != "" || err != nil {
		t.Errorf("sessions, %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, contents(t, s, "a")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// checkVersion1 checks that the store holds all of version1.
func checkVersion1(t *testing.T, s *Store) {
	t.Helper()
	if got, want := s.Epoch(), "an epoch of version one"; got != want {
		t.Errorf("epoch %q, want %q", got, want)
	}
	for room, want := range map[string][]string{"a": {"one", "two"}, "b": {strings.Repeat("x", 10_000)}, "c": nil} {
		if diff := cmp.Diff(want, contents(t, s, room)); diff != "" {
			t.Errorf("entries of %s (-want +got):\n%s", room, diff)
		}
	}
	chat := Chat{Room: "a", Owner: "alice", Created: time.Unix(0x68000000, 7).UTC(), Info: []byte("info")}
	for _, owner := range []string{"", "alice"} {
		page, total, err := s.Chats(owner, 0, 10)
		if diff := cmp.Diff([]Chat{chat}, page); diff != "" || total != 1 || err != nil {
			t.Errorf("%d chats of %q, %v (-want +got):\n%s", total, owner, err, diff)
		}
	}
	if seq, ok, err := s.Lookup("a", "key"); seq != 2 || !ok || err != nil {
		t.Errorf("Lookup = %d, %v, %v, want 2", seq, ok, err)
	}
	turns, err := s.OpenTurns()
	if diff := cmp.Diff([]string{"a"}, turns); diff != "" || err != nil {
		t.Errorf("open turns, %v (-want +got):\n%s", err, diff)
	}
}

// A migration that fails changes nothing, like any transaction.
func TestFailedMigrationChangesNothing(t *testing.T) {
	path := newPath(t)
	if err := writeVersion1(path); err != nil {
		t.Fatal(err)
	}
	// This bucket makes the migration fail, which wants to create it.
	writeBolt(t, path, func(tx *bolt.Tx) error { return second(tx.CreateBucket(bucketSessions)) })
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	if want := "migrate from format version 1"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open: %v, want %q", err, want)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}
