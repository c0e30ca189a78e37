package persistence

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawCommand draws a command about few names, so that commands meet.
func drawCommand(rt *rapid.T) Command {
	name := func(what string, names ...string) string { return rapid.SampledFrom(names).Draw(rt, what) }
	room, user := name("room", "a", "b"), name("user", "ada", "bob")
	key, id := name("key", "k", "l"), name("id", "x", "y")
	n := rapid.IntRange(0, 3).Draw(rt, "n")
	value := []byte(strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 10_000}).Draw(rt, "bytes")))
	yes := rapid.Bool().Draw(rt, "yes")
	quota := Quota{Chats: n, Bytes: int64(n) * 20_000, Folders: 1, Pinned: 1}
	charged := Charge{User: user, Hour: 7, Model: "m", Count: Count{Turns: 1, Prompt: uint64(n)}}
	commit := Commit{
		Room: room, After: uint64(n), Entries: [][]byte{value, []byte("e")}[:1+n%2], Keys: []Key{{key, uint64(n + 1)}}, Messages: []Key{{id, uint64(n + 1)}},
		Chat: &Chat{Room: room, Owner: user, Created: time.Unix(int64(n), 5).UTC(), Members: []string{"cyd"}[:n%2], Info: value}, Turn: &yes,
		Text: value, TextAt: n, DropText: yes, Snapshot: value, Limited: yes, Flow: user, Charges: []Charge{charged},
	}
	commit.Charges[0].Room = room
	rewritten := commit
	rewritten.After, rewritten.Keys, rewritten.Messages = 0, nil, nil
	all := []change{
		&appendCommit{Commit: commit}, &appendCommit{Commit: commit}, &appendCommit{Commit: commit}, &deleteRoom{room}, &putSession{key, value}, &deleteSessions{[]string{key, "m"}},
		&charge{charged}, &putAccount{key, value}, &deleteAccount{key}, &putHook{room, key, value}, &deleteHook{room, key},
		&putChunk{room, id, n % 2, append(value, 'c'), quota.Bytes}, &putChunk{room, id, 0, append(value, 'c'), 0}, &putFile{room, File{ID: key, Blob: id, Size: int64(n), Info: value}}, &dropBlob{room, id}, &deleteFile{room, key},
		&mark{room: room, user: user, list: user, to: MarkChange{Pinned: &yes, Folder: &key}, quota: quota}, &markRead{room, user, uint64(n)},
		&addToAudit{value: value, keep: 2}, &setAudit{uint64(n), value}, &rewrite{rewritten, user, []string{key}}, &forgetUser{user},
		&assignSlot{1 + n%2, uint64(n), name("node", "n1", "n2")}, &setEpoch{"epoch"},
	}
	c := Command{change: rapid.SampledFrom(all).Draw(rt, "change")}
	if a, is := c.change.(*appendCommit); is && a.Limited {
		a.quota = quota
	}
	if rapid.Bool().Draw(rt, "fenced") {
		c.Fence = &Fence{Node: name("proposer", "n1", "n2"), Life: 1, Number: rapid.Uint64Range(1, 50).Draw(rt, "number"), Slot: n % 2, Epoch: uint64(n % 2)}
	}
	return c
}

// Each command is decoded as it was, and no other bytes are taken for it.
func TestCommandEncoding(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCommand(rt)
		b := c.Append(nil)
		got, err := DecodeCommand(b)
		if err != nil {
			rt.Fatalf("%T: %v", c.change, err)
		}
		if diff := cmp.Diff(c, got, cmp.AllowUnexported(Command{}, appendCommit{}, deleteRoom{}, putSession{}, deleteSessions{}, charge{}, putAccount{},
			deleteAccount{}, putHook{}, deleteHook{}, putChunk{}, putFile{}, dropBlob{}, deleteFile{}, mark{}, markRead{}, addToAudit{}, setAudit{},
			rewrite{}, forgetUser{}, assignSlot{}, setEpoch{})); diff != "" {
			rt.Fatal(diff)
		}
		if _, err := DecodeCommand(append(b, 0)); err == nil {
			rt.Fatal("a byte more is accepted")
		}
		if _, err := DecodeCommand(b[:len(b)-1]); err == nil {
			rt.Fatal("a byte less is accepted")
		}
	})
	for _, b := range [][]byte{{commandVersion + 1, 1}, {commandVersion, byte(kindEnd)}, {}} {
		if _, err := DecodeCommand(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%v: %v, want ErrFormat", b, err)
		}
	}
}

