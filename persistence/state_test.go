package persistence

import (
	"errors"
	"testing"
)

// Commits replace the snapshot, and add to the text or drop it. Both are deleted
// with the room.
func TestSnapshotAndText(t *testing.T) {
	s := newStore(t)
	state := func() (uint64, string, string) {
		t.Helper()
		seq, state, err := s.Snapshot("room")
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.Text("room")
		if err != nil {
			t.Fatal(err)
		}
		return seq, string(state), string(text)
	}
	for _, step := range []struct {
		commit      Commit
		seq         uint64
		state, text string
	}{
		{Commit{Entries: [][]byte{{1}}}, 0, "", ""},
		{Commit{After: 1, Entries: [][]byte{{2}, {3}}, Snapshot: []byte("three")}, 3, "three", ""},
		{Commit{After: 3, Text: []byte("one ")}, 3, "three", "one "},
		{Commit{After: 3, Text: []byte("two "), TextAt: 4}, 3, "three", "one two "},
		{Commit{After: 3, Entries: [][]byte{{4}}}, 3, "three", "one two "},
		{Commit{After: 4, Text: []byte("three"), TextAt: 8}, 3, "three", "one two three"},
		{Commit{After: 4, Entries: [][]byte{{5}}, DropText: true}, 3, "three", ""},
		{Commit{After: 5, Text: []byte("again")}, 3, "three", "again"},
		{Commit{After: 5, Entries: [][]byte{{6}}, DropText: true, Snapshot: []byte("six")}, 6, "six", ""},
	} {
		step.commit.Room = "room"
		if err := appendWait(s, step.commit); err != nil {
			t.Fatalf("%+v: %v", step.commit, err)
		}
		if seq, state, text := state(); seq != step.seq || state != step.state || text != step.text {
			t.Errorf("after %+v: got %d %q %q, want %d %q %q", step.commit, seq, state, text, step.seq, step.state, step.text)
		}
	}
	if err := appendWait(s, Commit{Room: "room", After: 5, Text: []byte("late")}); !errors.Is(err, ErrConflict) {
		t.Errorf("a text behind the wrong entry: %v", err)
	}
	if err := appendWait(s, Commit{Room: "room", After: 6, Text: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := deleteWait(s, "room"); err != nil {
		t.Fatal(err)
	}
	if seq, state, text := state(); seq != 0 || state != "" || text != "" {
		t.Errorf("after the deletion: %d %q %q", seq, state, text)
	}
}
