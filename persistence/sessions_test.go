package persistence

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSessionsAreKept(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	longest := strings.Repeat("\xff", MaxSessionKeyLen)
	mustPutSession(t, s, "a", "1")
	mustPutSession(t, s, "a\x00", "")
	mustPutSession(t, s, longest, strings.Repeat("x", MaxSessionLen))
	mustPutSession(t, s, "b", "1")
	mustPutSession(t, s, "a", "two")
	if err := deleteSessionsWait(s, "b", "never put", "b"); err != nil {
		t.Error(err)
	}
	if err := deleteSessionsWait(s); err != nil {
		t.Error(err)
	}
	want := map[string]string{"a": "two", "a\x00": "", longest: strings.Repeat("x", MaxSessionLen)}
	for range 2 {
		got, err := readSessions(s)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("sessions, %v (-want +got):\n%s", err, diff)
		}
		for _, key := range []string{"b", "never put", "a\x00\x00"} {
			if value, ok, err := s.Session(key); ok || err != nil {
				t.Errorf("Session(%q) = %q, %v, %v, want nothing", key, value, ok, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, path, Options{})
	}
}

func TestInvalidSessionsAreRefused(t *testing.T) {
	s := newStore(t)
	long := strings.Repeat("k", MaxSessionKeyLen+1)
	for name, err := range map[string]error{
		"put without a key":     putSessionWait(s, "", "v"),
		"put, long key":         putSessionWait(s, long, "v"),
		"get without a key":     third(s.Session("")),
		"get, long key":         third(s.Session(long)),
		"delete without a key":  deleteSessionsWait(s, "a", ""),
		"delete with, long key": deleteSessionsWait(s, long, "a"),
	} {
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: %v, want ErrInvalid and no key", name, err)
		}
	}
	small := openStore(t, newPath(t), Options{MaxCommitBytes: requestOverhead + 3})
	for name, err := range map[string]error{
		"put":    putSessionWait(s, "a", strings.Repeat("x", MaxSessionLen+1)),
		"delete": deleteSessionsWait(small, "ab", "cd"),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}

// Sessions are queued like commits: in the same order, transaction and limit.
func TestSessionsShareTheQueue(t *testing.T) {
	s := openStore(t, newPath(t), Options{QueueBytes: 5 * (requestOverhead + 2)})
	release := stall(s)
	before := transactions(t, s)
	var got []string
	note := func(name string) func(error) {
		return func(err error) { got = append(got, fmt.Sprint(name, " ", errors.Is(err, ErrBusy))) }
	}
	s.PutSession("a", []byte("1"), note("put"))
	s.Append(Commit{Room: "a", Entries: entries("1")}, note("append"))
	s.DeleteSessions([]string{"a"}, note("delete"))
	s.PutSession("b", []byte("1"), note("put"))
	s.PutSession("a", []byte("2"), nil)
	s.PutSession("a", []byte("3"), note("put"))
	answered := make(chan struct{})
	s.DeleteSessions([]string{"a"}, func(err error) {
		note("delete")(err)
		close(answered)
	})
	release()
	<-answered
	want := []string{"put false", "append false", "delete false", "put false", "put true", "delete true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := transactions(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	sessions, err := readSessions(s)
	if diff := cmp.Diff(map[string]string{"a": "2", "b": "1"}, sessions); diff != "" || err != nil {
		t.Errorf("sessions, %v (-want +got):\n%s", err, diff)
	}
}

func TestSessionsOfAClosedStore(t *testing.T) {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.PutSession("a", nil, nil)
	for name, err := range map[string]error{
		"put":    putSessionWait(s, "a", ""),
		"delete": deleteSessionsWait(s, "a"),
		"get":    third(s.Session("a")),
		"list":   second(readSessions(s)),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

func TestSessionsAreReadInBoundedChunks(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		mustPutSession(t, s, fmt.Sprintf("large-%02d", i), strings.Repeat("x", MaxSessionLen-i))
	}
	chunk, next, err := s.sessionChunk(nil, maxChunkEntries)
	if len(chunk) != 3 || string(next) != "large-02\x00" || err != nil {
		t.Errorf("a chunk of %d sessions, next: %q, %v, want 3", len(chunk), next, err)
	}
	for i := range 3 * maxChunkEntries {
		s.PutSession(fmt.Sprintf("small-%04d", i), []byte("x"), nil)
	}
	mustPutSession(t, s, "z", "")
	if all, err := readSessions(s); len(all) != 20+3*maxChunkEntries+1 || err != nil {
		t.Errorf("%d sessions, %v", len(all), err)
	}
}

// The loop body runs in no transaction. It may write, and the loop then goes on
// behind the last session that it has yielded.
func TestLoopOverSessionsMayWrite(t *testing.T) {
	s := openStore(t, newPath(t), Options{InitialMmapSize: 1}) // growth has to remap
	for i := range 3 * firstChunkEntries {
		mustPutSession(t, s, fmt.Sprintf("%04d", i), "x")
	}
	var seen []string
	for session, err := range s.Sessions() {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, session.Key); len(seen) != firstChunkEntries {
			continue
		}
		if err := deleteSessionsWait(s, session.Key, fmt.Sprintf("%04d", firstChunkEntries)); err != nil {
			t.Fatal(err)
		}
		mustPutSession(t, s, session.Key+"+", strings.Repeat("x", MaxSessionLen))
		mustPutSession(t, s, "0", "too late")
	}
	if got, want := len(seen), 3*firstChunkEntries; got != want {
		t.Errorf("%d sessions, want %d", got, want)
	}
	if got, want := seen[firstChunkEntries], fmt.Sprintf("%04d+", firstChunkEntries-1); got != want {
		t.Errorf("the next one is %q, want %q", got, want)
	}
	for session := range s.Sessions() {
		if session.Key != "0" {
			t.Errorf("the first one is %q", session.Key)
		}
		break
	}
}