// The encoding of a version stays, since a log may hold commands of earlier versions.
func TestGoldenCommands(t *testing.T) {
	yes, folder := true, "work"
	row := Chat{Room: "room", Owner: "ada", Created: time.Unix(1_700_000_000, 1_000_000).UTC(), Members: []string{"bob"}, Info: []byte("{}")}
	bill := Charge{User: "ada", Hour: 472_222, Room: "room", Model: "m", Count: Count{Turns: 1, Estimated: 1, Prompt: 20, Completion: 300}}
	commit := Commit{
		Room: "room", After: 2, Entries: [][]byte{[]byte("three")}, Keys: []Key{{"key", 3}}, Messages: []Key{{"message", 3}}, Chat: &row, Turn: &yes,
		Text: []byte("text"), TextAt: 4, DropText: true, Snapshot: []byte("state"), Limited: true, Flow: "ada", Charges: []Charge{bill},
	}
	anew := Commit{Room: "room", Entries: [][]byte{[]byte("one")}}
	outside := bill
	outside.Room = ""
	var got strings.Builder
	next := kind(1)
	for _, c := range []Command{
		{&Fence{"n1", 1, 2, 3, 4}, &appendCommit{commit, Quota{1, 2, 3, 4}}}, {nil, &deleteRoom{"room"}}, {nil, &putSession{"key", []byte("value")}},
		{nil, &deleteSessions{[]string{"key"}}}, {nil, &charge{outside}}, {nil, &putAccount{"key", []byte("value")}}, {nil, &deleteAccount{"key"}},
		{nil, &putHook{"room", "name", []byte("value")}}, {nil, &deleteHook{"room", "name"}}, {nil, &putChunk{"room", "blob", 1, []byte("data"), 5}},
		{nil, &putFile{"room", File{"id", "blob", 6, []byte("{}")}}}, {nil, &dropBlob{"room", "blob"}}, {nil, &deleteFile{"room", "id"}},
		{nil, &mark{room: "room", user: "ada", list: "ada", to: MarkChange{&yes, nil, &folder}, quota: Quota{Folders: 7}}}, {nil, &markRead{"room", "ada", 8}},
		{nil, &addToAudit{value: []byte("value"), keep: 9}}, {nil, &setAudit{10, []byte("value")}}, {nil, &rewrite{anew, "ada", []string{"id"}}},
		{nil, &forgetUser{"ada"}}, AssignSlot(256, 11, "n1"), SetEpoch("epoch"),
	} {
		if c.change.kind() != next {
			t.Errorf("a command of kind %d, want %d", c.change.kind(), next)
		}
		next++
		b := c.Append(nil)
		fmt.Fprintf(&got, "%T %x\n", c.change, b)
		if again, err := DecodeCommand(b); err != nil || !bytes.Equal(again.Append(nil), b) {
			t.Errorf("%T: decoded and encoded it is another one, %v", c.change, err)
		}
	}
	if next != kindEnd {
		t.Errorf("no command of kind %d", next)
	}
	want, err := os.ReadFile("testdata/commands.golden")
	if os.Getenv("UPDATE") != "" {
		want, err = []byte(got.String()), os.WriteFile("testdata/commands.golden", []byte(got.String()), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error("a log may hold commands as they were; UPDATE=1 is for new ones alone\n" + diff)
	}
}

// A decoded command has the encoding that it came from, and no input ends the program.
func FuzzCommand(f *testing.F) {
	golden, err := os.ReadFile("testdata/commands.golden")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		if again := c.Append(nil); !bytes.Equal(b, again) {
			t.Errorf("%x is encoded as %x", b, again)
		}
	})
}
