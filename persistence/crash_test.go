package persistence

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

const crashRooms = 8

// appendChild appends to several rooms until it is killed, and prints a line
// "room seq" for each acknowledgement. It keeps several commits of each room in
// flight. Each has one entry, its key and message id, and the state of a turn,
// and follows a session that is put.
func appendChild(path string) error {
	s, err := Open(path, Options{InitialMmapSize: 1, scanFirst: 1})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range crashRooms {
		room := fmt.Sprintf("room-%d", i)
		last, err := s.Last(room)
		if err != nil {
			return err
		}
		go func() { failed <- appendForEver(s, room, last) }()
	}
	return <-failed
}

func appendForEver(s *Store, room string, last uint64) error {
	window := make(chan error, 4)
	for range cap(window) {
		window <- nil
	}
	for seq := last + 1; ; seq++ {
		if err := <-window; err != nil {
			return err
		}
		s.PutSession(room, fmt.Append(nil, seq), nil)
		s.Append(crashCommit(room, seq), func(err error) {
			if err == nil {
				fmt.Println(room, seq)
			}
			window <- err
		})
	}
}

func crashCommit(room string, seq uint64) Commit {
	open := seq%2 == 1
	return Commit{
		Room:    room,
		After:   seq - 1,
		Entries: [][]byte{crashEntry(room, seq)},
		Keys:    []Key{{fmt.Sprint("key-", seq), seq}},
		Chat:    &Chat{Room: room, Info: fmt.Append(nil, seq)},
		Turn:    &open,

		Messages: []Key{{fmt.Sprint("message-", seq), seq}},
	}
}

// crashEntry is long enough to lie apart from its row now and then.
func crashEntry(room string, seq uint64) []byte {
	return fmt.Append(nil, room, " ", seq, " ", strings.Repeat("x", int(seq*seq%20_000)))
}

func TestKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 3
	}
	rnd := rand.New(rand.NewPCG(seed(t), 0))
	path := newPath(t)
	acked := make(map[string]uint64)
	for round := range rounds {
		killAfter(t, path, rnd.IntN(400), acked)
		if err := checkFile(path); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkAfterKill(t, path, acked)
	}
	if len(acked) < crashRooms {
		t.Errorf("only %d rooms had anything acknowledged", len(acked))
	}
}

// killAfter kills an appendChild when it has printed n lines, and notes what it
// has acknowledged.
func killAfter(t *testing.T, path string, n int, acked map[string]uint64) {
	t.Helper()
	cmd := child(t, "append", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s, i := bufio.NewScanner(out), 0; s.Scan(); i++ {
		var room string
		var seq uint64
		if _, err := fmt.Sscan(s.Text(), &room, &seq); err != nil {
			continue // the kill has cut this line short
		}
		acked[room] = max(acked[room], seq)
		if i == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
}

func checkAfterKill(t *testing.T, path string, acked map[string]uint64) {
	t.Helper()
	s := openStore(t, path, prompt) // so that it leaves a list of free pages for the next round
	open := make(map[string]bool)
	turns, err := s.OpenTurns()
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range turns {
		open[room] = true
	}
	for i := range crashRooms {
		room := fmt.Sprintf("room-%d", i)
		got := contents(t, s, room) // gapless
		last := uint64(len(got))
		if last < acked[room] {
			t.Fatalf("%s ends at %d, %d was acknowledged", room, last, acked[room])
		}
		for i, data := range got {
			if want := string(crashEntry(room, uint64(i+1))); data != want {
				t.Fatalf("%s: entry %d is %.30q, want %.30q", room, i+1, data, want)
			}
		}
		checkWhole(t, s, room, last, open[room])
		checkSessionBefore(t, s, room, last)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkWhole checks that all parts of the last commit are there, and no part of
// the next one.
func checkWhole(t *testing.T, s *Store, room string, last uint64, open bool) {
	t.Helper()
	for seq := uint64(1); seq <= last+1; seq++ {
		got, ok, err := s.Lookup(room, fmt.Sprint("key-", seq))
		if ok != (seq <= last) || ok && got != seq || err != nil {
			t.Fatalf("%s ends at %d, key %d leads to %d, %v, %v", room, last, seq, got, ok, err)
		}
		got, ok, err = s.Message(room, fmt.Sprint("message-", seq))
		if ok != (seq <= last) || ok && got != seq || err != nil {
			t.Fatalf("%s ends at %d, message %d is %d, %v, %v", room, last, seq, got, ok, err)
		}
	}
	if last == 0 {
		return
	}
	if c, err := s.Chat(room); string(c.Info) != fmt.Sprint(last) || err != nil {
		t.Fatalf("%s ends at %d, its chat at %q, %v", room, last, c.Info, err)
	}
	if open != (last%2 == 1) {
		t.Fatalf("%s ends at %d, turn open: %v", room, last, open)
	}
}

// checkSessionBefore checks that the room's session is the one that was put before
// the last commit, or the one before the next commit.
func checkSessionBefore(t *testing.T, s *Store, room string, last uint64) {
	t.Helper()
	value, ok, err := s.Session(room)
	if !ok && last == 0 && err == nil {
		return
	}
	n, _ := strconv.ParseUint(string(value), 10, 64)
	if n != last && n != last+1 || err != nil {
		t.Fatalf("%s ends at %d, its session at %q, %v, %v", room, last, value, ok, err)
	}
}
