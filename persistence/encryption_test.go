package persistence

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// testKey is the line of a key whose bytes are that letter.
func testKey(id string, letter byte) string {
	return id + ":" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{letter}, xaesKeyLen)) + "\n"
}

func testRing(t testing.TB, lines ...string) KeyRing {
	t.Helper()
	r, err := ParseKeyRing([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reencryptWait(s *Store, plain bool) (damaged int, err error) {
	begun, ended := make(chan error, 1), make(chan error, 1)
	s.Reencrypt(plain, func(err error) { begun <- err }, func(n int, err error) { damaged = n; ended <- err })
	if err := <-begun; err != nil {
		return 0, err
	}
	return damaged, <-ended
}

func setKeysWait(s *Store, ring KeyRing) error {
	done := make(chan error, 1)
	s.SetKeys(ring, func(_ bool, err error) { done <- err })
	return <-done
}

// canary is in every value that writeCanaries writes.
const canary = "a yellow bird in a mine"

// writeCanaries puts words into every bucket that may hold some.
func writeCanaries(t testing.TB, s *Store, room string) {
	t.Helper()
	word, yes := []byte("<"+canary+">"), true
	folder := canary
	mustAppend(t, s, Commit{
		Room: room, Entries: [][]byte{word, word, bytes.Repeat(word, 4000)}, Keys: []Key{{"key", 1}}, Messages: []Key{{"message", 2}},
		Chat: &Chat{Room: room, Owner: "alice", Created: time.Unix(1, 2), Info: word}, Turn: &yes, Text: word, Snapshot: word,
	})
	errs := make(chan error, 8)
	done := func(err error) { errs <- err }
	s.PutSession("session "+room, word, done)
	s.PutAccount("account "+room, word, done)
	s.PutHook(room, "hook", word, done)
	s.PutChunk(room, "", "blob", 0, word, done)
	s.PutFile(room, "", File{ID: "file", Blob: "blob", Size: int64(len(word)), Info: word}, done)
	s.Mark(room, "alice", "alice", MarkChange{Folder: &folder}, func(_ Mark, err error) { done(err) })
	s.MarkRead(room, "alice", 2, done)
	s.AddAudit(word, 100, func(_ uint64, err error) { done(err) })
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// readCanaries fails if a value that writeCanaries has written cannot be read.
func readCanaries(t testing.TB, s *Store, room string) {
	t.Helper()
	has := func(what string, value []byte, err error) {
		if !bytes.Contains(value, []byte(canary)) || err != nil {
			t.Errorf("%s: %.60q, %v", what, value, err)
		}
	}
	for e, err := range s.Read(room, 0) {
		has("entry", e.Data, err)
	}
	chat, err := s.Chat(room)
	has("chat", chat.Info, err)
	_, snapshot, err := s.Snapshot(room)
	has("snapshot", snapshot, err)
	text, err := s.Text(room)
	has("text", text, err)
	session, _, err := s.Session("session " + room)
	has("session", session, err)
	hook, err := s.Hook(room, "hook")
	has("hook", hook, err)
	file, err := s.File(room, "file")
	has("file", file.Info, err)
	for chunk, err := range s.Chunks(room, file, 0) {
		has("chunk", chunk, err)
	}
	mark, err := s.MarkOf(room, "alice")
	has("mark", []byte(mark.Folder), err)
	var accounts, audit int
	err = errors.Join(
		s.EachAccount(func(_ string, value []byte) { has("account", value, nil); accounts++ }),
		s.EachAudit(0, 100, func(_ uint64, value []byte) { has("audit", value, nil); audit++ }),
	)
	if accounts == 0 || audit == 0 || err != nil {
		t.Errorf("%d accounts, %d entries of the audit log, %v", accounts, audit, err)
	}
}

// checkSound fails unless [Check] finds the file as it should be.
func checkSound(t testing.TB, path string, ring KeyRing) {
	t.Helper()
	if faults, err := checkWith(path, ring); len(faults) > 0 || err != nil {
		t.Errorf("%s: %q, %v", filepath.Base(path), faults, err)
	}
}

func hasCanary(t testing.TB, path string) bool {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(raw, []byte(canary))
}

// rawRows returns all rows of a file, by bucket and key.
func rawRows(t testing.TB, path string) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				rows[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Words are found in the file and its backups without a key, and in none of them with one:
// from the first byte on, and also when encryption was turned on later.
func TestWordsAreEncrypted(t *testing.T) {
	ring := testRing(t, testKey("a", 'a'))
	for _, late := range []bool{false, true} {
		path := newPath(t)
		if late {
			s := openStore(t, path, Options{})
			writeCanaries(t, s, "old")
			s.Close()
			if !hasCanary(t, path) {
				t.Fatal("the words are not in a file that is not encrypted")
			}
		}
		s := openStore(t, path, Options{Keys: ring})
		if late {
			if n, err := reencryptWait(s, false); n != 0 || err != nil {
				t.Fatalf("%d damaged, %v", n, err)
			}
			readCanaries(t, s, "old")
		}
		writeCanaries(t, s, "new")
		readCanaries(t, s, "new")
		backup := path + ".backup"
		err := WriteBackup(backup, func(w io.Writer) error {
			b, err := s.Backup()
			if err != nil {
				return err
			}
			defer b.Close()
			_, err = b.WriteTo(w)
			return err
		})
		if err = errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if late { // the old words are in pages that are free now
			if _, _, err := Compact(path, Checking{Options: Options{Keys: ring}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{path, backup} {
			if hasCanary(t, file) {
				t.Errorf("encrypted late: %v: the words are in %s", late, filepath.Base(file))
			}
			checkSound(t, file, ring)
		}
		readCanaries(t, openStore(t, backup, Options{Keys: ring}), "new")
	}
}

// isPart reports whether a row is a part of a large value, or the reference to one.
func isPart(row, value string) bool {
	return strings.HasPrefix(row, "large/") || len(value) == referenceLen+sealLen
}

// Every bucket is known to hold words or not.
func TestEveryBucketIsClassified(t *testing.T) {
	numbers := [][]byte{
		bucketMeta, bucketMembers, bucketShared, bucketDedup, bucketMessages, bucketTurns, bucketUsage, bucketOwned, bucketRead, bucketUploads, bucketMarkers, bucketCharged,
	}
	path := newPath(t)
	s := openStore(t, path, Options{Keys: testRing(t, testKey("a", 'a'))})
	writeCanaries(t, s, "room")
	s.Close()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			is := func(list [][]byte) bool {
				return slices.ContainsFunc(list, func(n []byte) bool { return bytes.Equal(n, name) })
			}
			if bytes.Equal(name, bucketLarge) { // what rows of others refer to
				return nil
			}
			if is(numbers) == is(wordy) {
				t.Errorf("bucket %s: say whether it holds words, and give it some in writeCanaries", name)
			}
			return b.ForEach(func(k, v []byte) error {
				if _, boxed := dataKeyOf(v); boxed != is(wordy) && !isPart("", string(v)) {
					t.Errorf("bucket %s: encrypted: %v", name, boxed)
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// Opening an encrypted file without its key fails with the id of that key, and writes
// nothing.
func TestFileWithoutItsKey(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{Keys: testRing(t, testKey("mine", 'm'))})
	writeCanaries(t, s, "room")
	s.Close()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for says, lines := range map[string][]string{
		"is not given": nil,
		"is not among": {testKey("other", 'm'), testKey("third", 'x')},
		"not the one":  {testKey("mine", 'x')},
	} {
		o := Options{Keys: testRing(t, lines...)}
		_, err1 := Open(path, o)
		_, err2 := OpenReader(path, o)
		_, err3 := Check(path, Checking{Options: o})
		_, _, err4 := Compact(path, Checking{Options: o})
		for i, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), `"mine"`) {
				t.Errorf("%d, %s: %v", i, says, err)
			}
		}
		after, err := os.ReadFile(path)
		if !bytes.Equal(before, after) || err != nil {
			t.Fatalf("%s: the file has changed, %v", says, err)
		}
	}
}

// A file that is encrypted no more holds the same bytes as before.
func TestEncryptionCanBeTurnedOff(t *testing.T) {
	path, ring := newPath(t), testRing(t, testKey("a", 'a'))
	s := openStore(t, path, Options{})
	writeCanaries(t, s, "room")
	if err := setKeysWait(s, KeyRing{}); err != nil {
		t.Error(err)
	}
	s.Close()
	before := rawRows(t, path)

	s = openStore(t, path, Options{Keys: ring})
	if n, err := reencryptWait(s, false); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if err := setKeysWait(s, KeyRing{}); !errors.Is(err, ErrKey) {
		t.Errorf("the keys were taken away: %v", err)
	}
	s.Close()
	between := rawRows(t, path)
	for row, value := range before {
		if isPart(row, value) {
			continue
		}
		if bucket, _, _ := strings.Cut(row, "/"); slices.ContainsFunc(wordy, func(b []byte) bool { return string(b) == bucket }) {
			if len(between[row]) != len(value)-sealLen+boxLen {
				t.Errorf("%s: %d bytes plain, %d encrypted", row, len(value), len(between[row]))
			}
		}
	}
	if got := between["meta/format"]; got != fmt.Sprint(formatName, formatVersion, formatEncrypted) {
		t.Errorf("format %q would be read by older programs", got)
	}

	s = openStore(t, path, Options{Keys: ring})
	if n, err := reencryptWait(s, true); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	readCanaries(t, s, "room")
	if err := setKeysWait(s, KeyRing{}); err != nil {
		t.Errorf("a file that is not encrypted: %v", err)
	}
	if _, err := reencryptWait(s, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("reencrypt without a key: %v", err)
	}
	s.Close()
	after := rawRows(t, path)
	for _, rows := range []map[string]string{before, after} { // large values have other numbers
		maps.DeleteFunc(rows, isPart)
	}
	if diff := gocmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after):\n%.2000s", diff)
	}
	checkSound(t, path, KeyRing{})
}

// The operator's key can be exchanged while the file is open, and then the old one is not
// needed. Values stay as they are until they are written anew.
func TestRotation(t *testing.T) {
	path := newPath(t)
	first, second := testKey("first", '1'), testKey("second", '2')
	s := openStore(t, path, Options{Keys: testRing(t, first)})
	writeCanaries(t, s, "room")
	if err := setKeysWait(s, testRing(t, second, first)); err != nil {
		t.Fatal(err)
	}
	readCanaries(t, s, "room")
	s.Close()
	if _, err := Open(path, Options{Keys: testRing(t, first)}); !errors.Is(err, ErrKey) {
		t.Errorf("the old key: %v", err)
	}
	before := rawRows(t, path)["log/"+string(logKey("room", 1))]
	s = openStore(t, path, Options{Keys: testRing(t, second)})
	if n, err := reencryptWait(s, false); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	e, err := s.Encryption()
	if e != (Encryption{Key: "second", DataKeys: 1, On: true}) || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
	readCanaries(t, s, "room")
	s.Close()
	after := rawRows(t, path)["log/"+string(logKey("room", 1))]
	if n, _ := dataKeyOf([]byte(before)); n != 1 {
		t.Errorf("data key %d before", n)
	}
	if n, _ := dataKeyOf([]byte(after)); n != 2 {
		t.Errorf("data key %d after", n)
	}
	checkSound(t, path, testRing(t, second))
}

// A value that was put in another place, or that was not encrypted with a key of the file, is
// damage: nobody can put words into the file who has no key.
func TestMovedValueIsRefused(t *testing.T) {
	at := func(seq uint64) []byte { return logKey("room", seq) }
	for name, move := range map[string]func(tx *bolt.Tx) error{
		"to another key": func(tx *bolt.Tx) error {
			log := tx.Bucket(bucketLog)
			return log.Put(at(2), bytes.Clone(log.Get(at(1))))
		},
		"to another room": func(tx *bolt.Tx) error {
			log := tx.Bucket(bucketLog)
			return log.Put(at(2), bytes.Clone(log.Get(logKey("other", 2))))
		},
		"to another bucket": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketLog).Put(at(2), bytes.Clone(tx.Bucket(bucketChats).Get([]byte("room"))))
		},
		"plain": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketLog).Put(at(2), seal(at(2), []byte("made up")))
		},
		"one bit": func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(bucketLog).Get(at(2)))
			v[30] ^= 4
			return tx.Bucket(bucketLog).Put(at(2), v)
		},
		"an unknown data key": func(tx *bolt.Tx) error {
			v := bytes.Clone(tx.Bucket(bucketLog).Get(at(2)))
			v[len(v)-1]++
			return tx.Bucket(bucketLog).Put(at(2), v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, ring := newPath(t), testRing(t, testKey("a", 'a'))
			s := openStore(t, path, Options{Keys: ring})
			writeCanaries(t, s, "room")
			mustAppend(t, s, Commit{Room: "other", Entries: entries("1", "2")})
			s.Close()
			db, err := bolt.Open(path, 0, nil)
			if err == nil {
				err = errors.Join(db.Update(move), db.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			s = openStore(t, path, Options{Keys: ring})
			if got, err := readAll(s, "room"); !errors.Is(err, ErrCorrupt) {
				t.Errorf("read %.40q, %v", got, err)
			}
			if got, err := readAll(s, "other"); len(got) != 2 || err != nil {
				t.Errorf("the other room: %q, %v", got, err)
			}
			if n, err := reencryptWait(s, false); n != 1 || err != nil {
				t.Errorf("%d damaged values, %v", n, err)
			}
			if e, err := s.Encryption(); e.DataKeys != 2 || err != nil {
				t.Errorf("%+v, %v: the key of a damaged value is gone", e, err)
			}
			s.Close()
			var faults []Fault
			_, err = Check(path, Checking{Options: Options{Keys: ring}, Report: func(f Fault) { faults = append(faults, f) }})
			if err != nil || len(faults) == 0 || faults[0].Seq != 2 {
				t.Errorf("%+v, %v", faults, err)
			}
		})
	}
}

func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(*bolt.Bucket) error{
		"gone": func(meta *bolt.Bucket) error { return meta.Delete(keyEncryption) },
		"one bit": func(meta *bolt.Bucket) error {
			v := bytes.Clone(meta.Get(keyEncryption))
			v[20] ^= 1
			return meta.Put(keyEncryption, v)
		},
		"cut": func(meta *bolt.Bucket) error { return meta.Put(keyEncryption, seal(keyEncryption, []byte{9})) },
	} {
		path, ring := newPath(t), testRing(t, testKey("a", 'a'))
		openStore(t, path, Options{Keys: ring}).Close()
		db, err := bolt.Open(path, 0, nil)
		if err == nil {
			err = errors.Join(db.Update(func(tx *bolt.Tx) error { return damage(tx.Bucket(bucketMeta)) }), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{Keys: ring}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const (
	reencryptRooms = 50
	stopVariable   = "PARLOR_STOP_AT"
)

// reencryptChild begins to write everything anew, or goes on. After as many transactions as
// the variable says it stops in the middle, prints a line, and waits for its end.
func reencryptChild(path string) error {
	ring, err := ParseKeyRing([]byte(testKey("a", 'a')))
	if err != nil {
		return err
	}
	s, err := Open(path, Options{Keys: ring})
	if err != nil {
		return err
	}
	e, err := s.Encryption()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	if e.At == "" {
		s.Reencrypt(!e.Plain, func(error) {}, func(_ int, err error) { ended <- err })
	}
	stop, err := strconv.Atoi(os.Getenv(stopVariable))
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		done := make(chan error, 1)
		s.PutSession("session", []byte(canary), func(err error) {
			if i == stop {
				fmt.Println("stopped")
				time.Sleep(time.Hour)
			}
			done <- err
		})
		if err := <-done; err != nil {
			return err
		}
		if e, err := s.Encryption(); e.At == "" {
			return errors.Join(err, s.Close())
		}
	}
}

// A rewriting that is killed goes on with the next start, whatever it was about, and the
// file can be read at any moment.
func TestKillReencryption(t *testing.T) {
	path, ring := newPath(t), testRing(t, testKey("a", 'a'))
	s := openStore(t, path, Options{Keys: ring})
	for i := range reencryptRooms {
		writeCanaries(t, s, fmt.Sprint("room-", i))
	}
	s.Close()
	rounds := 30
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd := child(t, "reencrypt", path)
		cmd.Stderr, cmd.Env = os.Stderr, append(cmd.Env, fmt.Sprint(stopVariable, "=", round%10))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stopped, _ := bufio.NewReader(out).ReadString('\n')
		if stopped != "" {
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); stopped == "" && (err != nil || round == 0) { // a later one may come to its end
			t.Fatalf("round %d: the rewriting was not cut: %v", round, err)
		}
		checkSound(t, path, ring)
	}
	s = openStore(t, path, Options{Keys: ring})
	for e, err := s.Encryption(); e.At != ""; e, err = s.Encryption() {
		if err != nil {
			t.Fatal(err)
		}
		mustPutSession(t, s, "session", canary)
	}
	readCanaries(t, s, "room-0")
	readCanaries(t, s, fmt.Sprint("room-", reencryptRooms-1))
}

// A step of a rewriting that comes into one transaction with the beginning of another one
// does not pass over rows on behalf of that.
func TestReencryptTurnsAround(t *testing.T) {
	for _, plain := range []bool{true, false} {
		path, ring := newPath(t), testRing(t, testKey("a", 'a'))
		var s *Store
		var left atomic.Int32 // transactions until the other rewriting begins
		ended := make(chan error, 1)
		s = openStore(t, path, Options{Keys: ring, Committed: func(int, time.Duration, error) {
			if left.Add(-1) == 0 {
				s.Reencrypt(plain, func(error) {}, func(_ int, err error) { ended <- err })
			}
		}})
		writeCanaries(t, s, "room")
		left.Store(2) // the beginning, and the first step
		s.Reencrypt(!plain, func(error) {}, nil)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		s.Close()
		after := ring
		if plain {
			after = KeyRing{}
		}
		s = openStore(t, path, Options{Keys: after})
		readCanaries(t, s, "room")
		s.Close()
		checkSound(t, path, after)
	}
}

// An exchange of keys that is refused refuses nothing else of its transaction.
func TestRefusedKeysRefuseNothingElse(t *testing.T) {
	a, b := testKey("a", 'a'), testKey("b", 'b')
	var s *Store
	var left atomic.Int32
	errs := make(chan error, 3)
	s = openStore(t, newPath(t), Options{Keys: testRing(t, a), Committed: func(int, time.Duration, error) {
		if left.Add(-1) == 0 { // these three become one transaction
			s.SetKeys(testRing(t, b, a), func(_ bool, err error) { errs <- err })
			s.SetKeys(testRing(t, b), func(_ bool, err error) { errs <- err })
			s.PutSession("session", []byte(canary), func(err error) { errs <- err })
		}
	}})
	left.Store(1)
	mustPutSession(t, s, "other", canary)
	if first, second, third := <-errs, <-errs, <-errs; first != nil || !errors.Is(second, ErrKey) || third != nil {
		t.Errorf("%v, %v, %v", first, second, third)
	}
}

// A write behind the first keys, in the same transaction, is not encrypted yet, and can be
// read all the same.
func TestWriteBesideTheFirstKeys(t *testing.T) {
	var s *Store
	var left atomic.Int32
	errs := make(chan error, 2)
	s = openStore(t, newPath(t), Options{Committed: func(int, time.Duration, error) {
		if left.Add(-1) == 0 {
			s.SetKeys(testRing(t, testKey("a", 'a')), func(_ bool, err error) { errs <- err })
			s.PutSession("session", []byte(canary), func(err error) { errs <- err })
		}
	}})
	left.Store(1)
	if err := waitFor(func(done func(error)) { s.DeleteSessions([]string{"none"}, done) }); err != nil {
		t.Fatal(err)
	}
	if first, second := <-errs, <-errs; first != nil || second != nil {
		t.Fatal(first, second)
	}
	if value, ok, err := s.Session("session"); string(value) != canary || !ok || err != nil {
		t.Errorf("%q, %v, %v", value, ok, err)
	}
}

// An encryptedMachine is a machine whose operator changes keys.
type encryptedMachine struct {
	machine
	rings []KeyRing
}

// Rotate makes another key the first one.
func (m *encryptedMachine) Rotate(t *rapid.T) {
	m.keys = rapid.SampledFrom(m.rings).Draw(t, "ring")
	if err := setKeysWait(m.store, m.keys); err != nil {
		t.Fatal(err)
	}
}

// Reencrypt begins to write all values anew, and waits for the end, or not.
func (m *encryptedMachine) Reencrypt(t *rapid.T) {
	plain, wait := rapid.Bool().Draw(t, "plain"), rapid.Bool().Draw(t, "wait")
	begun, ended := make(chan error, 1), make(chan error, 1)
	begin := func() error {
		m.store.Reencrypt(plain, func(err error) { begun <- err }, func(n int, err error) {
			if n > 0 {
				err = fmt.Errorf("%d damaged values", n)
			}
			ended <- err
		})
		return <-begun
	}
	err := begin()
	if errors.Is(err, ErrNotFound) { // it was turned off, maybe just now
		if err = setKeysWait(m.store, m.keys); err == nil {
			err = begin()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if wait {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

func TestModelOfEncryption(t *testing.T) {
	if testing.Short() {
		t.Skip("it is long")
	}
	a, b, c := testKey("a", 'a'), testKey("b", 'b'), testKey("c", 'c')
	rings := []KeyRing{testRing(t, a, b, c), testRing(t, b, c, a), testRing(t, c, a, b)}
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &encryptedMachine{machine{path: filepath.Join(dir, fmt.Sprint(n)), model: make(model), sessions: make(map[string]string), keys: rings[0]}, rings}
		m.open(t)
		defer func() {
			if err := m.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		t.Repeat(rapid.StateMachineActions(m))
	})
}

func TestParseKeyRing(t *testing.T) {
	good := testKey("2026-01", 'a')
	r, err := ParseKeyRing([]byte("# of January\n\n  " + good + "\r\n" + testKey("b_.", 'b')))
	if got := r.IDs(); !slices.Equal(got, []string{"2026-01", "b_."}) || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := fmt.Sprintf("%v %+v %s %q %#v", r, r, r, r, r); strings.Contains(got, "0x") {
		t.Errorf("printed: %s", got)
	}
	secret := strings.TrimSpace(strings.SplitN(good, ":", 2)[1])
	for says, text := range map[string]string{
		"line 2: behind the first": "\nx:" + secret[1:],
		`"id:base64"`:              "x y:" + secret,
		`it is not "id`:            secret,
		"is not the base64":        "x:" + secret[:40],
		`two keys "2026-01"`:       good + good,
		"all zeros":                testKey("zero", 0),
		"with an id of letters":    strings.Repeat("x", MaxKeyIDLen+1) + ":" + secret,
		"behind the first ':' is ": "x:",
	} {
		_, err := ParseKeyRing([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret[5:20]) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// Keys that are written in another way look like the id of one.
func TestKeysWithoutIDStaySecret(t *testing.T) {
	for _, text := range []string{strings.Repeat("5ec4e7", 10) + "abcd", "5ec4e7_-" + strings.Repeat("x", 35), "5ec4e7:name"} {
		if _, err := ParseKeyRing([]byte(text)); err == nil || strings.Contains(err.Error(), "5ec4e7") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseKeyRing(f *testing.F) {
	f.Add([]byte(testKey("a", 'a')))
	f.Add([]byte("a:b\n:\n#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseKeyRing(text)
		if err != nil && len(r.keys) > 0 {
			t.Error("keys beside an error")
		}
	})
}

// Nothing that was not sealed with the key can be opened, and nothing ends the process.
func FuzzUnsealWords(f *testing.F) {
	keys := &fileKeys{write: 1, data: map[uint32]*xaes{1: newXAES(bytes.Repeat([]byte{'k'}, xaesKeyLen))}}
	bucket, key := bucketLog, []byte("key")
	nonce := bytes.Repeat([]byte{'n'}, xaesNonceLen) // the same in all processes that fuzz
	good := keys.data[1].sealWith(slices.Clone(nonce), nonce, []byte("value"), additional(bucket, key))
	good = append(good, boxMark>>24, 0, 0, 1)
	f.Add(good, false)
	f.Add(good[:boxLen], true)
	f.Add(seal(key, []byte("value")), true)
	f.Add(slices.Insert(slices.Clone(good), 3, 0), true)
	f.Fuzz(func(t *testing.T, b []byte, plain bool) {
		k := *keys
		k.plain = plain
		value, by, err := k.unseal(bucket, key, b)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Error(err)
		case err == nil && by == 0 && (!plain || !bytes.Equal(seal(key, value), b)):
			t.Errorf("%q was taken from %x", value, b)
		case err == nil && by != 0 && !bytes.Equal(b, good):
			t.Errorf("%x was opened", b)
		}
		countedLen(&k, b)
	})
}

func FuzzKeyRecord(f *testing.F) {
	ring := testRing(f, testKey("a", 'a'))
	f.Add([]byte(`{"write":1,"keys":{"1":"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="}}`))
	f.Add([]byte(`{"write":2,"plain":true,"keys":{"0":""}}`))
	f.Add([]byte(`null`))
	path := filepath.Join(f.TempDir(), "x.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			t.Fatal(err)
		}
		box := ring.keys[0].key.seal([]byte("\x01a"), text, recordData("a"))
		for _, b := range [][]byte{seal(keyEncryption, box), seal(keyEncryption, text), text} {
			if err := meta.Put(keyEncryption, b); err != nil {
				t.Fatal(err)
			}
			record, by, err := openRecord(tx, ring)
			if err != nil {
				continue
			}
			if by != "a" || record == nil {
				t.Errorf("%v by %q", record, by)
				continue
			}
			record.use(ring, by)
		}
	})
}

// BenchmarkEncryption compares a file that is encrypted with one that is not: what an entry
// costs until it is durable, and what reading it costs.
func BenchmarkEncryption(b *testing.B) {
	for _, size := range []int{333, 8 << 10} {
		for _, on := range []bool{false, true} {
			b.Run(fmt.Sprintf("bytes=%d/encrypted=%v", size, on), func(b *testing.B) {
				o := Options{}
				if on {
					o.Keys = testRing(b, testKey("a", 'a'))
				}
				data := [][]byte{make([]byte, size)}
				b.Run("seal", func(b *testing.B) {
					s := openStore(b, newPath(b), o)
					defer s.Close()
					b.ReportAllocs()
					err := s.disk.view(func(tx *bolt.Tx) error {
						for b.Loop() {
							key := logKey("room", 1)
							if _, err := unsealWords(tx, bucketLog, key, sealWords(tx, bucketLog, key, data[0])); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				})
				b.Run("append", func(b *testing.B) {
					s := openStore(b, newPath(b), o)
					defer s.Close()
					benchmarkWrites(b, s, 100, func(caller int, n uint64) error {
						return appendWait(s, Commit{Room: fmt.Sprintf("room-%d", caller), After: n, Entries: data})
					})
				})
				b.Run("read", func(b *testing.B) {
					s := openStore(b, newPath(b), o)
					defer s.Close()
					mustAppend(b, s, Commit{Room: "room", Entries: slices.Repeat(data, 1000)})
					for b.Loop() {
						for _, err := range s.Read("room", 0) {
							if err != nil {
								b.Fatal(err)
							}
						}
					}
				})
			})
		}
	}
}
