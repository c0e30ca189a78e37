package persistence

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A room that is rewritten holds what the commit says and nothing else: the file that was named
// is gone, shares, charges and lists are those of the new log, and the file is sound. Other
// rooms stay.
func TestRewrite(t *testing.T) {
	path := newPath(t)
	s := openStore(t, path, Options{})
	charge := func(room, user string, tokens uint64) Charge {
		return Charge{User: user, Hour: 7, Room: room, Model: "m", Count: Count{Turns: 1, Prompt: tokens}}
	}
	for _, room := range []string{"room", "other"} {
		mustAppend(t, s, Commit{
			Room: room, Chat: &Chat{Room: room, Owner: "alice", Members: []string{"mallory"}}, Entries: entries("created", "what mallory thinks"), Keys: []Key{{"mallory\x00k", 2}},
			Messages: []Key{{"m", 2}}, Charges: []Charge{charge(room, "mallory", 5), charge(room, "alice", 3)}, Snapshot: []byte("what mallory thinks"),
		})
	}
	pinned := true
	if err := errors.Join(
		upload(s, "room", "theirs", "b1", "what mallory thinks"), upload(s, "room", "ours", "b2", "what alice thinks"),
		waitFor(func(done func(error)) { s.MarkRead("room", "mallory", 2, done) }),
		waitFor(func(done func(error)) {
			s.Mark("room", "mallory", "mallory", MarkChange{Pinned: &pinned}, func(_ Mark, err error) { done(err) })
		}),
	); err != nil {
		t.Fatal(err)
	}
	open := false
	fresh := Commit{
		Room: "room", Chat: chatOf("room", "alice"), Turn: &open, Entries: entries("created", "deleted", "left"), Messages: []Key{{"m", 2}},
		Charges: []Charge{charge("room", "nobody", 5), charge("room", "alice", 3)},
	}
	rewrite := func(c Commit) error {
		return waitFor(func(done func(error)) { s.Rewrite(c, "mallory", []string{"theirs"}, done) })
	}
	if err := rewrite(fresh); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"created", "deleted", "left"}, contents(t, s, "room")); diff != "" {
		t.Errorf("the room (-want +got):\n%s", diff)
	}
	if _, err := s.File("room", "theirs"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the file: %v", err)
	}
	if got := contentOf(t, &s.Reader, "room", "ours"); got != "what alice thinks" {
		t.Errorf("the other file is %q", got)
	}
	if _, state, _ := s.Snapshot("room"); state != nil {
		t.Errorf("the snapshot is %q", state)
	}
	if seq, _ := s.ReadUpTo("room", "mallory"); seq != 0 {
		t.Errorf("mallory has read up to %d", seq)
	}
	if mark, _ := s.MarkOf("room", "mallory"); mark.Pinned {
		t.Error("mallory's mark is there")
	}
	if _, total, _ := s.Chats("mallory", 0, 0); total != 1 {
		t.Errorf("mallory has %d chats, want the other one", total)
	}
	for says, c := range map[string]Commit{"a room without a chat": {Room: "none", Entries: entries("x")}, "one that begins later": {Room: "room", After: 3, Entries: entries("x")}} {
		if err := rewrite(c); err == nil {
			t.Errorf("%s was rewritten", says)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, path)
	again := openStore(t, path, Options{})
	if err := waitFor(func(done func(error)) { again.ForgetUser("mallory", done) }); err != nil {
		t.Fatal(err)
	}
	left := 0
	for c, err := range again.Charges(0, EndOfHours) {
		if err != nil || c.User == "mallory" {
			t.Errorf("%+v, %v", c, err)
		}
		left++
	}
	if left != 3 {
		t.Errorf("%d charges, want alice's two and nobody's", left)
	}
	if err := waitFor(func(done func(error)) { again.ForgetUser("", done) }); err == nil {
		t.Error("everybody was forgotten")
	}
}
