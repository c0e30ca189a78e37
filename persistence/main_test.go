package persistence

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

// children are the parts of tests that need a process of their own. The test
// binary can run each of them instead of its tests. Each gets a database path.
var children = map[string]func(path string) error{
	"append": appendChild,
	"open":   openChild,

	"reencrypt": reencryptChild,
}

const childEnv = "PARLOR_PERSISTENCE_CHILD"

func TestMain(m *testing.M) {
	child, ok := children[os.Getenv(childEnv)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := child(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child returns a command that runs the child of that name on path.
func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, path)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

// seed returns SEED of the environment, or a new seed, and logs it, so that a
// random test that failed can be run again.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), fmt.Sprint(rand.Uint32())), 10, 64)
	if err != nil {
		t.Fatal("SEED:", err)
	}
	t.Logf("SEED=%d", n)
	return n
}

// runChild runs a child that makes its own checks.
func runChild(t *testing.T, name string) {
	t.Helper()
	out, err := child(t, name, newPath(t)).CombinedOutput()
	if strings.HasPrefix(string(out), skipPrefix) {
		t.Skip(strings.TrimPrefix(string(out), skipPrefix))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// skipPrefix begins the output of a child that cannot run here.
const skipPrefix = "SKIP "

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "parlor.db") }

func openStore(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, newPath(t), Options{})
}

// appendWait appends and waits for the outcome.
func appendWait(s *Store, c Commit) error {
	done := make(chan error, 1)
	s.Append(c, func(err error) { done <- err })
	return <-done
}

func deleteWait(s *Store, room string) error {
	done := make(chan error, 1)
	s.Delete(room, func(err error) { done <- err })
	return <-done
}

func mustAppend(t testing.TB, s *Store, c Commit) {
	t.Helper()
	if err := appendWait(s, c); err != nil {
		t.Fatal(err)
	}
}

func putSessionWait(s *Store, key, value string) error {
	done := make(chan error, 1)
	s.PutSession(key, []byte(value), func(err error) { done <- err })
	return <-done
}

func mustPutSession(t testing.TB, s *Store, key, value string) {
	t.Helper()
	if err := putSessionWait(s, key, value); err != nil {
		t.Fatal(err)
	}
}

func deleteSessionsWait(s *Store, keys ...string) error {
	done := make(chan error, 1)
	s.DeleteSessions(keys, func(err error) { done <- err })
	return <-done
}

// readSessions returns all sessions, and fails if they are not sorted or if
// one is not what [Store.Session] says.
func readSessions(s *Store) (map[string]string, error) {
	all, last := make(map[string]string), ""
	for session, err := range s.Sessions() {
		if err != nil {
			return nil, err
		}
		if session.Key <= last {
			return nil, fmt.Errorf("session %q comes after %q", session.Key, last)
		}
		last = session.Key
		value, ok, err := s.Session(session.Key)
		if err != nil || !ok || !bytes.Equal(value, session.Value) {
			return nil, fmt.Errorf("session %q is %.30q in the list, else %.30q, %v, %v", session.Key, session.Value, value, ok, err)
		}
		all[session.Key] = string(session.Value)
	}
	return all, nil
}

// stall keeps the writer busy until the returned function is called, so that
// requests wait meanwhile.
func stall(s *Store) (release func()) {
	entered, gate := make(chan struct{}), make(chan struct{})
	s.Append(Commit{}, func(error) { // refused, but in its turn
		close(entered)
		<-gate
	})
	<-entered
	return func() { close(gate) }
}

func entries(data ...string) (b [][]byte) {
	for _, d := range data {
		b = append(b, []byte(d))
	}
	return b
}

// contents returns the room's entries and fails if they are not gapless.
func contents(t testing.TB, s *Store, room string) []string {
	t.Helper()
	data, err := readAll(s, room)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readAll(s *Store, room string) (data []string, err error) {
	for e, err := range s.Read(room, 0) {
		if err != nil {
			return nil, err
		}
		data = append(data, string(e.Data))
		if e.Seq != uint64(len(data)) {
			return nil, fmt.Errorf("room %s: entry %d has number %d", room, len(data), e.Seq)
		}
	}
	return data, nil
}

// transactions returns how many write transactions the file has seen.
func transactions(t testing.TB, s *Store) (n int) {
	t.Helper()
	err := s.disk.view(func(tx *bolt.Tx) error {
		n = tx.ID()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkFile has bbolt verify every page of a closed file.
func checkFile(path string) error {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bolt.Tx) (err error) {
		for e := range tx.Check() {
			err = errors.Join(err, e)
		}
		return err
	})
	return errors.Join(err, db.Close())
}

// cameWith are the buckets that each version brought, from version 2 on.
var cameWith = [][][]byte{
	{bucketSessions, bucketSnapshots, bucketTexts},
	{bucketUsage, bucketCharged},
	{bucketMessages},
	{bucketShared},
	{bucketOwned},
	{bucketRead},
	{bucketAccounts},
	{bucketFiles, bucketBlobs, bucketUploads},
	{bucketHooks},
	{bucketMarks, bucketMarkers},
	{bucketAudit},
	{bucketLarge},
}

// cameAfter returns the buckets that later versions brought.
func cameAfter(version int) [][]byte { return slices.Concat(cameWith[version-1:]...) }

// putBack makes the file one of an older version, as far as buckets go.
func putBack(tx *bolt.Tx, version int) error {
	for _, name := range cameAfter(version) {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
	}
	return putFormat(tx, version)
}
